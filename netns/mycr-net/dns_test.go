// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"mycr/netns"
)

var sample = map[string][]netip.Addr{
	"one.test":  addresses("192.0.2.1", "2001:db8::1"),
	"many.test": manyAddresses(200),
}

func manyAddresses(count int) (list []netip.Addr) {
	for i := range count {
		list = append(list, netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}))
	}
	return list
}

// TestDNSResolverOnTheLoopback: systemd-resolved's address is the host's own
// loopback, which the container itself does not reach.
func TestDNSResolverOnTheLoopback(t *testing.T) {
	startNameserver(t, nil, "127.0.0.53", sample)
	path := resolvConf(t, "127.0.0.53")
	c := startContainer(t, func(config *netns.HelperConfig) { config.ResolvConf = path })
	for _, server := range []string{"10.0.2.3", "fd00::3"} {
		for _, network := range []string{"udp", "tcp"} {
			got, err := c.lookup(t, network, server, "one.test", dnsmessage.TypeA)
			if err != nil || !slices.Equal(got.addresses, addresses("192.0.2.1")) {
				t.Errorf("%s %s: %+v, %v", network, server, got, err)
			}
		}
	}
	c.wantAddresses(t, "one.test", dnsmessage.TypeAAAA, "2001:db8::1")
	if got, err := c.lookup(t, "udp", "10.0.2.3", "none.test", dnsmessage.TypeA); err != nil || got.RCode != dnsmessage.RCodeNameError {
		t.Errorf("a name that is not: %+v, %v", got, err)
	}
}

// TestDNSLargeAnswers: truncated by UDP, whole by TCP.
func TestDNSLargeAnswers(t *testing.T) {
	server := startNameserver(t, world, worldAddress, sample)
	path := resolvConf(t, worldAddress)
	c := startContainer(t, func(config *netns.HelperConfig) { config.ResolvConf = path })
	if got, err := c.lookup(t, "udp", "10.0.2.3", "many.test", dnsmessage.TypeA); err != nil || !got.truncated {
		t.Errorf("by UDP: %+v, %v", got, err)
	}
	if got, err := c.lookup(t, "tcp", "10.0.2.3", "many.test", dnsmessage.TypeA); err != nil || !slices.Equal(got.addresses, manyAddresses(200)) {
		t.Errorf("by TCP: %+v, %v", got, err)
	}
	server.change(func(s *nameserver) {
		if want := []string{"udp many.test.", "tcp many.test."}; !slices.Equal(s.queries, want) {
			t.Errorf("the resolver was asked %q, not %q", s.queries, want)
		}
	})
}

// TestDNSFollowsTheFile: written, replaced, a link that is changed, removed.
func TestDNSFollowsTheFile(t *testing.T) {
	for i := range 4 {
		startNameserver(t, nil, fmt.Sprintf("127.0.1.%d", i), map[string][]netip.Addr{
			"which.test": addresses(fmt.Sprintf("192.0.2.%d", i)),
		})
	}
	path := resolvConf(t, "127.0.1.0")
	c := startContainer(t, func(config *netns.HelperConfig) { config.ResolvConf = path })
	c.wantAddresses(t, "which.test", dnsmessage.TypeA, "192.0.2.0")

	writeResolvConf(t, path, "127.0.1.1")
	c.wantAddresses(t, "which.test", dnsmessage.TypeA, "192.0.2.1")

	other := filepath.Join(t.TempDir(), "other")
	writeResolvConf(t, other, "127.0.1.2")
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	c.wantAddresses(t, "which.test", dnsmessage.TypeA, "192.0.2.2")

	writeResolvConf(t, other, "127.0.1.3")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, path); err != nil {
		t.Fatal(err)
	}
	c.wantAddresses(t, "which.test", dnsmessage.TypeA, "192.0.2.3")
}

// TestDNSNextServer: one that is not there, and one that fails.
func TestDNSNextServer(t *testing.T) {
	failing := startNameserver(t, nil, "127.0.2.2", nil)
	failing.change(func(s *nameserver) { s.code = dnsmessage.RCodeServerFailure })
	startNameserver(t, nil, "127.0.2.3", sample)
	path := resolvConf(t, "127.0.2.1", "127.0.2.2", "127.0.2.3")
	c := startContainer(t, func(config *netns.HelperConfig) { config.ResolvConf = path })
	c.wantAddresses(t, "one.test", dnsmessage.TypeA, "192.0.2.1")
	c.wantAddresses(t, "one.test", dnsmessage.TypeAAAA, "2001:db8::1")
	failing.change(func(s *nameserver) {
		if len(s.queries) != 1 {
			t.Errorf("the failing server was asked %d times: the one that answered is not asked first", len(s.queries))
		}
	})
}

func TestDNSWithoutServersFails(t *testing.T) {
	path := resolvConf(t, "127.0.2.9")
	c := startContainer(t, func(config *netns.HelperConfig) { config.ResolvConf = path })
	if got, err := c.lookup(t, "udp", "10.0.2.3", "one.test", dnsmessage.TypeA); err != nil || got.RCode != dnsmessage.RCodeServerFailure {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDNSAddHosts(t *testing.T) {
	server := startNameserver(t, nil, "127.0.0.53", sample)
	path := resolvConf(t, "127.0.0.53")
	c := startContainer(t, func(config *netns.HelperConfig) {
		config.ResolvConf = path
		config.AddHosts = map[string][]netip.Addr{"Mine.test": addresses("10.9.0.1", "fd09::1")}
	})
	c.wantAddresses(t, "mine.TEST", dnsmessage.TypeA, "10.9.0.1")
	c.wantAddresses(t, "mine.test", dnsmessage.TypeAAAA, "fd09::1")
	if got, err := c.lookup(t, "udp", "10.0.2.3", "mine.test", dnsmessage.TypeMX); err != nil || got.RCode != 0 || len(got.addresses) != 0 {
		t.Errorf("another type: %+v, %v", got, err)
	}
	server.change(func(s *nameserver) {
		if len(s.queries) != 0 {
			t.Errorf("the resolver was asked %q", s.queries)
		}
	})
	c.wantAddresses(t, "one.test", dnsmessage.TypeA, "192.0.2.1")
}
