// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The tests run in a user and network namespace that plays the host. A second
// network namespace, behind a veth, plays the world, and each test's container
// is a third. No packet leaves the machine.
//
// The test binary is also mycr-net itself, by the name it is started with.

const (
	helperName = "mycr-net"
	hostMark   = "MYCR_NET_TEST_HOST"

	worldAddress  = "10.9.0.1"
	worldAddress6 = "fd09::1"
	hostAddress   = "10.9.0.254"
	hostAddress6  = "fd09::fe"
)

// world is a namespace; its thread is locked for ever.
var world *namespace

// The first thread stays where the process is: /proc/PID/ns is the first
// thread's, and no namespace of a test may take it.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	switch {
	case os.Args[0] == helperName:
		main()
		return
	case os.Getenv(hostMark) == "":
		os.Exit(asHost())
	}
	if _, err := exec.LookPath("ip"); err != nil {
		fmt.Fprintf(os.Stderr, "SKIP: iproute2 is not installed: %v\n", err)
		return
	}
	if err := makeWorld(); err != nil {
		fmt.Fprintf(os.Stderr, "the namespaces of the tests: %v\n", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// asHost runs this binary again in namespaces of its own.
func asHost() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), hostMark+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   unix.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(os.Stderr, "SKIP: no user namespace: %v\n", err)
		return 0
	}
	if err := cmd.Wait(); err != nil {
		return max(1, cmd.ProcessState.ExitCode())
	}
	return 0
}

func makeWorld() error {
	if err := ip("link set lo up"); err != nil {
		return err
	}
	// So that echo requests can be forwarded.
	if err := writeFile("/proc/sys/net/ipv4/ping_group_range", "0 0"); err != nil {
		return err
	}
	world = newNamespace()
	commands := []string{
		"link set lo up",
		fmt.Sprintf("link add w0 type veth peer name h0 netns %d", os.Getpid()),
		"addr add 10.9.0.1/24 dev w0",
		"addr add 192.0.2.1/32 dev lo",
		"addr add 198.51.100.7/32 dev lo",
		"addr add 203.0.113.9/32 dev lo",
		"addr add 169.254.169.254/32 dev lo",
		"addr add fd09::1/64 dev w0 nodad",
		"addr add 2001:db8::1/128 dev lo nodad",
		"addr add fd00:ec2::254/128 dev lo nodad",
		"link set w0 up",
	}
	var err error
	world.do(func() { err = ip(commands...) })
	if err != nil {
		return err
	}
	return ip("addr add 10.9.0.254/24 dev h0", "addr add fd09::fe/64 dev h0 nodad", "link set h0 up",
		"route add default via 10.9.0.1", "-6 route add default via fd09::1")
}

func ip(commands ...string) error {
	for _, command := range commands {
		if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %v: %s", command, err, out)
		}
	}
	return nil
}

// A namespace is a thread in a network namespace of its own.
type namespace struct {
	work chan func()
	done chan struct{}
}

func newNamespace() *namespace {
	n := &namespace{work: make(chan func()), done: make(chan struct{})}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and with it the namespace
		err := unix.Unshare(unix.CLONE_NEWNET)
		ready <- err
		for f := range n.work {
			f()
			n.done <- struct{}{}
		}
	}()
	if err := <-ready; err != nil {
		panic(err)
	}
	return n
}

// do runs f on the thread; sockets that it makes are the namespace's.
func (n *namespace) do(f func()) {
	n.work <- f
	<-n.done
}

func (n *namespace) dial(network, address string) (c net.Conn, err error) {
	n.do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		c, err = (&net.Dialer{}).DialContext(ctx, network, address)
	})
	return c, err
}

// listen serves TCP in the namespace with one goroutine for each connection,
// until the test ends.
func (n *namespace) listen(t testing.TB, address string, serve func(*net.TCPConn)) netip.AddrPort {
	t.Helper()
	var l net.Listener
	var err error
	n.do(func() { l, err = net.Listen("tcp", address) })
	if err != nil {
		t.Fatal(err)
	}
	serveEach(t, l, serve)
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// serveEach serves a listener's connections, with one goroutine for each, until the test ends.
func serveEach(t testing.TB, l net.Listener, serve func(*net.TCPConn)) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c.(*net.TCPConn))
			}()
		}
	}()
}

func (n *namespace) listenUDP(t testing.TB, address string) *net.UDPConn {
	t.Helper()
	var c net.PacketConn
	var err error
	n.do(func() { c, err = net.ListenPacket("udp", address) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.UDPConn)
}
