// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// The test binary is also the programs outside and netprobe, by the names that they are started with.
func init() {
	switch filepath.Base(os.Args[0]) {
	case "outside":
		os.Exit(outside(os.Args[1:]))
	case "netprobe":
		os.Exit(netprobe(os.Args[1:]))
	}
}

// netprobe makes checks in a container, one after the other, and prints a line for each. "serve" does not return.
func netprobe(lines []string) int {
	for _, line := range lines {
		words := strings.Fields(line)
		result, err := netcheck(words[0], words[1:])
		if err != nil {
			result = "error: " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Println(result)
	}
	return 0
}

func netcheck(verb string, words []string) (string, error) {
	number := func(i int) int64 {
		n, err := strconv.ParseInt(words[i], 10, 64)
		if err != nil {
			panic(err)
		}
		return n
	}
	ok := func(err error) (string, error) { return "ok", err }
	switch verb {
	case "serve":
		serveUDP("")
		serveTCP("inside", func() { fmt.Println("serves") })
		return "", nil
	case "tcp", "udp":
		size := 32
		if len(words) > 1 {
			size = int(number(1))
		}
		return ok(talk(verb, words[0], size))
	case "ping":
		return ok(ping(words[0]))
	case "banner":
		return banner(words[0])
	case "reset":
		return ok(wantReset(words[0]))
	case "half":
		return ok(halfClose(words[0]))
	case "up":
		return ok(bulkUp(words[0], number(1)))
	case "down":
		return ok(bulkDown(words[0], number(1), nil))
	case "slow":
		// What is not read must not stop others.
		return ok(bulkDown(words[0], number(1), func() error { return talk("tcp", words[2], 1000) }))
	case "many":
		return ok(many(words[0], int(number(1))))
	case "resolve":
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		addresses, err := (&net.Resolver{PreferGo: true}).LookupNetIP(ctx, words[0], words[1]+".")
		return fmt.Sprint(len(addresses), " ", addresses), err
	case "query":
		return query(words[0], words[1], words[2])
	case "refused":
		return refused(words[0], words[1])
	case "reached":
		return reached(words[0], words[1:]), nil
	case "tls":
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", words[0],
			&tls.Config{ServerName: words[1], InsecureSkipVerify: true})
		if err != nil {
			return "", err
		}
		defer conn.Close()
		text, err := io.ReadAll(conn)
		return strings.TrimSpace(string(text)), err
	case "listen":
		l, err := net.Listen("tcp", words[0])
		if err == nil {
			l.Close()
		}
		return ok(err)
	case "unix":
		conn, err := net.Dial("unix", words[0])
		if err == nil {
			conn.Close()
		}
		return ok(err)
	}
	return "", fmt.Errorf("no check %s", verb)
}

// ping sends an echo request from a socket that needs no power; see icmp(7).
func ping(address string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return err
	}
	to := &unix.SockaddrInet4{Addr: netip.MustParseAddr(address).As4()}
	if err := unix.Sendto(fd, []byte{8, 0, 0, 0, 0, 0, 0, 1, 'm', 'y', 'c', 'r'}, 0, to); err != nil {
		return err
	}
	answer := make([]byte, 64)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err == nil && (n != 12 || answer[0] != 0 || string(answer[8:12]) != "mycr") {
		err = fmt.Errorf("an answer of other bytes: %v", answer[:n])
	}
	return err
}

func banner(address string) (string, error) {
	conn, err := net.DialTimeout("tcp", address, 3*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(3 * time.Second))
	text, err := io.ReadAll(conn)
	if len(text) > 0 {
		err = nil
	}
	return strings.TrimSpace(string(text)), err
}

func wantReset(address string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	conn.Write([]byte("x"))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		return fmt.Errorf("no reset: %v", err)
	}
	return nil
}

func halfClose(address string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	sum, err := sendBulk(conn, 1<<20)
	if err == nil {
		err = conn.(*net.TCPConn).CloseWrite()
	}
	if err != nil {
		return err
	}
	text, err := io.ReadAll(conn)
	if want := fmt.Sprintf("%d %x\n", 1<<20, sum); err == nil && string(text) != want {
		err = fmt.Errorf("%q is not %q", text, want)
	}
	return err
}

