// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// throughOutside has the world connect to an address of the host.
func throughOutside(t *testing.T, network, address string) error {
	t.Helper()
	conn, err := net.Dial("tcp", join(worldGateway, dialPort))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintln(conn, network, address)
	text, err := io.ReadAll(conn)
	if err == nil && string(text) != "ok\n" {
		err = fmt.Errorf("from outside: %s", text)
	}
	return err
}

func TestNetworkPublishedOnLoopback(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		port := freePort(t)
		addresses := []string{"127.0.0.1"}
		if d.can(featurePublish6) && d.can(featureTwoAddresses) {
			addresses = append(addresses, "[::1]")
		}
		flags := []string{"--network", d.name}
		for _, address := range addresses {
			for number, protocol := range map[int]string{echoPort: "/tcp", bannerPort: "", resetPort: "", halfPort: "", bulkPort: ""} {
				flags = append(flags, "-p", fmt.Sprintf("%s:%d:%d%s", address, port+number, number, protocol))
			}
			if d.can(featurePublishUDP) {
				flags = append(flags, "-p", fmt.Sprintf("%s:%d:%d/udp", address, port, echoPort))
			}
		}
		b := serve(t, flags...)
		for _, address := range addresses {
			at := func(number int) string { return fmt.Sprintf("%s:%d", address, port+number) }
			if d.can(featureHalfClose) {
				if err := halfClose(at(halfPort)); err != nil {
					t.Errorf("half at %s: %v", address, err)
				}
			}
			for what, err := range map[string]error{
				"tcp":   talk("tcp", at(echoPort), 1000),
				"udp":   d.talkUDP(at(0)),
				"reset": d.wantReset(at(resetPort)),
				"up":    bulkUp(at(bulkPort), 10<<20),
				"down":  bulkDown(at(bulkPort), 10<<20, nil),
				"many":  many(at(echoPort), d.many()),
			} {
				if err != nil {
					t.Errorf("%s at %s: %v", what, address, err)
				}
			}
		}
		// What is published on the loopback is not for others.
		if throughOutside(t, "tcp", fmt.Sprintf("%s:%d", hostAddress, port+echoPort)) == nil {
			t.Error("the port on 127.0.0.1 answers from outside")
		}
		b.end()
		if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port+echoPort)); err == nil {
			conn.Close()
			t.Error("the port still answers after delete")
		}
	})
}

// published are the protocols that it publishes.
func (d driver) published() []string {
	if d.can(featurePublishUDP) {
		return []string{"tcp", "udp"}
	}
	return []string{"tcp"}
}

func (d driver) talkUDP(address string) error {
	if !d.can(featurePublishUDP) {
		return nil
	}
	return talk("udp", address, 1000)
}

func (d driver) wantReset(address string) error {
	if !d.can(featureReset) {
		return nil
	}
	return wantReset(address)
}

// many is how many connections at once its published ports take: libslirp listens with a backlog of 1.
func (d driver) many() int {
	if d.name == "slirp4netns" {
		return 1
	}
	return 200
}

// TestNetworkPublishedForAll: the form without an address, as the first line has it.
func TestNetworkPublishedForAll(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		port := freePort(t)
		b := serve(t, "--network", d.name, "-p", fmt.Sprintf("%d:%d", port, echoPort), "-p", fmt.Sprintf("%d:%d/udp", port, echoPort))
		for _, address := range []string{"127.0.0.1", "[::1]", hostAddress} {
			for _, network := range d.published() {
				if err := talk(network, fmt.Sprintf("%s:%d", address, port), 100); err != nil {
					t.Errorf("%s at %s: %v", network, address, err)
				}
			}
		}
		others := []string{hostAddress}
		if d.can(featurePublish6Outside) {
			others = append(others, "["+hostAddress6+"]")
		}
		for _, address := range others {
			for _, network := range d.published() {
				if err := throughOutside(t, network, fmt.Sprintf("%s:%d", address, port)); err != nil {
					t.Errorf("%s to %s: %v", network, address, err)
				}
			}
		}
		b.end()
	}, featurePublish6)
}

// TestNetworkPublishedForAllByIPv4: for a driver without IPv6 the wildcard is that of IPv4.
func TestNetworkPublishedForAllByIPv4(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		port := freePort(t)
		b := serve(t, "--network", d.name, "-p", fmt.Sprintf("0.0.0.0:%d:%d", port, echoPort))
		if err := talk("tcp", fmt.Sprintf("127.0.0.1:%d", port), 100); err != nil {
			t.Error(err)
		}
		if err := throughOutside(t, "tcp", fmt.Sprintf("%s:%d", hostAddress, port)); err != nil {
			t.Error(err)
		}
		b.end()
	})
}

