// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mycr/netns"
)

// wantEnd wants mycr-net to end by itself.
func (c *container) wantEnd(t testing.TB, status int) {
	t.Helper()
	timer := time.AfterFunc(limit, func() { c.helper.Process.Kill() })
	c.helper.Wait()
	if !timer.Stop() {
		t.Error("mycr-net did not end")
	}
	if got := c.helper.ProcessState.ExitCode(); got != status {
		t.Errorf("exit status %d, not %d", got, status)
	}
}

func TestLifetimeEndsWithInit(t *testing.T) {
	c := startContainer(t, func(config *netns.HelperConfig) {
		config.Ports = []netns.Port{port("tcp", "127.0.0.1", 8200, 80)}
	})
	c.init.Process.Kill()
	c.wantEnd(t, 0)
	if conn, err := net.Dial("tcp", "127.0.0.1:8200"); err == nil {
		conn.Close()
		t.Error("the port is still published")
	}
}

func TestLifetimeEndsBySIGTERM(t *testing.T) {
	c := startContainer(t, nil)
	c.helper.Process.Signal(unix.SIGTERM)
	c.wantEnd(t, 0)
}

// TestLifetimeEndsWithTheDevice: without it there is nothing to do.
func TestLifetimeEndsWithTheDevice(t *testing.T) {
	c := startContainer(t, nil)
	var err error
	c.do(func() { err = ip("link del eth0") })
	if err != nil {
		t.Fatal(err)
	}
	c.wantEnd(t, 1)
}

// TestLifetimeSurvivesTheDeviceDown: the container's root may take it down, and
// up again.
func TestLifetimeSurvivesTheDeviceDown(t *testing.T) {
	c := startContainer(t, nil)
	server := world.listen(t, worldAddress+":0", echo)
	var err error
	c.do(func() {
		err = ip("link set eth0 down", "link set eth0 address 02:00:00:00:00:77", "link set eth0 up", "route add default via 10.0.2.2")
	})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := c.dial("tcp", server.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := talk(conn, "again"); err != nil {
		t.Error(err)
	}
}

// TestOneVersionOfIP: a container without IPv6, and one without IPv4.
func TestOneVersionOfIP(t *testing.T) {
	four := startContainer(t, func(config *netns.HelperConfig) {
		config.Address6, config.Gateway6, config.DNS = netip.Prefix{}, netip.Addr{}, addresses("10.0.2.3")
		config.Ports = []netns.Port{port("tcp", "", 8210, 80), port("udp", "", 8210, 80)}
	})
	four.namespace.listen(t, "0.0.0.0:80", echo)
	echoUDP(four.listenUDP(t, "0.0.0.0:80"))
	six := startContainer(t, func(config *netns.HelperConfig) {
		config.Address4, config.Gateway4, config.DNS = netip.Prefix{}, netip.Addr{}, addresses("fd00::3")
		config.Ports = []netns.Port{port("tcp", "", 8211, 80), port("udp", "", 8211, 80)}
	})
	six.namespace.listen(t, "[::]:80", echo)
	echoUDP(six.listenUDP(t, "[::]:80"))
	for _, address := range []string{"127.0.0.1:8210", "[::1]:8210", "127.0.0.1:8211", "[::1]:8211"} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := talk(conn, "tcp"); err != nil {
			t.Errorf("tcp %s: %v", address, err)
		}
		if conn, err = net.Dial("udp", address); err != nil {
			t.Fatal(err)
		}
		if err := ping(conn, []byte("udp")); err != nil {
			t.Errorf("udp %s: %v", address, err)
		}
		conn.Close()
	}
	server := world.listen(t, worldAddress+":0", hello("the world"))
	four.wantReached(t, server.String(), "the world")
	server = world.listen(t, "[2001:db8::1]:0", hello("the world"))
	six.wantReached(t, server.String(), "the world")
}

// TestLifetimeKilledLeavesNothing: after SIGKILL the same ports can be published
// again at once.
func TestLifetimeKilledLeavesNothing(t *testing.T) {
	change := func(config *netns.HelperConfig) {
		config.Ports = []netns.Port{port("tcp", "", 8201, 80), port("udp", "", 8201, 80)}
	}
	for range 3 {
		c := startContainer(t, change)
		c.namespace.listen(t, "0.0.0.0:80", echo)
		conn, err := net.Dial("tcp", "127.0.0.1:8201")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c.helper.Process.Kill()
		c.helper.Wait()
	}
}

// TestLifetimeHoldsNothing: no standard streams but /dev/null, no directory but
// the root, no file.
func TestLifetimeHoldsNothing(t *testing.T) {
	c := startContainer(t, nil)
	process := fmt.Sprintf("/proc/%d/", c.helper.Process.Pid)
	if cwd, err := os.Readlink(process + "cwd"); err != nil || cwd != "/" {
		t.Errorf("cwd %q, %v", cwd, err)
	}
	descriptors, err := filepath.Glob(process + "fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, descriptor := range descriptors {
		target, err := os.Readlink(descriptor)
		if err != nil {
			continue
		}
		allowed := target == "/dev/null" || target == "/dev/net/tun" || strings.HasPrefix(target, "socket:") ||
			strings.HasPrefix(target, "anon_inode:") || strings.HasPrefix(target, "pidfd:")
		inherited, _ := os.Readlink("/proc/self/fd/" + filepath.Base(descriptor)) // from who runs the tests
		if !allowed && target != inherited {
			t.Errorf("%s is %s", descriptor, target)
		}
	}
}

// TestSandbox reads of the process what it has taken from itself.
func TestSandbox(t *testing.T) {
	c := startContainer(t, nil)
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", c.helper.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	found := map[string]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		found[name] = strings.TrimSpace(value)
	}
	none := "0000000000000000"
	for name, want := range map[string]string{"CapEff": none, "CapPrm": none, "CapAmb": none, "NoNewPrivs": "1", "Seccomp": "2"} {
		if found[name] != want {
			t.Errorf("%s: %s, not %s", name, found[name], want)
		}
	}
	if notes := c.ask(t, netns.HelperRequest{Status: true}).Status.Notes; len(notes) != 0 {
		t.Logf("notes: %q", notes)
	}
}

// TestVersionsHaveToMatch: of mycr and of mycr-net.
func TestVersionsHaveToMatch(t *testing.T) {
	c := launch(t, func(config *netns.HelperConfig) { config.Version = "another" })
	if c.ready.Ready || !strings.Contains(c.ready.Error, `"another"`) || c.ready.Hint == "" {
		t.Errorf("%+v", c.ready)
	}
	c.wantEnd(t, 1)
}

func TestBadConfigurationIsNamed(t *testing.T) {
	for name, change := range map[string]func(*netns.HelperConfig){
		"hardware address": func(c *netns.HelperConfig) { c.MAC = "02:00:00:00:00:64:00:01" },
		"MTU 70000":        func(c *netns.HelperConfig) { c.MTU = 70000 },
		"protocol":         func(c *netns.HelperConfig) { c.Ports = []netns.Port{port("sctp", "127.0.0.1", 8202, 80)} },
	} {
		config := testConfig()
		change(&config)
		c := launchWith(t, testConfig(), config, simply)
		if c.ready.Ready || !strings.Contains(c.ready.Error, name) {
			t.Errorf("%s: %+v", name, c.ready)
		}
	}
}
