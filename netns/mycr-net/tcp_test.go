// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net"
	"testing"
)

func echo(c *net.TCPConn) {
	if _, err := io.Copy(c, c); err == nil {
		c.CloseWrite()
	}
}

func TestTCPReachesTheWorld(t *testing.T) {
	c := startContainer(t, nil)
	for _, address := range []string{worldAddress + ":0", "192.0.2.1:0", "[" + worldAddress6 + "]:0", "[2001:db8::1]:0"} {
		server := world.listen(t, address, echo)
		conn, err := c.dial("tcp", server.String())
		if err != nil {
			t.Errorf("%s: %v", server, err)
			continue
		}
		if _, err := io.WriteString(conn, "hello"); err != nil {
			t.Fatal(err)
		}
		conn.(*net.TCPConn).CloseWrite()
		if got, err := io.ReadAll(conn); err != nil || string(got) != "hello" {
			t.Errorf("%s: got %q, %v", server, got, err)
		}
		conn.Close()
	}
}
