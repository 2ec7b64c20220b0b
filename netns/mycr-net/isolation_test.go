// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mycr/netns"
)

// hello says where a connection ended up.
func hello(text string) func(*net.TCPConn) {
	return func(c *net.TCPConn) { io.WriteString(c, text) }
}

// onHost serves in the host's own namespace.
func onHost(t testing.TB, address, text string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	serveEach(t, l, hello(text))
}

// wantRefused wants a connection to be refused, by an answer and not by silence.
func (c *container) wantRefused(t testing.TB, address string) {
	t.Helper()
	conn, err := c.dial("tcp", address)
	if err == nil {
		text, _ := io.ReadAll(conn)
		conn.Close()
		t.Errorf("%s is reached: %q", address, text)
		return
	}
	if !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.EHOSTUNREACH) && !errors.Is(err, unix.ENETUNREACH) && !errors.Is(err, unix.EACCES) {
		t.Errorf("%s: %v", address, err)
	}
}

func (c *container) wantReached(t testing.TB, address, text string) {
	t.Helper()
	conn, err := c.dial("tcp", address)
	if err != nil {
		t.Errorf("%s: %v", address, err)
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(limit))
	if got, err := io.ReadAll(conn); err != nil || string(got) != text {
		t.Errorf("%s: %q, %v", address, got, err)
	}
}

func TestIsolation(t *testing.T) {
	onHost(t, "[::]:7000", "the host")
	world.listen(t, "169.254.169.254:7000", hello("metadata"))
	world.listen(t, "[fd00:ec2::254]:7000", hello("metadata"))
	if err := ip("addr add 10.9.0.253/24 dev h0"); err != nil { // after mycr-net of another test, before this one
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ip("addr del 10.9.0.253/24 dev h0", "addr del 10.9.0.252/24 dev h0", "route del local 198.18.0.0/15 dev lo")
	})
	c := startContainer(t, nil)
	if err := ip("addr add 10.9.0.252/24 dev h0", "route add local 198.18.0.0/15 dev lo"); err != nil { // while it runs
		t.Fatal(err)
	}
	// Traffic to the loopback has to be made to leave the container.
	c.do(func() {
		for _, sysctl := range []string{"all", "eth0"} {
			if err := writeFile("/proc/sys/net/ipv4/conf/"+sysctl+"/route_localnet", "1"); err != nil {
				t.Error(err)
			}
		}
		for _, command := range []string{
			"addr del 127.0.0.1/8 dev lo", "route add 127.0.0.0/8 dev eth0 src 10.0.2.100",
		} {
			if err := ip(command); err != nil {
				t.Error(err)
			}
		}
	})
	for _, address := range []string{
		"127.0.0.1:7000", "127.0.0.53:7000", "[::ffff:127.0.0.1]:7000",
		hostAddress + ":7000", "[" + hostAddress6 + "]:7000", "10.9.0.253:7000", "10.9.0.252:7000", "10.9.0.255:7000", "198.18.7.7:7000",
		"10.0.2.2:7000", "10.0.2.3:7000", "[fd00::2]:7000", "[fd00::3]:7000", "10.0.2.55:7000", "10.0.2.255:7000", "[fd00::55]:7000",
		"169.254.169.254:7000", "[fd00:ec2::254]:7000", "[64:ff9b::7f00:1]:7000", "[64:ff9b::a09:fe]:7000",
	} {
		c.wantRefused(t, address)
	}
	world.listen(t, worldAddress+":7000", hello("the world"))
	c.wantReached(t, worldAddress+":7000", "the world")
}

// TestIsolationOfUDP: refused by ICMP at once.
func TestIsolationOfUDP(t *testing.T) {
	host, err := net.ListenPacket("udp", "0.0.0.0:7001")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	echoUDP(host.(*net.UDPConn))
	c := startContainer(t, nil)
	for _, address := range []string{hostAddress + ":7001", "[" + hostAddress6 + "]:7001", "10.0.2.2:7001", "10.0.2.3:7001", "169.254.169.254:7001", "[fd00:ec2::254]:7001"} {
		conn, err := c.dial("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := ping(conn, []byte("host?")); !errors.Is(err, unix.EHOSTUNREACH) && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("%s: %v", address, err)
		}
		conn.Close()
	}
}

func TestIsolationIsLiftedByTheUsersWord(t *testing.T) {
	onHost(t, "127.0.0.1:7002", "by IPv4")
	onHost(t, "[::1]:7002", "by IPv6")
	onHost(t, hostAddress+":7003", "the host")
	world.listen(t, "169.254.169.254:7002", hello("metadata"))
	world.listen(t, "[fd00:ec2::254]:7002", hello("metadata"))

	open := startContainer(t, func(config *netns.HelperConfig) { config.HostLoopback = true })
	open.wantReached(t, "10.0.2.2:7002", "by IPv4")
	open.wantReached(t, "[fd00::2]:7002", "by IPv6")
	open.wantReached(t, hostAddress+":7003", "the host")
	open.wantRefused(t, "169.254.169.254:7002")
	open.wantRefused(t, "[fd00:ec2::254]:7002")

	metadata := startContainer(t, func(config *netns.HelperConfig) { config.AllowMetadata = true })
	metadata.wantReached(t, "169.254.169.254:7002", "metadata")
	metadata.wantReached(t, "[fd00:ec2::254]:7002", "metadata")
	metadata.wantRefused(t, "10.0.2.2:7002")
	metadata.wantRefused(t, hostAddress+":7003")
}
