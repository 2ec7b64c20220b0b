// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// A publishedUDP is a UDP port of the host that leads into the container.
type publishedUDP struct {
	*network
	socket *net.UDPConn
	port   uint16
	flows  *flows[netip.AddrPort] // by client
}

// tellDestination has the kernel tell to which of the host's addresses a
// datagram was sent: the answer has to come from there.
func tellDestination(socket *net.UDPConn, address netip.Addr) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	level, option := unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO
	if address.Is4() {
		level, option = unix.IPPROTO_IP, unix.IP_PKTINFO
	}
	return errors.Join(raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, 1) }), err)
}

func (p *ports) serveUDP(socket *net.UDPConn, port uint16) {
	s := &publishedUDP{network: p.network, socket: socket, port: port, flows: newFlows[netip.AddrPort](p.mostFlows)}
	datagram := make([]byte, 1<<16)
	var control [64]byte
	for {
		n, controlSize, _, from, err := socket.ReadMsgUDPAddrPort(datagram, control[:])
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // about an answer that did not arrive
		}
		client := s.flows.get(from)
		if client == nil {
			client = s.start(from, source(control[:controlSize]), bytes.Clone(datagram[:n]), s.inside(from.Addr()))
			if client == nil {
				continue
			}
		}
		s.flows.touch(client)
		if client.send(datagram[:n]) != nil {
			s.flows.remove(from, client)
		}
	}
}

// source makes of the message that tells a datagram's destination one that
// sets it as the source, see ip(7) and ipv6(7).
func source(control []byte) []byte {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: [4]byte(m.Data[4:8])})
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
			return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: [16]byte(m.Data[:16]), Ifindex: binary.NativeEndian.Uint32(m.Data[16:])})
		}
	}
	return nil
}

// start makes a flow for a new client, to the first of the addresses. Where
// nobody listens on it, the first datagram goes to the next.
func (s *publishedUDP) start(from netip.AddrPort, source, first []byte, addresses []netip.Addr) *flow {
	inside, err := s.openInside(netip.AddrPortFrom(addresses[0], s.port))
	if err != nil {
		return nil // as if it were lost
	}
	client := s.flows.add(from, inside.ep.Close)
	client.send = inside.send
	go func() {
		err := inside.receive(func(datagram []byte) error {
			s.flows.touch(client)
			client.answered.Add(1)
			_, _, err := s.socket.WriteMsgUDPAddrPort(datagram, source, from)
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			return nil // a datagram that is lost is lost
		})
		if errors.Is(err, errRefused) && client.answered.Load() == 0 && len(addresses) > 1 {
			if next := s.start(from, source, first, addresses[1:]); next != nil && next.send(first) != nil {
				s.flows.remove(from, next)
			}
			return
		}
		s.flows.remove(from, client)
	}()
	return client
}

func (s *publishedUDP) openInside(to netip.AddrPort) (*insideUDP, error) {
	inside := &insideUDP{}
	var failed tcpip.Error
	if inside.ep, failed = s.stack.NewEndpoint(udp.ProtocolNumber, protocolOf(to.Addr()), &inside.queue); failed != nil {
		return nil, fmt.Errorf("send to the container's %s: %s", to, failed)
	}
	if failed = inside.ep.Bind(fullAddress(netip.AddrPortFrom(s.gateway(to.Addr()), 0))); failed == nil {
		failed = inside.ep.Connect(fullAddress(to))
	}
	if failed != nil {
		inside.ep.Close()
		return nil, fmt.Errorf("send to the container's %s: %s", to, failed)
	}
	return inside, nil
}
