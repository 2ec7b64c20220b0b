// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTCPFewBytesAreAcknowledged sends a byte to a server that says nothing,
// many times: each is acknowledged before the container's kernel has to send it
// again.
func TestTCPFewBytesAreAcknowledged(t *testing.T) {
	c := startContainer(t, nil)
	for _, address := range []string{worldAddress, "[" + worldAddress6 + "]"} {
		server := world.listen(t, address+":0", func(c *net.TCPConn) { io.Copy(io.Discard, onlyReader{c}) })
		conn, err := c.dial("tcp", server.String())
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			if _, err := conn.Write([]byte{1}); err != nil {
				t.Fatal(err)
			}
			info := tcpInfo(t, conn)
			for begin := time.Now(); info.Unacked > 0 && time.Since(begin) < limit; info = tcpInfo(t, conn) {
			}
			if info.Unacked > 0 || info.Total_retrans > 0 {
				t.Fatalf("%s: %d segments are not acknowledged, %d were sent again", server, info.Unacked, info.Total_retrans)
			}
		}
		conn.Close()
	}
}

func tcpInfo(t *testing.T, c net.Conn) (info *unix.TCPInfo) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	failed := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO) })
	if failed != nil || err != nil {
		t.Fatal(failed, err)
	}
	return info
}

// TestTCPAnswersCarryTheAcknowledgement counts the packets that the container
// receives in a conversation. On a busy machine an answer can be too late for
// its acknowledgement to wait for it, so that some tries are allowed.
func TestTCPAnswersCarryTheAcknowledgement(t *testing.T) {
	c := startContainer(t, nil)
	server := world.listen(t, worldAddress+":0", echo)
	conn, err := c.dial("tcp", server.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const trips, tries = 20, 200
	least := 0
	for range tries {
		before := received(t, c)
		for range trips {
			if _, err := conn.Write([]byte{1}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		packets := received(t, c) - before
		if least = packets; packets < trips*3/2 {
			return
		}
	}
	t.Errorf("%d packets came for %d round trips, in the last of %d tries", least, trips, tries)
}

// received is how many packets came to the container's device.
func received(t *testing.T, c *container) (packets int) {
	t.Helper()
	c.do(func() {
		data, err := os.ReadFile("/proc/thread-self/net/dev")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if name, rest, _ := strings.Cut(strings.TrimSpace(line), ":"); name == "eth0" {
				packets, _ = strconv.Atoi(strings.Fields(rest)[1])
			}
		}
	})
	return packets
}

// TestTCPEndRightBehindTheBytes has the other side close with its last bytes,
// in amounts around those which are read at once: a socket that is said to be
// empty must not be waited for when it is at its end.
func TestTCPEndRightBehindTheBytes(t *testing.T) {
	c := startContainer(t, nil)
	for _, size := range []int{0, 1, 2, 1022, 1023, 1024, 1025, 1026, 2047, 2048, 2049, 100_000} {
		text := bytes.Repeat([]byte{'x'}, size)
		server := world.listen(t, worldAddress+":0", func(c *net.TCPConn) { c.Write(text) })
		for i := range 40 {
			if err := readAll(c.namespace, server.String(), text); err != nil {
				t.Fatalf("%d bytes, connection %d: %v", size, i, err)
			}
		}
	}
}

func readAll(n *namespace, from string, want []byte) error {
	c, err := n.dial("tcp", from)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
		return fmt.Errorf("got %d bytes, %v", len(got), err)
	}
	return nil
}
