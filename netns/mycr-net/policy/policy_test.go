// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mycr/netns"
)

// testPolicy has 192.168.1.5 as the host's address.
func testPolicy(egress *netns.Egress) *Policy {
	p := New(&netns.HelperConfig{
		Address4: netip.MustParsePrefix("10.0.2.100/24"), Gateway4: netip.MustParseAddr("10.0.2.2"),
		Address6: netip.MustParsePrefix("fd00::100/64"), Gateway6: netip.MustParseAddr("fd00::2"),
		DNS: []netip.Addr{netip.MustParseAddr("10.0.2.3")}, Egress: egress,
	})
	p.isHost = func(a netip.Addr) (bool, error) { return a == netip.MustParseAddr("192.168.1.5"), nil }
	return p
}

func to(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }

func TestIsolation(t *testing.T) {
	for _, refused := range []string{
		"127.0.0.1:80", "127.255.0.9:80", "[::1]:80", "0.0.0.0:80", "[::]:80", "255.255.255.255:80", "224.0.0.1:80", "[ff02::1]:80",
		"[::ffff:127.0.0.1]:80", "[::ffff:192.0.2.1]:80", "10.0.2.2:80", "10.0.2.3:53", "10.0.2.7:80", "[fd00::2]:80", "[fd00::77]:80",
		"169.254.169.254:80", "169.254.0.1:80", "[fe80::1]:80", "[fd00:ec2::254]:80", "[fd20:ce::254]:80", "100.100.100.200:80", "168.63.129.16:80",
		"192.168.1.5:80", "[64:ff9b::c0a8:105]:80", "[64:ff9b::7f00:1]:80", "[64:ff9b:1::a9fe:a9fe]:80",
	} {
		for _, d := range []Decision{testPolicy(nil).TCP(to(refused)), testPolicy(nil).UDP(to(refused)), testPolicy(nil).Ping(to(refused).Addr())} {
			if d.Refused == "" {
				t.Errorf("%s is allowed", refused)
			}
		}
	}
	for _, allowed := range []string{"192.0.2.1:80", "10.0.3.1:80", "192.168.1.6:80", "[2001:db8::1]:80", "[64:ff9b::c000:201]:80"} {
		if d := testPolicy(nil).TCP(to(allowed)); d.Refused != "" || d.Target != to(allowed) || d.CheckTLS {
			t.Errorf("%s: %+v", allowed, d)
		}
	}
}

// TestIsolationWithoutAnAnswer: what is not known is refused.
func TestIsolationWithoutAnAnswer(t *testing.T) {
	p := testPolicy(nil)
	p.isHost = func(netip.Addr) (bool, error) { return false, errors.New("no answer") }
	if d := p.TCP(to("192.0.2.1:80")); !strings.Contains(d.Refused, "no answer") {
		t.Errorf("%+v", d)
	}
}

func TestHostLoopback(t *testing.T) {
	p := testPolicy(nil)
	p.hostLoopback = true
	for from, target := range map[string]string{"10.0.2.2:80": "127.0.0.1:80", "[fd00::2]:80": "[::1]:80", "192.168.1.5:80": "192.168.1.5:80"} {
		if d := p.TCP(to(from)); d.Refused != "" || d.Target != to(target) {
			t.Errorf("%s: %+v", from, d)
		}
	}
	for _, refused := range []string{"10.0.2.3:80", "127.0.0.1:80", "169.254.169.254:80"} {
		if d := p.TCP(to(refused)); d.Refused == "" {
			t.Errorf("%s is allowed", refused)
		}
	}
}

func TestNames(t *testing.T) {
	p := testPolicy(&netns.Egress{AllowHosts: []netns.AllowHost{{Name: "Example.org."}, {Name: "*.wild.test", Ports: []uint16{8443}}}})
	for name, port := range map[string]uint16{"example.org": 443, "EXAMPLE.org.": 80, "a.wild.test": 8443, "a.b.wild.test": 8443} {
		if !p.Name(name) || !p.TLS(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port), name) {
			t.Errorf("%s:%d is not allowed", name, port)
		}
	}
	for name, port := range map[string]uint16{
		"www.example.org": 443, "example.org.evil.test": 443, "notexample.org": 443, "wild.test": 8443, "evilwild.test": 8443,
		".wild.test": 8443, "": 443, ".": 443, "example.org": 8443, "b.wild.test": 443,
	} {
		if p.TLS(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port), name) {
			t.Errorf("%s:%d is allowed", name, port)
		}
	}
}

