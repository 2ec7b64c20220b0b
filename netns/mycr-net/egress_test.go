// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"mycr/netns"
)

// serveTLS answers any name with "secret".
func serveTLS(t testing.TB, address string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}}
	world.listen(t, address, func(c *net.TCPConn) {
		secure := tls.Server(c, config)
		io.WriteString(secure, "secret")
		secure.Close()
	})
}

// tlsTo says a name to an address.
func (c *container) tlsTo(address, name string) error {
	conn, err := c.dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(limit))
	got, err := io.ReadAll(tls.Client(conn, &tls.Config{ServerName: name, InsecureSkipVerify: true}))
	if err != nil {
		return err
	}
	if string(got) != "secret" {
		return fmt.Errorf("got %q", got)
	}
	return nil
}

// restricted is a container that may connect to allowed.test, and to names below
// wild.test on port 8443.
func restricted(t *testing.T, change func(*netns.HelperConfig)) *container {
	t.Helper()
	startNameserver(t, nil, "127.0.0.53", map[string][]netip.Addr{
		"allowed.test":   addresses("192.0.2.1", "2001:db8::1"),
		"other.test":     addresses("198.51.100.7"),
		"a.wild.test":    addresses("198.51.100.7"),
		"wild.test":      addresses("198.51.100.7"),
		"rebinding.test": addresses("127.0.0.1", "10.9.0.1", hostAddress, "169.254.169.254", "fd09::1", "::1", "64:ff9b::a09:1", "192.0.2.1"),
		"many.test":      manyAddresses(200),
	})
	path := resolvConf(t, "127.0.0.53")
	return startContainer(t, func(config *netns.HelperConfig) {
		config.ResolvConf = path
		config.Egress = &netns.Egress{AllowHosts: []netns.AllowHost{
			{Name: "allowed.test"}, {Name: "rebinding.test"}, {Name: "many.test"}, {Name: "*.wild.test", Ports: []uint16{8443}},
		}}
		if change != nil {
			change(config)
		}
	})
}

// wantDenied wants the list of what was refused to be this.
func (c *container) wantDenied(t *testing.T, want ...netns.Denied) {
	t.Helper()
	got := c.ask(t, netns.HelperRequest{Denied: true}).Denied
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("denied:\n%+v\nwant:\n%+v", got, want)
	}
}

func TestEgressByName(t *testing.T) {
	for _, address := range []string{"192.0.2.1:80", "192.0.2.1:81", "198.51.100.7:80", "[2001:db8::1]:80"} {
		world.listen(t, address, hello("the world"))
	}
	c := restricted(t, nil)
	c.wantRefused(t, "192.0.2.1:80") // not asked for yet
	c.wantAddresses(t, "allowed.test", dnsmessage.TypeA, "192.0.2.1")
	c.wantAddresses(t, "ALLOWED.test", dnsmessage.TypeAAAA, "2001:db8::1")
	c.wantReached(t, "192.0.2.1:80", "the world")
	c.wantReached(t, "[2001:db8::1]:80", "the world")
	c.wantRefused(t, "192.0.2.1:81")
	if got, err := c.lookup(t, "udp", "10.0.2.3", "other.test", dnsmessage.TypeA); err != nil || got.RCode != dnsmessage.RCodeRefused {
		t.Errorf("another name: %+v, %v", got, err)
	}
	c.wantRefused(t, "198.51.100.7:80")
	c.wantRefused(t, "198.51.100.7:80")
	c.wantDenied(t,
		netns.Denied{Protocol: "tcp", Destination: "192.0.2.1:80", Reason: "no allowed name has this address", Count: 1, Flag: "--allow-net 192.0.2.1:80"},
		netns.Denied{Protocol: "tcp", Destination: "192.0.2.1:81", Name: "allowed.test", Reason: "not an allowed port", Count: 1, Flag: "--allow-host allowed.test:81"},
		netns.Denied{Protocol: "dns", Destination: "other.test", Reason: "not an allowed name", Count: 1, Flag: "--allow-host other.test"},
		netns.Denied{Protocol: "tcp", Destination: "198.51.100.7:80", Reason: "no allowed name has this address", Count: 2, Flag: "--allow-net 198.51.100.7:80"},
	)
}

