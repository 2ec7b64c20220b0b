// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stalled is how long a booting machine may print nothing. With other work beside it a boot is ten times slower
// than alone, and alone the longest silence is two seconds.
const stalled = 45 * time.Second

// ports are the machine's serial ports, named as in /usr/local/lib/testbed/start.
var ports = []string{"control", "stdout", "stderr"}

// A machine is one QEMU and its serial ports.
type machine struct {
	dir     string // what integration/vm/build made
	work    string // sockets and the console's file
	payload string // the second disk
	memory  int

	qemu    *exec.Cmd
	ended   chan struct{}
	conn    map[string]net.Conn
	control *bufio.Reader
	reader  map[string]*bufio.Reader
}

func (m *machine) path(name string) string { return filepath.Join(m.work, name) }

// arguments are QEMU's. A saved state continues only under the same ones, but for paths. On a busy host the kernel would
// find its time-stamp counter unreliable, and ask a device for each look at the clock, which is slow. With erms it and its
// C library would clear and copy memory by string instructions, which are emulated a byte at a time.
func (m *machine) arguments(disk, snapshot string) []string {
	args := []string{
		"-machine", "q35,hpet=off", "-accel", "tcg,thread=multi", "-cpu", "max,erms=off,fsrm=off", "-smp", "2",
		"-m", strconv.Itoa(m.memory), "-nodefaults", "-no-reboot", "-display", "none",
		"-kernel", filepath.Join(m.dir, "kernel"), "-initrd", filepath.Join(m.dir, "initrd"),
		"-append", "console=ttyS0 earlyprintk=ttyS0 loglevel=6 systemd.unified_cgroup_hierarchy=1 " +
			"systemd.show_status=1 mitigations=off tsc=reliable panic=-1",
		"-drive", "if=virtio,format=raw,cache=unsafe,snapshot=" + snapshot + ",file=" + disk,
		"-drive", "if=virtio,format=raw,readonly=on,file=" + m.payload,
		"-serial", "file:" + m.path("console"),
		"-qmp", "unix:" + m.path("qmp") + ",server=on,wait=off",
		"-device", "virtio-serial",
	}
	for _, port := range ports {
		args = append(args, "-chardev", "socket,id="+port+",path="+m.path(port),
			"-device", "virtserialport,chardev="+port+",name="+port)
	}
	return args
}

// launch starts QEMU and has its ports connected.
func (m *machine) launch(args []string) error {
	os.Remove(m.path("console"))
	m.conn, m.reader = map[string]net.Conn{}, map[string]*bufio.Reader{}
	var listeners []*net.UnixListener
	for _, port := range ports {
		os.Remove(m.path(port))
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: m.path(port), Net: "unix"})
		if err != nil {
			return err
		}
		defer l.Close()
		l.SetDeadline(time.Now().Add(20 * time.Second))
		listeners = append(listeners, l)
	}
	var complaint bytes.Buffer
	m.qemu = exec.Command("qemu-system-x86_64", args...)
	m.qemu.Stderr = &complaint
	m.qemu.Env = append(os.Environ(), "TMPDIR="+m.work)
	// Of its own process group: the terminal's interrupt comes to this process only, which then ends QEMU.
	m.qemu.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := m.qemu.Start(); err != nil {
		return err
	}
	m.ended = make(chan struct{})
	go func(qemu *exec.Cmd, ended chan struct{}) {
		qemu.Wait()
		close(ended)
		for _, l := range listeners {
			l.SetDeadline(time.Now()) // where it ends before it has connected
		}
	}(m.qemu, m.ended)
	for i, l := range listeners {
		conn, err := l.Accept()
		if err != nil {
			m.kill()
			return fmt.Errorf("qemu: %w: %s", err, complaint.String())
		}
		m.conn[ports[i]], m.reader[ports[i]] = conn, bufio.NewReader(conn)
	}
	m.control = m.reader["control"]
	return nil
}

// boot starts the machine and waits until it says that it is ready.
func (m *machine) boot(limit time.Duration) error {
	if err := m.launch(m.arguments(filepath.Join(m.dir, "image"), "on")); err != nil {
		return err
	}
	return m.waitReady(limit)
}

