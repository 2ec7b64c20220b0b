// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"mycr/netns"
)

const (
	// leastLease is how long an address stays known at least: programs keep an
	// address longer than answers with a time to live of seconds allow.
	leastLease = time.Minute
	mostLease  = 24 * time.Hour
	// mostLearned bounds what a resolver may make us remember.
	mostLearned = 16384
)

// defaultPorts are those of an entry that names none.
var defaultPorts = []uint16{443, 80}

// egress is the list of what may be connected to, and the addresses that the
// names on it were answered with.
type egress struct {
	hosts []netns.AllowHost
	nets  []netns.AllowNet
	deny  []netip.Prefix
	rest  bool
	now   func() time.Time

	mu      sync.Mutex
	learned map[netip.Addr]*lease
}

// A lease is an address that may be connected to.
type lease struct {
	names map[string]time.Time // until when
	open  int                  // connections, which keep it
}

func newEgress(c *netns.Egress) *egress {
	e := &egress{deny: c.DenyNets, rest: c.AllowRest, now: time.Now, learned: map[netip.Addr]*lease{}}
	for _, host := range c.AllowHosts {
		e.hosts = append(e.hosts, netns.AllowHost{Name: canonical(host.Name), Ports: ports(host.Ports)})
	}
	for _, net := range c.AllowNets {
		e.nets = append(e.nets, netns.AllowNet{Prefix: net.Prefix.Masked(), Ports: ports(net.Ports)})
	}
	return e
}

func ports(given []uint16) []uint16 {
	if len(given) == 0 {
		return defaultPorts
	}
	return given
}

func canonical(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// name tells whether a name is on the list, and with which port; 0 is any.
func (e *egress) name(name string, port uint16) bool {
	name = canonical(name)
	for _, host := range e.hosts {
		if port != 0 && !slices.Contains(host.Ports, port) {
			continue
		}
		if below, ok := strings.CutPrefix(host.Name, "*"); ok && strings.HasSuffix(name, below) && len(name) > len(below) || host.Name == name {
			return true
		}
	}
	return false
}

func (e *egress) denied(address netip.Addr) bool {
	return slices.ContainsFunc(e.deny, func(p netip.Prefix) bool { return p.Contains(address) })
}

// net tells whether a network on the list has the address; port 0 is any.
func (e *egress) net(address netip.Addr, port uint16) bool {
	return slices.ContainsFunc(e.nets, func(n netns.AllowNet) bool {
		return n.Prefix.Contains(address) && (port == 0 || slices.Contains(n.Ports, port))
	})
}

// tcp tells whether a connection is allowed, and whether because of a name,
// which a TLS hello then has to repeat.
func (e *egress) tcp(to netip.AddrPort) (allowed, byName bool) {
	switch {
	case e.denied(to.Addr()):
		return false, false
	case e.net(to.Addr(), to.Port()):
		return true, false
	case slices.ContainsFunc(e.names(to.Addr()), func(n string) bool { return e.name(n, to.Port()) }):
		return true, true
	}
	return e.rest, false
}

// other tells whether something without connections is allowed: a name says
// nothing about it.
func (e *egress) other(address netip.Addr) bool { return e.rest && !e.denied(address) }

// names are those that the address is known by.
func (e *egress) names(address netip.Addr) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	known := e.learned[address]
	if known == nil {
		return nil
	}
	var names []string
	for name, until := range known.names {
		if known.open > 0 || e.now().Before(until) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (e *egress) learn(name string, address netip.Addr, ttl time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	known := e.learned[address]
	if known == nil {
		if len(e.learned) >= mostLearned {
			e.forget()
		}
		if len(e.learned) >= mostLearned {
			return
		}
		known = &lease{names: map[string]time.Time{}}
		e.learned[address] = known
	}
	until := e.now().Add(min(max(ttl, leastLease), mostLease))
	if until.After(known.names[name]) && (len(known.names) < mostLearned || !known.names[name].IsZero()) {
		known.names[name] = until
	}
}

// forget drops what is out of date. The caller holds the lock.
func (e *egress) forget() {
	for address, known := range e.learned {
		for name, until := range known.names {
			if known.open == 0 && e.now().After(until) {
				delete(known.names, name)
			}
		}
		if len(known.names) == 0 {
			delete(e.learned, address)
		}
	}
}

// hold keeps an address while a connection to it is open.
func (e *egress) hold(address netip.Addr) (release func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	known := e.learned[address]
	if known == nil {
		return func() {}
	}
	known.open++
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		known.open--
	}
}
