// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mycr/netns"
)

// limit bounds what may hang, without saying how long it takes.
const limit = 60 * time.Second

func echo(c *net.TCPConn) {
	if _, err := io.Copy(c, onlyReader{c}); err == nil {
		c.CloseWrite()
	}
}

// talk sends a text and wants it back, with half-close.
func talk(c net.Conn, text string) error {
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != text {
		return fmt.Errorf("got %q, %v", got, err)
	}
	return nil
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
		if err := talk(conn, "hello"); err != nil {
			t.Errorf("%s: %v", server, err)
		}
	}
}

func TestTCPThousandConnectionsAtOnce(t *testing.T) {
	c := startContainer(t, nil)
	const count = 1000
	server := world.listen(t, worldAddress+":0", echo)
	var conns []net.Conn
	c.do(func() {
		for range count {
			conn, err := net.DialTimeout("tcp", server.String(), limit)
			if err != nil {
				t.Errorf("connection %d: %v", len(conns), err)
				return
			}
			conns = append(conns, conn)
		}
	})
	if status := c.ask(t, netns.HelperRequest{Status: true}).Status; status.TCP != len(conns) {
		t.Errorf("status has %d connections of %d", status.TCP, len(conns))
	}
	var all sync.WaitGroup
	for i, conn := range conns {
		all.Go(func() {
			if err := talk(conn, fmt.Sprintf("I am %d", i)); err != nil {
				t.Errorf("connection %d: %v", i, err)
			}
		})
	}
	all.Wait()
}

// TestTCPSynsAtOnce makes the connections at once, too.
func TestTCPSynsAtOnce(t *testing.T) {
	c := startContainer(t, nil)
	server := world.listen(t, worldAddress+":0", echo)
	to := server.Addr().As4()
	var sockets []int
	c.do(func() {
		for range 1000 {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Error(err)
				return
			}
			sockets = append(sockets, fd)
			if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: to, Port: int(server.Port())}); err != unix.EINPROGRESS {
				t.Error(err)
			}
		}
	})
	for _, fd := range sockets {
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(limit.Milliseconds())); err != nil {
			t.Error(err)
		}
		if failed, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); failed != 0 || err != nil {
			t.Errorf("%v, %v", unix.Errno(failed), err)
		}
		unix.Close(fd)
	}
}

// TestTCPCarriesEveryByte sends random bytes both ways at once and compares
// checksums.
func TestTCPCarriesEveryByte(t *testing.T) {
	amount := int64(64 << 20)
	if os.Getenv("MYCR_ALL") == "1" {
		amount = 1 << 30
	}
	normal := deviceFlags
	defer func() { deviceFlags = normal }()
	for i, mtu := range []int{1280, 1500, 9000, 65520, 1280, 1500, 9000, 65520} {
		if i == 4 {
			deviceFlags &^= unix.IFF_VNET_HDR
		}
		t.Run(fmt.Sprintf("MTU %d, flags %#x", mtu, deviceFlags), func(t *testing.T) {
			c := startContainer(t, func(config *netns.HelperConfig) { config.MTU = mtu })
			part := amount
			if mtu != 65520 {
				part = amount / 8
			}
			sums := make(chan [3][32]byte, 1)
			server := world.listen(t, worldAddress+":0", func(conn *net.TCPConn) {
				sent, got := exchange(t, conn, part)
				sums <- [3][32]byte{sent, got}
			})
			conn, err := c.dial("tcp", server.String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			sent, got := exchange(t, conn.(*net.TCPConn), part)
			if there := <-sums; there[0] != got || there[1] != sent {
				t.Error("the bytes differ")
			}
		})
	}
}

// exchange sends random bytes and reads as many, at once.
func exchange(t *testing.T, c *net.TCPConn, amount int64) (sent, got [32]byte) {
	c.SetDeadline(time.Now().Add(10 * limit))
	var both sync.WaitGroup
	both.Go(func() {
		sum := sha256.New()
		seed := [32]byte{byte(rand.Int())}
		source := io.LimitReader(rand.NewChaCha8(seed), amount)
		if _, err := io.Copy(c, io.TeeReader(source, sum)); err != nil {
			t.Errorf("send: %v", err)
		}
		c.CloseWrite()
		sent = [32]byte(sum.Sum(nil))
	})
	sum := sha256.New()
	if n, err := io.Copy(sum, onlyReader{c}); err != nil || n != amount {
		t.Errorf("received %d of %d bytes: %v", n, amount, err)
	}
	both.Wait()
	return sent, [32]byte(sum.Sum(nil))
}

// TestTCPHalfCloseFromOutside: the other side ends first and still listens.
func TestTCPHalfCloseFromOutside(t *testing.T) {
	c := startContainer(t, nil)
	heard := make(chan string, 1)
	server := world.listen(t, worldAddress+":0", func(conn *net.TCPConn) {
		io.WriteString(conn, "good bye")
		conn.CloseWrite()
		rest, _ := io.ReadAll(conn)
		heard <- string(rest)
	})
	conn, err := c.dial("tcp", server.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(limit))
	if got, err := io.ReadAll(conn); err != nil || string(got) != "good bye" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := io.WriteString(conn, "one more thing"); err != nil {
		t.Fatal(err)
	}
	conn.(*net.TCPConn).CloseWrite()
	if got := <-heard; got != "one more thing" {
		t.Errorf("the server heard %q", got)
	}
}

// TestTCPResetPasses: a reset arrives as one on the other side.
func TestTCPResetPasses(t *testing.T) {
	c := startContainer(t, nil)
	read := make(chan error, 1)
	byServer := world.listen(t, worldAddress+":0", func(conn *net.TCPConn) {
		conn.Read(make([]byte, 1))
		conn.SetLinger(0)
	})
	byClient := world.listen(t, worldAddress+":0", func(conn *net.TCPConn) {
		conn.SetDeadline(time.Now().Add(limit))
		_, err := io.Copy(io.Discard, onlyReader{conn})
		read <- err
	})
	conn, err := c.dial("tcp", byServer.String())
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(limit))
	conn.Write([]byte{1})
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("a reset by the server: %v", err)
	}
	conn.Close()
	if conn, err = c.dial("tcp", byClient.String()); err != nil {
		t.Fatal(err)
	}
	conn.Write([]byte{1})
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
	if err := <-read; !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("a reset by the client: %v", err)
	}
}