func bulkUp(address string, n int64) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintln(conn, "up", n)
	sum, err := sendBulk(conn, n)
	if err != nil {
		return err
	}
	got := make([]byte, len(sum))
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if string(got) != string(sum) {
		return errors.New("the sum is another one")
	}
	return nil
}

// bulkDown calls meanwhile before it reads anything.
func bulkDown(address string, n int64, meanwhile func() error) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintln(conn, "down", n)
	if meanwhile != nil {
		if _, err := conn.Read(make([]byte, 0)); err != nil {
			return err
		}
		for range 20 {
			if err := meanwhile(); err != nil {
				return fmt.Errorf("another connection: %w", err)
			}
		}
	}
	reader := bufio.NewReaderSize(conn, 1<<18)
	hash := sha256.New()
	if _, err := io.CopyN(hash, reader, n); err != nil {
		return err
	}
	got := make([]byte, sha256.Size)
	if _, err := io.ReadFull(reader, got); err != nil {
		return err
	}
	if string(got) != string(hash.Sum(nil)) {
		return errors.New("the sum is another one")
	}
	return nil
}

// many has n connections at once: none is used before all are there.
func many(address string, n int) error {
	var all sync.WaitGroup
	connections, failures := make([]net.Conn, n), make([]error, n)
	for i := range n {
		all.Go(func() { connections[i], failures[i] = net.DialTimeout("tcp", address, 30*time.Second) })
	}
	all.Wait()
	for i, conn := range connections {
		all.Go(func() {
			if conn == nil {
				return
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(30 * time.Second))
			sent, got := fmt.Appendf(nil, "connection %08d", i), make([]byte, 19)
			if _, failures[i] = conn.Write(sent); failures[i] == nil {
				_, failures[i] = io.ReadFull(conn, got)
			}
			if failures[i] == nil && string(got) != string(sent) {
				failures[i] = errors.New("another connection's bytes")
			}
		})
	}
	all.Wait()
	failed := 0
	for _, err := range failures {
		if err != nil {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d failed: %w", failed, n, errors.Join(failures...))
	}
	return nil
}

// query asks one name server by hand.
func query(network, server, name string) (string, error) {
	conn, err := net.DialTimeout(network, server, 3*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(3 * time.Second))
	question := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, RecursionDesired: true}, Questions: []dnsmessage.Question{
		{Name: dnsmessage.MustNewName(name + "."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
	packed, err := question.Pack()
	if err != nil {
		return "", err
	}
	reply := make([]byte, 1<<16)
	if network == "tcp" {
		if err = writeDNS(conn, packed); err == nil {
			reply, err = readDNS(conn)
		}
	} else if _, err = conn.Write(packed); err == nil {
		var n int
		n, err = conn.Read(reply)
		reply = reply[:n]
	}
	if err != nil {
		return "", err
	}
	var m dnsmessage.Message
	if err := m.Unpack(reply); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %d", strings.TrimPrefix(m.RCode.String(), "RCode"), len(m.Answers)), nil
}

// refused says how a destination refuses, and in how many milliseconds, the best of three.
func refused(network, address string) (string, error) {
	best, how := time.Hour, ""
	for range 3 {
		begin := time.Now()
		err := talk(network, address, 1)
		best = min(best, time.Since(begin))
		var errno unix.Errno
		switch {
		case err == nil:
			return "reached", nil
		case errors.As(err, &errno):
			how = unix.ErrnoName(errno)
		default:
			how = err.Error()
		}
	}
	return fmt.Sprintf("%d ms %s", best.Milliseconds(), how), nil
}

// reached tells which of the addresses have a server that says the secret. Not to be answered at all is as good as
// any other refusal.
func reached(secret string, addresses []string) string {
	var all sync.WaitGroup
	found := make([]string, len(addresses))
	for i, address := range addresses {
		all.Go(func() {
			if text, err := banner(address); err == nil && strings.Contains(text, secret) {
				found[i] = address + " "
			}
		})
	}
	all.Wait()
	return strings.TrimSpace("reached " + strings.Join(found, ""))
}
