// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mycr/netns"
)

// BenchmarkAgainstSlirp4netns compares throughput in both directions, and the
// time of a round trip, in rounds that alternate. The figures are ratios of
// slirp4netns to mycr-net: above 1, mycr-net is faster; cpu is
// the ratio of the processor time.
func BenchmarkAgainstSlirp4netns(b *testing.B) {
	c := startContainer(b, func(config *netns.HelperConfig) {
		if mtu, err := strconv.Atoi(os.Getenv("MYCR_NET_MTU")); err == nil {
			config.MTU = mtu
		}
		if os.Getenv("MYCR_NET_PLAIN") != "" {
			deviceFlags &^= unix.IFF_VNET_HDR
		}
	})
	internal := subject{c.namespace, c.helper.Process.Pid}
	slirp := startSlirp4netns(b)
	const amount = 256 << 20
	source := world.listen(b, worldAddress+":0", func(c *net.TCPConn) { send(c, amount) })
	sink := world.listen(b, worldAddress+":0", func(c *net.TCPConn) {
		io.Copy(io.Discard, onlyReader{c})
		c.Write([]byte{1})
	})
	pong := world.listen(b, worldAddress+":0", echo)
	tests := []struct {
		name string
		run  func(*namespace) error
	}{
		{"download", func(n *namespace) error { return download(n, source.String(), amount) }},
		{"upload", func(n *namespace) error { return upload(n, sink.String(), amount) }},
		{"roundtrips", func(n *namespace) error { return roundTrips(n, pong.String(), 5000) }},
		{"connections", func(n *namespace) error { return connections(n, pong.String(), 300) }},
	}
	for _, test := range tests {
		b.Run(test.name, func(b *testing.B) {
			var ratios []float64
			var cpu, cpuTheirs time.Duration
			for range max(b.N, 5) {
				ours, used, err := timed(test.run, internal)
				if err != nil {
					b.Fatalf("mycr-net: %v", err)
				}
				theirs, usedTheirs, err := timed(test.run, slirp)
				if err != nil {
					b.Fatalf("slirp4netns: %v", err)
				}
				ratios = append(ratios, theirs.Seconds()/ours.Seconds())
				cpu += used
				cpuTheirs += usedTheirs
			}
			slices.Sort(ratios)
			b.ReportMetric(cpuTheirs.Seconds()/cpu.Seconds(), "cpu")
			b.ReportMetric(ratios[len(ratios)/2], "ratio")
			b.ReportMetric(ratios[0], "worst")
			b.ReportMetric(ratios[len(ratios)-1], "best")
		})
	}
}

// A subject is a namespace and the process that serves it.
type subject struct {
	*namespace
	pid int
}

// timed measures the time that passes, and that of the processor which the
// process uses meanwhile.
func timed(run func(*namespace) error, of subject) (passed, used time.Duration, err error) {
	start, before := time.Now(), processorTime(of.pid)
	err = run(of.namespace)
	return time.Since(start), processorTime(of.pid) - before, err
}

// processorTime is the user and system time of a process, see proc(5).
func processorTime(pid int) time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')'):]))
	user, _ := strconv.Atoi(fields[12])
	system, _ := strconv.Atoi(fields[13])
	return time.Duration(user+system) * time.Second / 100
}

// onlyReader hides what would let io.Copy avoid the copy.
type onlyReader struct{ io.Reader }

func send(c net.Conn, amount int) error {
	block := make([]byte, 256<<10)
	for sent := 0; sent < amount; {
		n, err := c.Write(block[:min(len(block), amount-sent)])
		sent += n
		if err != nil {
			return err
		}
	}
	return nil
}

func download(n *namespace, from string, amount int) error {
	c, err := n.dial("tcp", from)
	if err != nil {
		return err
	}
	defer c.Close()
	block := make([]byte, 256<<10)
	for got := 0; got < amount; {
		n, err := c.Read(block)
		got += n
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", got, err)
		}
	}
	return nil
}

func upload(n *namespace, to string, amount int) error {
	c, err := n.dial("tcp", to)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := send(c, amount); err != nil {
		return err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 1))
	return err
}

func roundTrips(n *namespace, to string, count int) error {
	c, err := n.dial("tcp", to)
	if err != nil {
		return err
	}
	defer c.Close()
	one := []byte{1}
	for range count {
		if _, err := c.Write(one); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, one); err != nil {
			return err
		}
	}
	return nil
}

func connections(n *namespace, to string, count int) error {
	for range count {
		if err := roundTrips(n, to, 1); err != nil {
			return err
		}
	}
	return nil
}

func startSlirp4netns(b *testing.B) subject {
	b.Helper()
	path, err := exec.LookPath("slirp4netns")
	if err != nil {
		b.Skip(err)
	}
	n := newNamespace()
	b.Cleanup(func() { close(n.work) })
	sleeper := exec.Command("sleep", "1000")
	sleeper.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	n.do(func() { err = sleeper.Start() })
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { sleeper.Process.Kill(); sleeper.Wait() })
	readable, writable, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	var words strings.Builder
	cmd := exec.Command(path, "--configure", "--mtu=65520", "--disable-host-loopback", "--ready-fd=3", "--netns-type=path",
		fmt.Sprintf("/proc/%d/ns/net", sleeper.Process.Pid), "tap0")
	cmd.ExtraFiles = []*os.File{writable}
	cmd.Stdout, cmd.Stderr = &words, &words
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	writable.Close()
	b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if _, err := readable.Read(make([]byte, 1)); err != nil {
		cmd.Wait()
		b.Fatalf("slirp4netns: %s", words.String())
	}
	return subject{n, cmd.Process.Pid}
}