func TestEgressTLSName(t *testing.T) {
	serveTLS(t, "192.0.2.1:443")
	serveTLS(t, "192.0.2.1:80")
	serveTLS(t, "198.51.100.7:8443")
	c := restricted(t, nil)
	c.wantAddresses(t, "allowed.test", dnsmessage.TypeA, "192.0.2.1")
	c.wantAddresses(t, "a.wild.test", dnsmessage.TypeA, "198.51.100.7")
	if got, err := c.lookup(t, "udp", "10.0.2.3", "wild.test", dnsmessage.TypeA); err != nil || got.RCode != dnsmessage.RCodeRefused {
		t.Errorf("the name itself of *.wild.test: %+v, %v", got, err)
	}
	for _, one := range []struct {
		address, name string
		allowed       bool
	}{
		{"192.0.2.1:443", "allowed.test", true},
		{"192.0.2.1:443", "Allowed.TEST", true},
		{"192.0.2.1:443", "shared.test", false},
		{"192.0.2.1:443", "", false},
		{"192.0.2.1:443", "a.wild.test", false}, // on another port only
		{"192.0.2.1:80", "allowed.test", true},
		{"192.0.2.1:80", "shared.test", false}, // TLS on any port
		{"198.51.100.7:8443", "b.wild.test", true},
		{"198.51.100.7:8443", "wild.test", false},
	} {
		err := c.tlsTo(one.address, one.name)
		if one.allowed && err != nil || !one.allowed && !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("%s as %q: %v", one.address, one.name, err)
		}
	}
	// What is not TLS has no business on 443.
	conn, err := c.dial("tcp", "192.0.2.1:443")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
	conn.SetDeadline(time.Now().Add(limit))
	if _, err := io.ReadAll(conn); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("plain text on 443: %v", err)
	}
}

