// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Restricted tells whether names have to be allowed.
func (p *Policy) Restricted() bool { return p.egress != nil && !p.egress.rest }

// Name tells whether a name may be resolved, and records it where not.
func (p *Policy) Name(name string) bool {
	if !p.Restricted() || p.egress.name(name, 0) {
		return true
	}
	name = canonical(name)
	if !strings.HasSuffix(name, ".arpa") { // programs look for the name of every address
		p.denied.add(key{"dns", name, ""}, "not an allowed name", "--allow-host "+name)
	}
	return false
}

// Learn takes an address from the answer for an allowed name. It refuses one
// that a public name has no business to point to: the owner of a name must not
// open the host's network to the container (rebinding). byUser is set for an
// address that the user gave by hand.
func (p *Policy) Learn(name string, address netip.Addr, ttl time.Duration, byUser bool) bool {
	if !p.Restricted() {
		return true
	}
	name = canonical(name)
	if reason := p.rebinding(address); reason != "" && !byUser {
		if p.egress.net(address, 0) {
			return true // reachable by its address, without the name
		}
		p.denied.add(key{"dns", name, address.String()}, reason, "--allow-net "+address.String())
		return false
	}
	if p.private(address) != "" || p.egress.denied(address) {
		return p.egress.net(address, 0)
	}
	p.egress.learn(name, address, ttl)
	return true
}

// carrierGrade is not public either, see RFC 6598.
var carrierGrade = netip.MustParsePrefix("100.64.0.0/10")

func (p *Policy) rebinding(address netip.Addr) string {
	inner, _ := embedded(address)
	for _, a := range []netip.Addr{address, inner} {
		if a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsLoopback() || carrierGrade.Contains(a) {
			return "the name's address is private"
		}
	}
	if reason := p.private(address); reason != "" {
		return "the name's address is refused: " + reason
	}
	return ""
}

// TLS tells whether the name that a client says in a TLS hello to the address
// is allowed, and records it where not. An empty name is none.
func (p *Policy) TLS(to netip.AddrPort, name string) bool {
	switch {
	case name == "":
		p.RefuseStream(to, "no server name in a TLS hello")
		return false
	case !p.egress.name(name, to.Port()):
		name = canonical(name)
		p.denied.add(key{"tcp", to.String(), name}, "not an allowed name in a TLS hello", fmt.Sprintf("--allow-host %s:%d", name, to.Port()))
		return false
	}
	return true
}

// Hold keeps what is known of an address while a connection to it is open.
func (p *Policy) Hold(address netip.Addr) (release func()) {
	if p.egress == nil {
		return func() {}
	}
	return p.egress.hold(address)
}
