// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mycr/netns"
)

// echoUDP answers each datagram with itself.
func echoUDP(c *net.UDPConn) {
	go func() {
		buffer := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			c.WriteToUDPAddrPort(buffer[:n], from)
		}
	}()
}

// ping sends a datagram until it comes back: a datagram may be lost.
func ping(c net.Conn, text []byte) error {
	buffer := make([]byte, 1<<16)
	var failed error
	for range 20 {
		if _, err := c.Write(text); err != nil {
			return err
		}
		c.SetReadDeadline(time.Now().Add(limit / 20))
		n, err := c.Read(buffer)
		if err == nil && bytes.Equal(buffer[:n], text) {
			return nil
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		failed = err
	}
	return failed
}

func TestUDPReachesTheWorld(t *testing.T) {
	c := startContainer(t, nil)
	for _, address := range []string{worldAddress + ":0", "[2001:db8::1]:0"} {
		server := world.listenUDP(t, address)
		echoUDP(server)
		conn, err := c.dial("udp", server.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, size := range []int{0, 1, 1472, 1473, 9000, 65507} {
			datagram := make([]byte, size)
			rand.NewChaCha8([32]byte{}).Read(datagram)
			if err := ping(conn, datagram); err != nil {
				t.Errorf("%s: %d bytes: %v", address, size, err)
			}
		}
	}
	if status := c.ask(t, netns.HelperRequest{Status: true}).Status; status.UDP != 2 {
		t.Errorf("status has %d flows of 2", status.UDP)
	}
}

func TestUDPFragments(t *testing.T) {
	c := startContainer(t, func(config *netns.HelperConfig) { config.MTU = 1500 })
	server := world.listenUDP(t, worldAddress+":0")
	echoUDP(server)
	conn, err := c.dial("udp", server.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := ping(conn, make([]byte, 30000)); err != nil {
		t.Error(err)
	}
}

// TestUDPClosedPortIsTold: a connected socket learns that nobody listens.
func TestUDPClosedPortIsTold(t *testing.T) {
	c := startContainer(t, nil)
	for _, address := range []string{worldAddress + ":9", "[2001:db8::1]:9"} {
		conn, err := c.dial("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := ping(conn, []byte("anybody?")); !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestPing(t *testing.T) {
	c := startContainer(t, nil)
	c.do(func() {
		if err := writeFile("/proc/sys/net/ipv4/ping_group_range", "0 0"); err != nil {
			t.Logf("ping_group_range of the container: %v", err)
		}
	})
	if status := c.ask(t, netns.HelperRequest{Status: true}).Status; !status.Ping {
		t.Fatalf("no ping: %q", status.Notes)
	}
	for _, address := range []string{worldAddress, "192.0.2.1", "2001:db8::1", "10.0.2.2", "10.0.2.3", "fd00::2"} {
		if err := c.ping(t, address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{hostAddress, hostAddress6, "169.254.169.254"} {
		if err := c.ping(t, address); !errors.Is(err, unix.EHOSTUNREACH) && !errors.Is(err, unix.EACCES) {
			t.Errorf("%s: %v", address, err)
		}
	}
}
