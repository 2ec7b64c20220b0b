// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"mycr/netns"
)

func port(protocol, host string, hostPort, containerPort uint16) netns.Port {
	p := netns.Port{Protocol: protocol, HostPort: hostPort, ContainerPort: containerPort}
	if host != "" {
		p.HostAddress = netip.MustParseAddr(host)
	}
	return p
}

// TestPublishTCP: on one loopback, on the other, on all addresses; from the
// host and from the world.
func TestPublishTCP(t *testing.T) {
	c := startContainer(t, func(config *netns.HelperConfig) {
		config.Ports = []netns.Port{
			port("tcp", "127.0.0.1", 8080, 80),
			port("tcp", "::1", 8080, 80),
			port("tcp", "", 8081, 80),
			port("tcp", "127.0.0.1", 0, 80),
		}
	})
	c.namespace.listen(t, "0.0.0.0:80", echo) // by IPv4 alone
	if len(c.ready.Ports) != 5 || c.ready.Ports[0] != (netns.HelperPort{Host: netip.MustParseAddrPort("127.0.0.1:8080"), Container: 80, Protocol: "tcp"}) {
		t.Fatalf("ready: %+v", c.ready.Ports)
	}
	chosen := c.ready.Ports[4].Host.String()
	for _, address := range []string{"127.0.0.1:8080", "[::1]:8080", "127.0.0.1:8081", "[::1]:8081", hostAddress + ":8081", chosen} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if err := talk(conn, "to "+address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{hostAddress + ":8081", "[" + hostAddress6 + "]:8081"} {
		conn, err := world.dial("tcp", address)
		if err != nil {
			t.Errorf("from the world to %s: %v", address, err)
			continue
		}
		if err := talk(conn, "to "+address); err != nil {
			t.Errorf("from the world to %s: %v", address, err)
		}
	}
	if conn, err := world.dial("tcp", hostAddress+":8080"); err == nil {
		conn.Close()
		t.Error("what is published on the loopback is reached from the world")
	}
}

func TestPublishUDP(t *testing.T) {
	c := startContainer(t, func(config *netns.HelperConfig) {
		config.Ports = []netns.Port{port("udp", "127.0.0.1", 5000, 5001), port("udp", "", 5002, 5001)}
	})
	echoUDP(c.listenUDP(t, "0.0.0.0:5001"))
	for _, address := range []string{"127.0.0.1:5000", "127.0.0.1:5002", "[::1]:5002", hostAddress + ":5002"} {
		conn, err := net.Dial("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := ping(conn, []byte("to "+address)); err != nil {
			t.Errorf("%s: %v", address, err)
		}
		conn.Close()
	}
	conn, err := world.dial("udp", hostAddress+":5002")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := ping(conn, []byte("from the world")); err != nil {
		t.Error(err)
	}
}

func TestPublishAtRunTime(t *testing.T) {
	c := startContainer(t, nil)
	c.namespace.listen(t, "[::]:80", echo)
	if answer := c.ask(t, netns.HelperRequest{Ports: true}); len(answer.Ports) != 0 || answer.Error != "" {
		t.Errorf("%+v", answer)
	}
	wanted := []netns.Port{port("tcp", "127.0.0.1", 8090, 80), port("udp", "::1", 8090, 80)}
	answer := c.ask(t, netns.HelperRequest{Publish: wanted})
	if answer.Error != "" || fmt.Sprint(answer.Ports) != "[{127.0.0.1:8090 80 tcp} {[::1]:8090 80 udp}]" {
		t.Fatalf("%+v", answer)
	}
	conn, err := net.Dial("tcp", "127.0.0.1:8090")
	if err != nil {
		t.Fatal(err)
	}
	if err := talk(conn, "later"); err != nil {
		t.Error(err)
	}
	// All or none.
	wanted = []netns.Port{port("tcp", "127.0.0.1", 8091, 80), port("tcp", "127.0.0.1", 8090, 80)}
	answer = c.ask(t, netns.HelperRequest{Publish: wanted})
	if want := fmt.Sprintf("publish 127.0.0.1:8090/tcp: the port is taken by %s (pid %d)", comm(t), c.helper.Process.Pid); !strings.HasPrefix(answer.Error, want) {
		t.Errorf("%q does not begin with %q", answer.Error, want)
	}
	if conn, err := net.Dial("tcp", "127.0.0.1:8091"); err == nil {
		conn.Close()
		t.Error("one of two ports is published")
	}
	if answer := c.ask(t, netns.HelperRequest{Ports: true}); len(answer.Ports) != 2 {
		t.Errorf("%+v", answer)
	}
	if answer := c.ask(t, netns.HelperRequest{}); answer.Error == "" {
		t.Error("an empty request is no error")
	}
}

// comm is the name of this process, and of mycr-net in the tests.
func comm(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// TestPublishTakenPort names the one that has it, on an address that overlaps
// too.
func TestPublishTakenPort(t *testing.T) {
	first := startContainer(t, func(config *netns.HelperConfig) {
		config.Ports = []netns.Port{port("tcp", "0.0.0.0", 8100, 80), port("udp", "::1", 8100, 80)}
	})
	for _, p := range []netns.Port{port("tcp", "127.0.0.1", 8100, 80), port("udp", "::1", 8100, 80), port("tcp", "", 8100, 80)} {
		c := launch(t, func(config *netns.HelperConfig) { config.Ports = []netns.Port{p} })
		if want := fmt.Sprintf("the port is taken by %s (pid %d)", comm(t), first.helper.Process.Pid); !strings.Contains(c.ready.Error, want) || c.ready.Hint == "" {
			t.Errorf("%+v: %+v has no %q", p, c.ready, want)
		}
		c.helper.Wait()
		if status := c.helper.ProcessState.ExitCode(); status != 1 {
			t.Errorf("exit status %d", status)
		}
	}
}

// TestPublishLowPort is run without the capability, as by an ordinary user.
func TestPublishLowPort(t *testing.T) {
	c := launchAs(t, func(config *netns.HelperConfig) {
		config.Ports = []netns.Port{port("tcp", "127.0.0.1", 80, 80)}
	}, withoutCapabilities)
	if !strings.HasPrefix(c.ready.Error, "publish 127.0.0.1:80/tcp: ports below 1024 need a privilege") ||
		c.ready.Hint != "publish port 8080 instead, or as root type: sysctl net.ipv4.ip_unprivileged_port_start=80" {
		t.Errorf("%+v", c.ready)
	}
}

func TestPublishAddressThatIsNotTheHosts(t *testing.T) {
	c := launch(t, func(config *netns.HelperConfig) { config.Ports = []netns.Port{port("tcp", "192.0.2.200", 8080, 80)} })
	if !strings.HasPrefix(c.ready.Error, "publish 192.0.2.200:8080/tcp: the host does not have this address") || c.ready.Hint == "" {
		t.Errorf("%+v", c.ready)
	}
}
