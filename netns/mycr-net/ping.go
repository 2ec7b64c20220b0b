// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A pingForwarder repeats the container's echo requests by sockets that need no
// privilege, see icmp(7), ping_group_range.
type pingForwarder struct {
	*network
	flows   *flows[pingKey]
	missing error // why there are no such sockets
}

type pingKey struct {
	from, to tcpip.Address
	ident    uint16
}

func newPingForwarder(n *network) *pingForwarder {
	f := &pingForwarder{network: n, flows: newFlows[pingKey](n.mostFlows)}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
	if err == nil {
		unix.Close(fd)
	} else if err == unix.EACCES {
		f.missing = fmt.Errorf("ping: net.ipv4.ping_group_range of the host does not have group %d", os.Getegid())
	} else {
		f.missing = fmt.Errorf("ping: %w", err)
	}
	n.stack.SetTransportProtocolHandler(header.ICMPv4ProtocolNumber, f.forward)
	n.stack.SetTransportProtocolHandler(header.ICMPv6ProtocolNumber, f.forward)
	return f
}

// forward takes one message. The stack itself answers for the gateway.
func (f *pingForwarder) forward(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
	message := append(bytes.Clone(pkt.TransportHeader().Slice()), pkt.Data().AsRange().ToSlice()...)
	to := addrPort(id.LocalAddress, 0).Addr()
	if len(message) < header.ICMPv4MinimumSize || !isEchoRequest(to, message) {
		return true
	}
	if to == f.config.Gateway4 || to == f.config.Gateway6 {
		return false
	}
	for _, dns := range f.config.DNS {
		if to == dns {
			return false
		}
	}
	if f.policy.Ping(to).Refused != "" {
		f.sendUnreachable(head(pkt), prohibited)
		return true
	}
	if f.missing != nil {
		return true
	}
	// The identifier is in the same place in both versions.
	key := pingKey{id.RemoteAddress, id.LocalAddress, header.ICMPv4(message).Ident()}
	if err := f.send(key, to, message); err != nil {
		if why, ok := asUnreachable(err); ok {
			f.sendUnreachable(head(pkt), why)
		}
	}
	return true
}

func isEchoRequest(to netip.Addr, message []byte) bool {
	if to.Is4() {
		return header.ICMPv4(message).Type() == header.ICMPv4Echo
	}
	return header.ICMPv6(message).Type() == header.ICMPv6EchoRequest
}

// send repeats a request. The kernel puts the socket's own identifier into it.
func (f *pingForwarder) send(key pingKey, to netip.Addr, message []byte) error {
	known := f.flows.get(key)
	if known == nil {
		socket, err := pingSocket(to)
		if err != nil {
			return err
		}
		known = f.flows.add(key, func() { socket.Close() })
		known.send = func(message []byte) error {
			_, err := socket.Write(message)
			return err
		}
		go f.answers(key, known, socket)
	}
	f.flows.touch(known)
	return known.send(message)
}

// answers passes the answers on until the flow is removed.
func (f *pingForwarder) answers(key pingKey, of *flow, socket *os.File) {
	defer f.flows.remove(key, of)
	raw, err := socket.SyscallConn()
	if err != nil {
		return
	}
	receive(raw, func(message []byte) error {
		if len(message) < header.ICMPv4MinimumSize {
			return nil
		}
		f.flows.touch(of)
		of.answered.Add(1)
		header.ICMPv4(message).SetIdent(key.ident)
		return f.sendICMP(key.to, key.from, bytes.Clone(message))
	})
}

// pingSocket gives a socket that only sends requests and receives answers.
func pingSocket(to netip.Addr) (*os.File, error) {
	family, protocol := unix.AF_INET6, unix.IPPROTO_ICMPV6
	var address unix.Sockaddr = &unix.SockaddrInet6{Addr: to.As16()}
	if to.Is4() {
		family, protocol = unix.AF_INET, unix.IPPROTO_ICMP
		address = &unix.SockaddrInet4{Addr: to.As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, fmt.Errorf("ping socket: %w", err)
	}
	if err := unix.Connect(fd, address); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("ping %s: %w", to, err)
	}
	return os.NewFile(uintptr(fd), "ping"), nil
}
