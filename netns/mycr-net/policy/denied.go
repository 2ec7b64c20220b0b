// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"mycr/netns"
)

// mostDenied bounds the list of what was refused; a scan of a network would
// fill any.
const mostDenied = 500

// A key is what makes two refusals the same.
type key struct{ protocol, destination, name string }

// record counts what was refused because of the egress list, in the order in
// which it was seen first.
type record struct {
	mu    sync.Mutex
	at    map[key]int
	list  []netns.Denied
	extra int
}

func newRecord() *record { return &record{at: map[key]int{}} }

func (r *record) add(k key, reason, flag string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i, ok := r.at[k]; ok {
		r.list[i].Count++
		return
	}
	if len(r.list) == mostDenied {
		r.extra++
		return
	}
	r.at[k] = len(r.list)
	r.list = append(r.list, netns.Denied{
		Protocol: k.protocol, Destination: k.destination, Name: k.name, Reason: reason, Count: 1, Flag: flag,
	})
}

// Denied is what was refused because of the egress list, and how many more
// refusals there is no room for.
func (p *Policy) Denied() (list []netns.Denied, more int) {
	p.denied.mu.Lock()
	defer p.denied.mu.Unlock()
	return slices.Clone(p.denied.list), p.denied.extra
}

func destination(protocol string, to netip.AddrPort) string {
	if protocol == "icmp" {
		return to.Addr().String()
	}
	return to.String()
}

// note records a refused packet and returns the reason.
func (p *Policy) note(protocol string, to netip.AddrPort) string {
	destination := destination(protocol, to)
	name := ""
	names := p.egress.names(to.Addr())
	if len(names) > 0 {
		name = names[0]
	}
	reason, flag := "", ""
	switch {
	case p.egress.denied(to.Addr()):
		reason = "denied by --deny-net"
	case protocol != "tcp":
		reason = "only TCP can be allowed"
	case name != "":
		reason, flag = "not an allowed port", fmt.Sprintf("--allow-host %s:%d", name, to.Port())
	case p.egress.net(to.Addr(), 0):
		reason, flag = "not an allowed port", "--allow-net "+destination
	default:
		reason, flag = "no allowed name has this address", "--allow-net "+destination
	}
	p.denied.add(key{protocol, destination, name}, reason, flag)
	return reason
}

// RefuseStream records that a connection was ended because of what its first
// bytes were.
func (p *Policy) RefuseStream(to netip.AddrPort, reason string) {
	p.denied.add(key{"tcp", to.String(), ""}, reason, "--allow-net "+to.String())
}
