// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// An unreachable is why a packet does not arrive, in the words of RFC 792 and
// RFC 1812, and RFC 4443.
type unreachable struct {
	v4 header.ICMPv4Code
	v6 header.ICMPv6Code
}

var (
	prohibited = unreachable{header.ICMPv4AdminProhibited, header.ICMPv6Prohibited}
	noNetwork  = unreachable{header.ICMPv4NetUnreachable, header.ICMPv6NetworkUnreachable}
	noHost     = unreachable{header.ICMPv4HostUnreachable, header.ICMPv6AddressUnreachable}
	noPort     = unreachable{header.ICMPv4PortUnreachable, header.ICMPv6PortUnreachable}
)

// asUnreachable tells which message stands for a socket's error.
func asUnreachable(err error) (unreachable, bool) {
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		return noPort, true
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EHOSTDOWN):
		return noHost, true
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EADDRNOTAVAIL):
		return noNetwork, true
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return prohibited, true
	}
	return unreachable{}, false
}

// head is what an ICMP error has to repeat of a packet: the IP header and
// eight bytes, in which are the ports.
func head(pkt *stack.PacketBuffer) []byte {
	transport := pkt.TransportHeader().Slice()
	network := pkt.NetworkHeader().Slice()
	return append(append(make([]byte, 0, len(network)+8), network...), transport[:min(8, len(transport))]...)
}

// sendUnreachable tells the sender of a packet that it did not arrive.
func (n *network) sendUnreachable(head []byte, why unreachable) {
	var to tcpip.Address
	protocol := header.IPVersion(head)
	var message []byte
	if protocol == header.IPv4Version {
		to = header.IPv4(head).SourceAddress()
		message = make([]byte, header.ICMPv4MinimumSize, header.ICMPv4MinimumSize+len(head))
		icmp := header.ICMPv4(message)
		icmp.SetType(header.ICMPv4DstUnreachable)
		icmp.SetCode(why.v4)
	} else {
		to = header.IPv6(head).SourceAddress()
		message = make([]byte, header.ICMPv6DstUnreachableMinimumSize, header.ICMPv6DstUnreachableMinimumSize+len(head))
		icmp := header.ICMPv6(message)
		icmp.SetType(header.ICMPv6DstUnreachable)
		icmp.SetCode(why.v6)
	}
	from := n.gateway(addrPort(to, 0).Addr())
	if from.IsValid() {
		n.sendICMP(tcpip.AddrFromSlice(from.AsSlice()), to, append(message, head...))
	}
}

// sendICMP sends a message whose checksum is not set yet. A message that cannot
// be sent is lost, as on any network.
func (n *network) sendICMP(from, to tcpip.Address, message []byte) error {
	protocol := protocolOf(addrPort(to, 0).Addr())
	route, failed := n.stack.FindRoute(nic, from, to, protocol, false)
	if failed != nil {
		return fmt.Errorf("answer the container: %s", failed)
	}
	defer route.Release()
	params := stack.NetworkHeaderParams{Protocol: header.ICMPv6ProtocolNumber, TTL: 64}
	if protocol == ipv4.ProtocolNumber {
		params.Protocol = header.ICMPv4ProtocolNumber
		icmp := header.ICMPv4(message)
		icmp.SetChecksum(0)
		icmp.SetChecksum(^checksum.Checksum(icmp, 0))
	} else {
		icmp := header.ICMPv6(message)
		icmp.SetChecksum(0)
		icmp.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: icmp, Src: from, Dst: to}))
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: int(route.MaxHeaderLength()),
		Payload:            buffer.MakeWithData(message),
	})
	defer pkt.DecRef()
	if failed := route.WritePacket(params, pkt); failed != nil {
		return fmt.Errorf("answer the container: %s", failed)
	}
	return nil
}