// TestLeases: an address is known as long as its answer says, at least a
// minute, and as long as a connection to it is open.
func TestLeases(t *testing.T) {
	p := testPolicy(&netns.Egress{AllowHosts: []netns.AllowHost{{Name: "example.org"}}})
	now := time.Now()
	p.egress.now = func() time.Time { return now }
	short, long := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	if !p.Learn("example.org", short, time.Second, false) || !p.Learn("example.org", long, time.Hour, false) {
		t.Fatal("a public address is refused")
	}
	known := func(a netip.Addr) bool { return p.TCP(netip.AddrPortFrom(a, 443)).Refused == "" }
	now = now.Add(59 * time.Second)
	if !known(short) || !known(long) {
		t.Error("forgotten within a minute")
	}
	release := p.Hold(short)
	now = now.Add(2 * time.Second)
	if !known(short) {
		t.Error("forgotten while a connection is open")
	}
	release()
	if known(short) || !known(long) {
		t.Error("the time to live is not kept")
	}
	now = now.Add(2 * time.Hour)
	if known(long) {
		t.Error("never forgotten")
	}
	p.egress.forget()
	if len(p.egress.learned) != 0 {
		t.Errorf("%d addresses are kept", len(p.egress.learned))
	}
}

// TestLearnedIsBounded: a resolver cannot fill the memory.
func TestLearnedIsBounded(t *testing.T) {
	p := testPolicy(&netns.Egress{AllowHosts: []netns.AllowHost{{Name: "*.test"}}})
	for i := range mostLearned + 100 {
		p.Learn("a.test", netip.AddrFrom4([4]byte{45, byte(i >> 16), byte(i >> 8), byte(i)}), time.Hour, false)
	}
	if len(p.egress.learned) > mostLearned {
		t.Errorf("%d addresses", len(p.egress.learned))
	}
}

func TestRebinding(t *testing.T) {
	p := testPolicy(&netns.Egress{
		AllowHosts: []netns.AllowHost{{Name: "example.org"}},
		AllowNets:  []netns.AllowNet{{Prefix: netip.MustParsePrefix("10.1.0.0/16")}},
		DenyNets:   []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")},
	})
	for _, dropped := range []string{
		"10.2.0.1", "172.16.0.1", "192.168.7.7", "192.168.1.5", "127.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "10.0.2.2",
		"::1", "fd12::1", "fe80::1", "::ffff:10.2.0.1", "64:ff9b::a02:1", "203.0.113.1", "224.0.0.1",
	} {
		if p.Learn("example.org", netip.MustParseAddr(dropped), time.Hour, false) {
			t.Errorf("%s is kept", dropped)
		}
	}
	for _, kept := range []string{"10.1.2.3", "192.0.2.1", "2001:db8::1"} {
		if !p.Learn("example.org", netip.MustParseAddr(kept), time.Hour, false) {
			t.Errorf("%s is dropped", kept)
		}
	}
	if d := p.TCP(to("10.2.0.1:443")); d.Refused == "" {
		t.Error("a dropped address is allowed")
	}
}

func TestDeniedIsBounded(t *testing.T) {
	p := testPolicy(&netns.Egress{})
	for i := range mostDenied + 7 {
		p.TCP(netip.AddrPortFrom(netip.AddrFrom4([4]byte{45, 0, byte(i >> 8), byte(i)}), 443))
	}
	list, more := p.Denied()
	if len(list) != mostDenied || more != 7 {
		t.Errorf("%d refusals and %d more", len(list), more)
	}
}

// TestDeniedFlags: the flag is what would allow it.
func TestDeniedFlags(t *testing.T) {
	p := testPolicy(&netns.Egress{AllowHosts: []netns.AllowHost{{Name: "example.org"}}, AllowNets: []netns.AllowNet{{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Ports: []uint16{22}}}})
	p.Learn("example.org", netip.MustParseAddr("192.0.2.1"), time.Hour, false)
	p.TCP(to("192.0.2.1:22"))
	p.TCP(to("192.0.2.9:443"))
	p.TCP(to("[2001:db8::9]:443"))
	p.TCP(to("198.51.100.1:23"))
	p.UDP(to("192.0.2.1:443"))
	p.Ping(netip.MustParseAddr("192.0.2.1"))
	p.TCP(to("169.254.169.254:80"))
	p.TCP(to("127.0.0.1:80"))
	p.Name("other.test.")
	p.Name("1.2.0.192.in-addr.arpa.")
	p.TLS(to("192.0.2.1:443"), "Other.test")
	p.TLS(to("192.0.2.1:443"), "")
	var flags []string
	list, _ := p.Denied()
	for _, d := range list {
		flags = append(flags, d.Flag)
	}
	want := []string{
		"--allow-host example.org:22", "--allow-net 192.0.2.9:443", "--allow-net [2001:db8::9]:443", "--allow-net 198.51.100.1:23", "", "",
		"--allow-metadata", "", "--allow-host other.test", "--allow-host other.test:443", "--allow-net 192.0.2.1:443",
	}
	if !slices.Equal(flags, want) {
		t.Errorf("%q, not %q", flags, want)
	}
}

// TestRoutes asks this machine's kernel.
func TestRoutes(t *testing.T) {
	r := newRoutes()
	for range 2 {
		for address, want := range map[string]bool{"127.0.0.1": true, "::1": true, "192.0.2.1": false} {
			if got, err := r.isHost(netip.MustParseAddr(address)); err != nil || got != want {
				t.Errorf("%s: %v, %v", address, got, err)
			}
		}
	}
}
