// SPDX-License-Identifier: Apache-2.0

package link

import (
	"net/netip"
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// wanted tells whether a packet is for the stack. Questions for neighbours are
// answered here. What is sent to many (DHCP, mDNS, router solicitations) has no
// receiver: mycr configured the device.
func (e *Endpoint) wanted(protocol tcpip.NetworkProtocolNumber, packet []byte) bool {
	switch protocol {
	case header.ARPProtocolNumber:
		e.answerARP(header.ARP(packet))
	case header.IPv4ProtocolNumber:
		ip := header.IPv4(packet)
		if len(packet) < header.IPv4MinimumSize {
			return false
		}
		to := netip.AddrFrom4(ip.DestinationAddress().As4())
		return !to.IsMulticast() && to != netip.AddrFrom4([4]byte{255, 255, 255, 255})
	case header.IPv6ProtocolNumber:
		ip := header.IPv6(packet)
		if len(packet) < header.IPv6MinimumSize {
			return false
		}
		if ip.NextHeader() == uint8(header.ICMPv6ProtocolNumber) && e.answerNDP(ip) {
			return false
		}
		return !netip.AddrFrom16(ip.DestinationAddress().As16()).IsMulticast()
	}
	return false
}

// answerARP answers a request for any address but the container's own: one that
// is not there is then refused at once by the stack, instead of after the
// seconds that the container's kernel waits for a neighbour.
func (e *Endpoint) answerARP(request header.ARP) {
	if !request.IsValid() || request.Op() != header.ARPRequest {
		return
	}
	sender := netip.AddrFrom4([4]byte(request.ProtocolAddressSender()))
	target := netip.AddrFrom4([4]byte(request.ProtocolAddressTarget()))
	if sender == target || sender.IsUnspecified() || slices.Contains(e.own, target) {
		return // an announcement, a search for duplicates
	}
	reply := make([]byte, header.ARPSize)
	arp := header.ARP(reply)
	arp.SetIPv4OverEthernet()
	arp.SetOp(header.ARPReply)
	copy(arp.HardwareAddressSender(), mac[:])
	copy(arp.ProtocolAddressSender(), request.ProtocolAddressTarget())
	copy(arp.HardwareAddressTarget(), request.HardwareAddressSender())
	copy(arp.ProtocolAddressTarget(), request.ProtocolAddressSender())
	e.Send(header.ARPProtocolNumber, reply)
}

// answerNDP does the same for IPv6, see RFC 4861 section 4.3 and 4.4. It tells
// whether the packet was of neighbour discovery.
func (e *Endpoint) answerNDP(ip header.IPv6) bool {
	icmp := header.ICMPv6(ip.Payload())
	if len(icmp) < header.ICMPv6HeaderSize {
		return true
	}
	switch icmp.Type() {
	case header.ICMPv6NeighborSolicit:
	case header.ICMPv6NeighborAdvert, header.ICMPv6RouterSolicit, header.ICMPv6RouterAdvert, header.ICMPv6RedirectMsg:
		return true
	default:
		return false
	}
	if len(icmp) < header.ICMPv6NeighborSolicitMinimumSize {
		return true
	}
	target := header.NDPNeighborSolicit(icmp.MessageBody()).TargetAddress()
	if ip.SourceAddress().Unspecified() || slices.Contains(e.own, netip.AddrFrom16(target.As16())) {
		return true
	}
	const optionSize = 8 // the target's hardware address
	packet := make([]byte, header.IPv6MinimumSize+header.ICMPv6NeighborAdvertMinimumSize+optionSize)
	header.IPv6(packet).Encode(&header.IPv6Fields{
		PayloadLength:     uint16(len(packet) - header.IPv6MinimumSize),
		TransportProtocol: header.ICMPv6ProtocolNumber,
		HopLimit:          header.NDPHopLimit,
		SrcAddr:           target,
		DstAddr:           ip.SourceAddress(),
	})
	answer := header.ICMPv6(packet[header.IPv6MinimumSize:])
	answer.SetType(header.ICMPv6NeighborAdvert)
	advert := header.NDPNeighborAdvert(answer.MessageBody())
	advert.SetTargetAddress(target)
	advert.SetSolicitedFlag(true)
	advert.SetOverrideFlag(true)
	advert.Options().Serialize(header.NDPOptionsSerializer{
		header.NDPTargetLinkLayerAddressOption(mac[:]),
	})
	answer.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{
		Header: answer,
		Src:    target,
		Dst:    ip.SourceAddress(),
	}))
	e.Send(header.IPv6ProtocolNumber, packet)
	return true
}
