// SPDX-License-Identifier: Apache-2.0

// Package policy decides where the container may connect to.
//
// Two questions are asked of each new connection. Is it the host, or something
// that only the host should reach: these are refused unless the user has said
// the word for it. And, where an egress list is given: is it on the list.
package policy

import (
	"fmt"
	"net/netip"
	"slices"

	"mycr/netns"
)

// A Policy decides. It may be used from many goroutines.
type Policy struct {
	gateways      []netip.Addr
	own           []netip.Addr   // gateways and DNS addresses
	subnets       []netip.Prefix // the container's
	hostLoopback  bool
	allowMetadata bool
	egress        *egress // nil: everything else is allowed
	denied        *record
	isHost        func(netip.Addr) (bool, error)
}

// A Decision is the answer for one destination.
type Decision struct {
	Target   netip.AddrPort // what to connect to; the host's loopback for a gateway
	Refused  string         // why not; empty where it is allowed
	CheckTLS bool           // the name in a TLS hello has to be allowed too, see TLS
}

// metadata are the addresses at which clouds hand out their machines'
// credentials, beside the link-local ones.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),   // AWS
	netip.MustParseAddr("fd20:ce::254"),    // Google
	netip.MustParseAddr("100.100.100.200"), // Alibaba
	netip.MustParseAddr("168.63.129.16"),   // Azure's wire server
	netip.MustParseAddr("192.0.0.192"),     // Oracle
}

// nat64 are the prefixes that hold an IPv4 address in their last four bytes,
// see RFC 6052 and RFC 8215.
var nat64 = []netip.Prefix{
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
}

// New makes the policy of one container.
func New(c *netns.HelperConfig) *Policy {
	p := &Policy{hostLoopback: c.HostLoopback, allowMetadata: c.AllowMetadata, denied: newRecord(), isHost: newRoutes().isHost}
	for _, address := range []netip.Addr{c.Gateway4, c.Gateway6} {
		if address.IsValid() {
			p.gateways = append(p.gateways, address)
		}
	}
	p.own = append(slices.Clone(p.gateways), c.DNS...)
	for _, prefix := range []netip.Prefix{c.Address4, c.Address6} {
		if prefix.IsValid() {
			p.subnets = append(p.subnets, prefix.Masked())
		}
	}
	if c.Egress != nil {
		p.egress = newEgress(c.Egress)
	}
	return p
}

// TCP decides about a connection.
func (p *Policy) TCP(to netip.AddrPort) Decision {
	d := p.isolation("tcp", to)
	if d.Refused != "" || p.egress == nil {
		return d
	}
	allowed, check := p.egress.tcp(to)
	d.CheckTLS = check
	if !allowed {
		d.Refused = p.note("tcp", to)
	}
	return d
}

// UDP decides about a datagram.
func (p *Policy) UDP(to netip.AddrPort) Decision { return p.connectionless("udp", to) }

// Ping decides about an echo request.
func (p *Policy) Ping(to netip.Addr) Decision {
	return p.connectionless("icmp", netip.AddrPortFrom(to, 0))
}

func (p *Policy) connectionless(protocol string, to netip.AddrPort) Decision {
	d := p.isolation(protocol, to)
	if d.Refused == "" && p.egress != nil && !p.egress.other(to.Addr()) {
		d.Refused = p.note(protocol, to)
	}
	return d
}

// isolation keeps the container away from the host. What it refuses is recorded
// where there is an egress list.
func (p *Policy) isolation(protocol string, to netip.AddrPort) Decision {
	address := to.Addr()
	if slices.Contains(p.gateways, address) && p.hostLoopback {
		loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if address.Is6() {
			loopback = netip.IPv6Loopback()
		}
		return Decision{Target: netip.AddrPortFrom(loopback, to.Port())}
	}
	reason := p.private(address)
	if reason != "" && p.egress != nil {
		p.denied.add(key{protocol, destination(protocol, to), ""}, reason, flags[reason])
	}
	return Decision{Target: to, Refused: reason}
}

const (
	reasonMetadata = "a metadata address"
	reasonHost     = "the host's own address"
	reasonOwn      = "mycr-net's own address"
)

// flags are what would allow it.
var flags = map[string]string{
	reasonMetadata: "--allow-metadata",
	reasonHost:     "--host-loopback",
	reasonOwn:      "--host-loopback",
}

// private tells why an address is for nobody or for the host alone.
func (p *Policy) private(address netip.Addr) string {
	switch {
	case slices.Contains(p.own, address):
		return reasonOwn
	case address.IsUnspecified(), address.IsMulticast(), address == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "not the address of one host" // connect(2) to 0.0.0.0 reaches the loopback
	case address.IsLoopback():
		return "the host's loopback"
	case address.Is4In6():
		return "an IPv4 address in IPv6" // the host's kernel would connect to it by IPv4
	case slices.ContainsFunc(p.subnets, func(s netip.Prefix) bool { return s.Contains(address) }):
		return "nobody has this address of the container's network"
	case !p.allowMetadata && (address.IsLinkLocalUnicast() || slices.Contains(metadata, address)):
		return reasonMetadata
	}
	if inner, ok := embedded(address); ok {
		if reason := p.private(inner); reason != "" {
			return reason
		}
	}
	if p.hostLoopback {
		return ""
	}
	switch host, err := p.isHost(address); {
	case err != nil:
		return fmt.Sprintf("whether it is the host's is not known: %v", err)
	case host:
		return reasonHost
	}
	return ""
}

// embedded is the IPv4 address that a translator would send to.
func embedded(address netip.Addr) (netip.Addr, bool) {
	for _, prefix := range nat64 {
		if prefix.Contains(address) {
			bytes := address.As16()
			return netip.AddrFrom4([4]byte(bytes[12:])), true
		}
	}
	return netip.Addr{}, false
}