// TestEgressTLSNameInPieces sends a hello byte by byte.
func TestEgressTLSNameInPieces(t *testing.T) {
	serveTLS(t, "192.0.2.1:443")
	c := restricted(t, nil)
	c.wantAddresses(t, "allowed.test", dnsmessage.TypeA, "192.0.2.1")
	for name, allowed := range map[string]bool{"allowed.test": true, "shared.test": false} {
		conn, err := c.dial("tcp", "192.0.2.1:443")
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(limit))
		_, err = io.ReadAll(tls.Client(pieces{conn}, &tls.Config{ServerName: name, InsecureSkipVerify: true}))
		conn.Close()
		if (err == nil) != allowed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// pieces writes one byte at once.
type pieces struct{ net.Conn }

func (p pieces) Write(data []byte) (int, error) {
	for i := range data {
		if _, err := p.Conn.Write(data[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(data), nil
}

// TestEgressServerSpeaksFirst: a protocol that is not TLS, on another port.
func TestEgressServerSpeaksFirst(t *testing.T) {
	world.listen(t, "192.0.2.1:80", func(c *net.TCPConn) {
		io.WriteString(c, "who?")
		text, _ := io.ReadAll(c)
		io.WriteString(c, "hello "+string(text))
	})
	c := restricted(t, nil)
	c.wantAddresses(t, "allowed.test", dnsmessage.TypeA, "192.0.2.1")
	conn, err := c.dial("tcp", "192.0.2.1:80")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(limit))
	question := make([]byte, 4)
	if _, err := io.ReadFull(conn, question); err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "me")
	conn.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(conn); err != nil || string(got) != "hello me" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestEgressRebinding(t *testing.T) {
	world.listen(t, worldAddress+":80", hello("private"))
	c := restricted(t, nil)
	c.wantAddresses(t, "rebinding.test", dnsmessage.TypeA, "192.0.2.1")
	c.wantAddresses(t, "rebinding.test", dnsmessage.TypeAAAA)
	c.wantRefused(t, worldAddress+":80")

	open := startContainer(t, func(config *netns.HelperConfig) {
		config.ResolvConf = c.config.ResolvConf
		config.Egress = &netns.Egress{
			AllowHosts: c.config.Egress.AllowHosts,
			AllowNets:  []netns.AllowNet{{Prefix: netip.MustParsePrefix("10.9.0.1/32"), Ports: []uint16{80}}, {Prefix: netip.MustParsePrefix("127.0.0.0/8")}},
		}
	})
	open.wantAddresses(t, "rebinding.test", dnsmessage.TypeA, "127.0.0.1", "10.9.0.1", "192.0.2.1")
	open.wantReached(t, worldAddress+":80", "private")
}

func TestEgressNets(t *testing.T) {
	for _, address := range []string{"192.0.2.1:5432", "192.0.2.1:5433", "198.51.100.7:80", "203.0.113.9:80"} {
		world.listen(t, address, hello("the world"))
	}
	c := restricted(t, func(config *netns.HelperConfig) {
		config.Egress.AllowNets = []netns.AllowNet{
			{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Ports: []uint16{5432}}, {Prefix: netip.MustParsePrefix("198.51.0.0/16")},
			{Prefix: netip.MustParsePrefix(hostAddress + "/32")},
		}
		config.Egress.DenyNets = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	})
	onHost(t, hostAddress+":80", "the host")
	c.wantReached(t, "192.0.2.1:5432", "the world")
	c.wantRefused(t, "192.0.2.1:5433")
	c.wantRefused(t, "198.51.100.7:80")
	c.wantRefused(t, hostAddress+":80")
	c.wantDenied(t,
		netns.Denied{Protocol: "tcp", Destination: "192.0.2.1:5433", Reason: "not an allowed port", Count: 1, Flag: "--allow-net 192.0.2.1:5433"},
		netns.Denied{Protocol: "tcp", Destination: "198.51.100.7:80", Reason: "denied by --deny-net", Count: 1},
		netns.Denied{Protocol: "tcp", Destination: hostAddress + ":80", Reason: "the host's own address", Count: 1, Flag: "--host-loopback"},
	)

	rest := startContainer(t, func(config *netns.HelperConfig) {
		config.Egress = &netns.Egress{AllowRest: true, DenyNets: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}
	})
	rest.wantReached(t, "203.0.113.9:80", "the world")
	rest.wantRefused(t, "198.51.100.7:80")
}

// TestEgressNothingBesides: neither UDP, nor ping, nor another name server.
func TestEgressNothingBesides(t *testing.T) {
	startNameserver(t, world, "192.0.2.1", sample)
	echoUDP(world.listenUDP(t, "192.0.2.1:443"))
	c := restricted(t, nil)
	c.do(func() {
		if err := writeFile("/proc/sys/net/ipv4/ping_group_range", "0 0"); err != nil {
			t.Error(err)
		}
	})
	c.wantAddresses(t, "allowed.test", dnsmessage.TypeA, "192.0.2.1")
	if err := c.ping(t, "192.0.2.1"); !errors.Is(err, unix.EHOSTUNREACH) {
		t.Errorf("ping: %v", err)
	}
	if got, err := c.lookup(t, "udp", "192.0.2.1", "one.test", dnsmessage.TypeA); !errors.Is(err, unix.EHOSTUNREACH) {
		t.Errorf("DNS by UDP: %+v, %v", got, err)
	}
	if got, err := c.lookup(t, "tcp", "192.0.2.1", "one.test", dnsmessage.TypeA); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("DNS by TCP: %+v, %v", got, err)
	}
	conn, err := c.dial("udp", "192.0.2.1:443")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := ping(conn, []byte("quic")); !errors.Is(err, unix.EHOSTUNREACH) {
		t.Errorf("UDP: %v", err)
	}
}

// TestEgressDNSTypes: what would lead around the list is not answered, and a
// large answer is asked for by TCP.
func TestEgressDNSTypes(t *testing.T) {
	c := restricted(t, nil)
	for _, kind := range []dnsmessage.Type{dnsmessage.TypeHTTPS, dnsmessage.TypeSVCB, dnsmessage.TypeALL} {
		if got, err := c.lookup(t, "udp", "10.0.2.3", "allowed.test", kind); err != nil || got.RCode != 0 || len(got.addresses) > 0 {
			t.Errorf("%v: %+v, %v", kind, got, err)
		}
	}
	if got, err := c.lookup(t, "udp", "10.0.2.3", "many.test", dnsmessage.TypeA); err != nil || !got.truncated {
		t.Errorf("by UDP: %v, %v", got.RCode, err)
	}
	if got, err := c.lookup(t, "tcp", "10.0.2.3", "many.test", dnsmessage.TypeA); err != nil || len(got.addresses) != 200 {
		t.Errorf("by TCP: %d addresses, %v", len(got.addresses), err)
	}
}

// TestEgressAddHosts: an address that the user gave by hand may be private.
func TestEgressAddHosts(t *testing.T) {
	world.listen(t, worldAddress+":80", hello("private"))
	c := restricted(t, func(config *netns.HelperConfig) {
		config.AddHosts = map[string][]netip.Addr{"allowed.test": addresses(worldAddress), "other.test": addresses("192.0.2.1")}
	})
	c.wantRefused(t, worldAddress+":80")
	c.wantAddresses(t, "allowed.test", dnsmessage.TypeA, worldAddress)
	c.wantReached(t, worldAddress+":80", "private")
	if got, err := c.lookup(t, "udp", "10.0.2.3", "other.test", dnsmessage.TypeA); err != nil || got.RCode != dnsmessage.RCodeRefused {
		t.Errorf("a name that is not allowed: %+v, %v", got, err)
	}
}

// TestEgressHostLoopback: the host's loopback is not on the list by being
// mapped.
func TestEgressHostLoopback(t *testing.T) {
	onHost(t, "127.0.0.1:7010", "the host")
	c := restricted(t, func(config *netns.HelperConfig) {
		config.HostLoopback = true
		config.Egress.AllowNets = []netns.AllowNet{{Prefix: netip.MustParsePrefix("10.0.2.2/32"), Ports: []uint16{7010}}}
	})
	c.wantReached(t, "10.0.2.2:7010", "the host")
	c.wantRefused(t, "10.0.2.2:7011")
}
