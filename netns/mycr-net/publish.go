// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"mycr/netns"
)

// ports are the ports of the host that lead into the container.
type ports struct {
	*network
	mu     sync.Mutex
	listed []netns.HelperPort
}

// publish listens on all wanted ports, or on none of them.
func (p *ports) publish(wanted []netns.Port) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var opened []listening
	for _, port := range wanted {
		more, err := open(port)
		opened = append(opened, more...)
		if err != nil {
			for _, one := range opened {
				one.Close()
			}
			return err
		}
	}
	for _, one := range opened {
		p.listed = append(p.listed, one.HelperPort)
		if one.tcp != nil {
			go p.serveTCP(one.tcp, one.Container)
		} else {
			go p.serveUDP(one.udp, one.Container)
		}
	}
	return nil
}

func (p *ports) list() []netns.HelperPort {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.listed)
}

// A listening is a port with its socket, of one of the two kinds.
type listening struct {
	netns.HelperPort
	io.Closer
	tcp *net.TCPListener
	udp *net.UDPConn
}

// open listens on one port: twice where it is to be on all addresses, since a
// socket for both versions of IP would take the port from IPv4 alone.
func open(port netns.Port) ([]listening, error) {
	if port.Protocol != "tcp" && port.Protocol != "udp" {
		return nil, fmt.Errorf("publish a port of protocol %q: it is neither tcp nor udp", port.Protocol)
	}
	if port.HostAddress.IsValid() {
		one, err := listen(port.Protocol, netip.AddrPortFrom(port.HostAddress, port.HostPort), port.ContainerPort)
		if err != nil {
			return nil, err
		}
		return []listening{one}, nil
	}
	first, err := listen(port.Protocol, netip.AddrPortFrom(netip.IPv4Unspecified(), port.HostPort), port.ContainerPort)
	if err != nil {
		return nil, err
	}
	second, err := listen(port.Protocol, netip.AddrPortFrom(netip.IPv6Unspecified(), first.Host.Port()), port.ContainerPort)
	switch {
	case err == nil:
		return []listening{first, second}, nil
	case errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EADDRNOTAVAIL):
		return []listening{first}, nil // a host without IPv6
	}
	return []listening{first}, err
}

func listen(protocol string, host netip.AddrPort, container uint16) (listening, error) {
	network := protocol + "6" // which is IPv6 only
	if host.Addr().Is4() {
		network = protocol + "4"
	}
	one := listening{HelperPort: netns.HelperPort{Container: container, Protocol: protocol}}
	var err error
	var local net.Addr
	if protocol == "tcp" {
		if one.tcp, err = net.ListenTCP(network, net.TCPAddrFromAddrPort(host)); err == nil {
			one.Closer, local = one.tcp, one.tcp.Addr()
		}
	} else {
		if one.udp, err = net.ListenUDP(network, net.UDPAddrFromAddrPort(host)); err == nil {
			one.Closer, local = one.udp, one.udp.LocalAddr()
			err = tellDestination(one.udp, host.Addr())
		}
	}
	if err != nil {
		return one, refused(protocol, host, err)
	}
	bound, err := netip.ParseAddrPort(local.String())
	one.Host = netip.AddrPortFrom(host.Addr(), bound.Port())
	return one, err
}

// refused says why a port cannot be listened on, and what to do.
func refused(protocol string, host netip.AddrPort, err error) error {
	what := fmt.Sprintf("publish %s/%s", host, protocol)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		who := owner(protocol, host)
		if who == "" {
			who = "another process"
		}
		return &hintError{fmt.Errorf("%s: the port is taken by %s: %w", what, who, unix.EADDRINUSE), "publish another port of the host"}
	case errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM):
		first, other := 1024, host.Port()
		if data, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err == nil {
			fmt.Sscan(string(data), &first)
		}
		if int(other) < first {
			other += 8000
		}
		return &hintError{
			fmt.Errorf("%s: ports below %d need a privilege: %w", what, first, unix.EACCES),
			fmt.Sprintf("publish port %d instead, or as root type: sysctl net.ipv4.ip_unprivileged_port_start=%d", other, host.Port()),
		}
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return &hintError{fmt.Errorf("%s: the host does not have this address: %w", what, unix.EADDRNOTAVAIL), "publish on 127.0.0.1, or on an address that ip addr shows"}
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return fmt.Errorf("%s: %w", what, err)
}

// serveTCP connects into the container whoever connects to the port.
func (p *ports) serveTCP(l *net.TCPListener, port uint16) {
	for {
		c, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // about one connection: descriptors never run out, see descriptors
		}
		go p.enter(c, port)
	}
}

func (p *ports) enter(outside *net.TCPConn, port uint16) {
	if !p.tcp.begin() {
		reset(outside)
		return
	}
	defer p.tcp.end()
	ctx, cancel := context.WithTimeout(context.Background(), connectPatience)
	defer cancel()
	local := outside.LocalAddr().(*net.TCPAddr).AddrPort().Addr()
	for _, to := range p.inside(local) {
		if inside, err := p.dialInside(ctx, netip.AddrPortFrom(to, port)); err == nil {
			cancel()
			p.tcp.relay(inside, outside, nil)
			return
		}
	}
	reset(outside)
}

// inside gives the container's addresses, the one of the same version of IP
// first: a server that listens by IPv4 alone is to be reached from ::1 too.
func (n *network) inside(like netip.Addr) []netip.Addr {
	var list []netip.Addr
	for _, prefix := range []netip.Prefix{n.config.Address4, n.config.Address6} {
		if prefix.IsValid() {
			list = append(list, prefix.Addr())
		}
	}
	if like.Unmap().Is6() {
		slices.Reverse(list)
	}
	return list
}