func (m *machine) waitReady(limit time.Duration) error {
	end := time.Now().Add(limit)
	size, grown := int64(-1), time.Now()
	for {
		m.conn["control"].SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		line, err := m.control.ReadString('\n')
		if err == nil {
			if line == "ready\n" {
				return nil
			}
			return fmt.Errorf("the machine said %q", line)
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("the machine ended at boot: %w", err)
		}
		if info, err := os.Stat(m.path("console")); err == nil && info.Size() != size {
			size, grown = info.Size(), time.Now()
		}
		if time.Since(grown) > stalled {
			return fmt.Errorf("the machine stalled at boot, after %d bytes on its console", size)
		}
		if time.Now().After(end) {
			return fmt.Errorf("the machine was not ready after %v", limit)
		}
	}
}

// begin tells the waiting machine the time and has it read its payload.
func (m *machine) begin() error {
	m.conn["control"].SetDeadline(time.Now().Add(time.Minute))
	if _, err := fmt.Fprintf(m.conn["control"], "%d %s\n", time.Now().Unix(), rand.Text()); err != nil {
		return err
	}
	line, err := m.control.ReadString('\n')
	if err != nil {
		return fmt.Errorf("the machine does not take its payload: %w", err)
	}
	if line != "payload\n" {
		return fmt.Errorf("the machine said %q", line)
	}
	return nil
}

// run has a user do something, and gives its exit status.
func (m *machine) run(user, text string, stdout, stderr io.Writer, limit time.Duration) (int, error) {
	mark := "\x00end-" + rand.Text() + "\n"
	deadline := time.Now().Add(limit)
	for _, conn := range m.conn {
		conn.SetDeadline(deadline)
	}
	order := fmt.Sprintf("%s %s %s\n", user, base64.StdEncoding.EncodeToString([]byte(text)), strings.Trim(mark, "\x00\n"))
	if _, err := io.WriteString(m.conn["control"], order); err != nil {
		return 0, err
	}
	copied := make(chan error, 2)
	go func() { copied <- copyUntil(stdout, m.reader["stdout"], mark) }()
	go func() { copied <- copyUntil(stderr, m.reader["stderr"], mark) }()
	err := errors.Join(<-copied, <-copied)
	if err != nil {
		return 0, err
	}
	line, err := m.control.ReadString('\n')
	if err != nil {
		return 0, err
	}
	status, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(line, "status "), "\n"))
	if err != nil {
		return 0, fmt.Errorf("the machine said %q", line)
	}
	return status, nil
}

// copyUntil copies what comes before mark as it comes. Mark begins with a zero byte and has no other.
func copyUntil(to io.Writer, from *bufio.Reader, mark string) error {
	var held []byte
	for {
		if _, err := from.Peek(1); err != nil {
			return err
		}
		part, _ := from.Peek(from.Buffered())
		held = append(held, part...)
		from.Discard(len(part))
		ready := len(held)
		end := bytes.Index(held, []byte(mark))
		if end >= 0 {
			_, err := to.Write(held[:end])
			return err
		}
		if at := bytes.LastIndexByte(held, 0); at >= 0 && strings.HasPrefix(mark, string(held[at:])) {
			ready = at
		}
		if _, err := to.Write(held[:ready]); err != nil {
			return err
		}
		held = append([]byte{}, held[ready:]...)
	}
}

// kill ends QEMU, if there is one, and waits for it.
func (m *machine) kill() {
	if m.qemu == nil || m.qemu.Process == nil || m.ended == nil {
		return
	}
	m.qemu.Process.Kill()
	<-m.ended
	for _, conn := range m.conn {
		conn.Close()
	}
}

// consoleTail is the end of what the machine said, for people.
func (m *machine) consoleTail() string {
	text, _ := os.ReadFile(m.path("console"))
	lines := strings.Split(strings.TrimRight(string(text), "\r\n"), "\n")
	if len(lines) > 30 {
		lines = lines[len(lines)-30:]
	}
	return "console: " + strings.Join(lines, "\nconsole: ")
}