func TestNetworkPublishedRange(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		port := freePort(t)
		b := serve(t, "--network", d.name, "-p", fmt.Sprintf("127.0.0.1:%d-%d:%d-%d", port, port+4, bannerPort-1, bannerPort+3))
		if text, err := banner(fmt.Sprintf("127.0.0.1:%d", port+1)); err != nil || !strings.HasPrefix(text, "inside") {
			t.Errorf("the banner's port: %q, %v", text, err)
		}
		if err := bulkDown(fmt.Sprintf("127.0.0.1:%d", port+4), 1000, nil); err != nil {
			t.Error(err)
		}
		b.end()
	})
}

func TestNetworkPortTaken(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		_, port, _ := net.SplitHostPort(taken.Addr().String())
		b := newBox(t)
		dir := b.netBundle(args("sleep", "300"))
		r := b.run("run", "--network", d.name, "-p", "127.0.0.1:"+port+":80", "-b", dir, "n1")
		if r.status == 0 {
			t.Fatalf("no error: %v", r)
		}
		oneErrorLine(t, r, port)
		b.nothingLeft()
	})
}

// TestNetworkPortTakenNamesOwner: this process has it, and can be seen.
func TestNetworkPortTakenNamesOwner(t *testing.T) {
	needBed(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	b := newBox(t)
	dir := b.netBundle()
	r := b.run("run", "--network", "internal", "-p", "127.0.0.1:"+port+":80", "-b", dir, "n1")
	oneErrorLine(t, r, port, "integration.tes")
}

func TestNetworkPrivilegedPort(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		b := newBox(t)
		dir := b.netBundle(args("sleep", "300"))
		r := b.run("run", "--network", d.name, "-p", "127.0.0.1:81:80", "-b", dir, "n1")
		if r.status == 0 {
			t.Fatalf("no error: %v", r)
		}
		oneErrorLine(t, r, "81", "ip_unprivileged_port_start")
		b.nothingLeft()
	})
}

// TestNetworkPublishLive: a port for a container that runs.
func TestNetworkPublishLive(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		port := freePort(t)
		b := serve(t, "--network", d.name)
		spec := fmt.Sprintf("127.0.0.1:%d:%d", port, echoPort)
		r := b.run("publish", "n1", spec)
		if d.can(featureLivePublish) {
			if r.status != 0 {
				t.Error(r)
			}
			if err := talk("tcp", fmt.Sprintf("127.0.0.1:%d", port), 100); err != nil {
				t.Error(err)
			}
			if r := b.must("port", "n1"); r.stdout != fmt.Sprintf("%d/tcp -> 127.0.0.1:%d\n", echoPort, port) {
				t.Error(r)
			}
			if s := b.network("n1"); len(s.Ports) != 1 {
				t.Errorf("state: %+v", s)
			}
			if r := b.run("publish", "n1", spec); r.status == 0 {
				t.Errorf("twice: %v", r)
			} else {
				oneErrorLine(t, r, fmt.Sprint(port))
			}
		} else if r.status == 0 {
			t.Errorf("not refused: %v", r)
		} else {
			oneErrorLine(t, r, d.name, "--network internal")
		}
		b.end()
	})
}

// TestNetworkRefusedByName: what a driver lacks is an error that names it, with the driver that can as the hint.
func TestNetworkRefusedByName(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		for feature, flags := range d.lacks {
			var edits []edit
			if feature == featureMetadata {
				edits = append(edits, capabilities("CAP_NET_ADMIN"))
			} else if flags == nil {
				continue
			}
			b := newBox(t)
			dir := b.netBundle(edits...)
			r := b.run(append(append([]string{"run", "--network", d.name}, flags...), "-b", dir, "n1")...)
			if r.status == 0 {
				t.Errorf("%s: not refused: %v", feature, r)
				continue
			}
			oneErrorLine(t, r, d.name, "--network internal")
			b.nothingLeft()
		}
	})
}

// TestNetworkBadFlags: what cannot be is an error with the word in it.
func TestNetworkBadFlags(t *testing.T) {
	needBed(t)
	b := newBox(t)
	dir := b.netBundle()
	for _, flags := range [][]string{
		{"--network", "bridge"},
		{"-p", "8080:70000"}, {"-p", "8080:80/sctp"}, {"-p", "1.2.3:8080:80"}, {"-p", "8000-8002:80-81"},
		{"--dns", "nobody"}, {"--add-host", "name"}, {"--add-host", "name:address"},
		{"--mtu", "12"}, {"--mtu", "70000"}, {"--subnet", "10.0.0.0"}, {"--subnet", "10.0.0.0/32"}, {"--ipv6", "maybe"},
		{"--allow-net", "10.0.0.0/33"}, {"--allow-host", "a b"}, {"--deny-net", "x"}, {"--network-timeout", "soon"},
	} {
		words := []string{"run"}
		if flags[0] != "--network" {
			words = append(words, "--network", "internal")
		}
		r := b.run(append(append(words, flags...), "-b", dir, "n1")...)
		if r.status == 0 {
			t.Errorf("%q: no error", flags)
			continue
		}
		oneErrorLine(t, r, strings.TrimLeft(flags[0], "-"))
		b.nothingLeft()
	}
}