// TestTCPResetAfterHalfClose: the client ends its half, and is then killed while
// the server says nothing.
func TestTCPResetAfterHalfClose(t *testing.T) {
	c := startContainer(t, nil)
	read := make(chan error, 1)
	server := world.listen(t, worldAddress+":0", func(conn *net.TCPConn) {
		conn.SetDeadline(time.Now().Add(limit))
		io.Copy(io.Discard, onlyReader{conn})
		for {
			if _, err := conn.Write([]byte{1}); err != nil {
				read <- err
				return
			}
		}
	})
	conn, err := c.dial("tcp", server.String())
	if err != nil {
		t.Fatal(err)
	}
	conn.(*net.TCPConn).CloseWrite()
	conn.SetDeadline(time.Now().Add(limit))
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := <-read; !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
		t.Errorf("%v", err)
	}
}

// TestTCPRefusalsAreThoseOfTheWorld: a closed port is a closed port at once.
func TestTCPRefusalsAreThoseOfTheWorld(t *testing.T) {
	c := startContainer(t, nil)
	for address, want := range map[string]error{
		worldAddress + ":9":         unix.ECONNREFUSED,
		"[" + worldAddress6 + "]:9": unix.ECONNREFUSED,
		"10.9.0.77:9":               unix.EHOSTUNREACH,
	} {
		conn, err := c.dial("tcp", address)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, not %v", address, err, want)
		}
		if err == nil {
			conn.Close()
		}
	}
}

// TestTCPSlowReaderSlowsTheSender: what nobody reads is not kept here.
func TestTCPSlowReaderSlowsTheSender(t *testing.T) {
	c := startContainer(t, nil)
	release := make(chan struct{})
	sums := make(chan []byte, 1)
	server := world.listen(t, worldAddress+":0", func(conn *net.TCPConn) {
		<-release
		sum := sha256.New()
		io.Copy(sum, onlyReader{conn})
		sums <- sum.Sum(nil)
	})
	conn, err := c.dial("tcp", server.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sum := sha256.New()
	block := bytes.Repeat([]byte("slow"), 16<<10)
	total := 0
	for { // until nothing goes for a while
		conn.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := conn.Write(block)
		sum.Write(block[:n])
		total += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if total > 256<<20 {
			t.Fatal("everything is taken, though nobody reads")
		}
	}
	close(release)
	conn.(*net.TCPConn).CloseWrite()
	if got := <-sums; !bytes.Equal(got, sum.Sum(nil)) {
		t.Error("the bytes differ")
	}
}

// TestTCPOneStalledDirectionDoesNotStallTheOther: an echo of more than all
// buffers hold, whose client reads only at the end, would otherwise wait for
// ever.
func TestTCPOneStalledDirectionDoesNotStallTheOther(t *testing.T) {
	c := startContainer(t, nil)
	server := world.listen(t, worldAddress+":0", func(conn *net.TCPConn) {
		go send(conn, 32<<20) // nobody reads it yet
		io.Copy(io.Discard, onlyReader{conn})
		conn.SetLinger(0)
	})
	conn, err := c.dial("tcp", server.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(limit))
	if err := send(conn, 64<<20); err != nil {
		t.Errorf("the upload stalls with the download: %v", err)
	}
}
