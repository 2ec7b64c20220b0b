// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pts is where terminals come from.
var pts = mount("/dev/pts", "devpts", "devpts", "newinstance", "ptmxmode=0666")

// conmon reads an error's text once, podman takes the log for one object: one write, one object, one text.
func TestContractErrorIsOneWrite(t *testing.T) {
	for name, c := range map[string]struct {
		args  string
		edits []edit
	}{
		"create without its program":   {"create --bundle BUNDLE c1", []edit{args("/nope")}},
		"create with a failing hook":   {"create --bundle BUNDLE c1", []edit{set("hooks.createRuntime", []any{map[string]any{"path": "/bin/false"}})}},
		"create without its mount":     {"create --bundle BUNDLE c1", []edit{mount("/mnt", "bind", "/nowhere", "bind")}},
		"run without its program":      {"run --network none --bundle BUNDLE c1", []edit{args("nope")}},
		"a bundle that is none":        {"create --bundle BUNDLE/nowhere c1", nil},
		"wrong flags":                  {"create --frob c1", nil},
		"state of an unknown one":      {"state c1", nil},
		"kill of an unknown one":       {"kill c1 9", nil},
		"delete of an unknown one":     {"delete c1", nil},
		"exec in an unknown one":       {"exec --process p --detach c1", nil},
		"a limit that cannot be had":   {"create --bundle BUNDLE c1", []edit{set("linux.resources.memory.limit", -5)}},
		"a word that is to be escaped": {"create --bundle \a\x1b[31m c1", nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			dir := b.bundle("b", c.edits...)
			words := strings.Split(strings.ReplaceAll(c.args, "BUNDLE", dir), " ")
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
			defer ours.Close()
			cmd := b.command(append([]string{"--log", b.path("log.json"), "--log-format", "json"}, words...)...)
			cmd.Stderr = theirs
			err = cmd.Run()
			theirs.Close()
			if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
				t.Fatalf("it went well: %v", err)
			}
			var writes []string
			for buffer := make([]byte, 1<<16); ; {
				n, err := ours.Read(buffer)
				if n == 0 || err != nil {
					break
				}
				writes = append(writes, string(buffer[:n]))
			}
			if len(writes) != 1 {
				t.Fatalf("%d writes: %q", len(writes), writes)
			}
			msg := oneLogObject(t, b.path("log.json"))
			text := strings.TrimSuffix(strings.TrimPrefix(writes[0], "mycr: "), "\n")
			if before, hint, found := strings.Cut(text, "\nhint: "); found {
				text = before + " (hint: " + hint + ")"
			}
			if msg == "" || msg != text || len(writes[0]) > 8191 {
				t.Errorf("the log says %q, stderr %q", msg, writes[0])
			}
		})
	}
}

// piped starts the runtime with pipes and fails the test where they are still held after its end.
func piped(t *testing.T, b *box, words ...string) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	in, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	cmd := b.command(words...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, write, write
	err = cmd.Run()
	write.Close()
	in.Close()
	read.SetReadDeadline(time.Now().Add(10 * time.Second))
	text, rerr := io.ReadAll(read)
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(words, " "), err, text)
	}
	if rerr != nil {
		t.Errorf("%s: somebody holds its stdout: %v", strings.Join(words, " "), rerr)
	}
	if _, err := feed.Write([]byte("x")); !errors.Is(err, unix.EPIPE) {
		t.Errorf("%s: somebody holds its stdin: %v", strings.Join(words, " "), err)
	}
}

// keepTerminal keeps what a console socket has received open for as long as the test runs: without its other end a
// terminal is none.
func keepTerminal(t *testing.T, master *os.File) {
	t.Helper()
	if master == nil {
		t.Fatal("no terminal was sent")
	}
	t.Cleanup(func() { master.Close() })
}

// containerd reads the runtime's output to its end before it goes on: of what has a terminal nobody keeps it, and
// later commands leave nobody behind either.
func TestContractNobodyHoldsStdio(t *testing.T) {
	b := newBox(t)
	terminal := b.bundle("terminal", set("process.terminal", true), pts, sh("sleep 300 & sleep 300"))
	plain := b.bundle("plain", sh("sleep 300 & sleep 300"))
	b.snapshot()
	console := receiveConsole(t, b.path("console"))
	piped(t, b, "create", "--bundle", terminal, "--console-socket", b.path("console"), "c1")
	keepTerminal(t, <-console)
	piped(t, b, "start", "c1")
	os.Remove(b.path("console"))
	console = receiveConsole(t, b.path("console"))
	piped(t, b, "exec", "-d", "--console-socket="+b.path("console"), "--tty", "--pid-file="+b.path("pid"), "c1", "sleep", "300")
	keepTerminal(t, <-console)
	piped(t, b, "ps", "--format", "json", "c1")
	b.must("create", "--bundle", plain, "c2")
	piped(t, b, "start", "c2")
	piped(t, b, "kill", "c2", "9")
	piped(t, b, "delete", "--force", "c2")
	piped(t, b, "delete", "--force", "c1")
	os.Remove(b.path("console"))
	os.Remove(b.path("pid"))
	b.nothingLeft()
}

// The process that keeps a network is not one of those who hold it.
func TestNetworkKeeperHoldsNoStdio(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		b := newBox(t)
		dir := b.netBundle(set("process.terminal", true), pts, args("sleep", "300"))
		console := receiveConsole(t, b.path("console"))
		piped(t, b, "create", "--network", d.name, "--bundle", dir, "--console-socket", b.path("console"), "n1")
		keepTerminal(t, <-console)
		piped(t, b, "start", "n1")
		if s := b.network("n1"); s.Status != "running" {
			t.Errorf("no keeper: %+v", s)
		}
		piped(t, b, "delete", "--force", "n1")
	})
}

// conmon and the shim are subreapers, as this test is, and wait for the pids in the pid files.
func TestContractInitIsTheSubreapers(t *testing.T) {
	for name, edits := range map[string][]edit{
		"its own pid namespace": nil,
		"its caller's":          {withoutNamespace("pid"), set("mounts", []any{})},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			dir := b.bundle("b", append(edits, args("sleep", "300"))...)
			b.must("create", "--bundle", dir, "--pid-file", b.path("pid"), "c1")
			b.must("start", "c1")
			b.must("exec", "--detach", "--pid-file", b.path("epid"), "c1", "sleep", "300")
			for _, file := range []string{"pid", "epid"} {
				pid, err := os.ReadFile(b.path(file))
				if err != nil {
					t.Fatal(err)
				}
				status, err := os.ReadFile(filepath.Join("/proc", string(pid), "status"))
				if err != nil {
					t.Fatal(err)
				}
				if want := fmt.Sprintf("\nPPid:\t%d\n", os.Getpid()); !strings.Contains(string(status), want) {
					t.Errorf("%s: process %s is not a child of %d:\n%s", file, pid, os.Getpid(), status)
				}
			}
			b.must("delete", "--force", "c1")
		})
	}
}

// conmon looks for the terminal when the runtime has ended, go-runc takes one descriptor from one message.
func TestContractTerminalIsSentBeforeTheEnd(t *testing.T) {
	b := newBox(t)
	dir := b.bundle("b", set("process.terminal", true), pts, args("sleep", "300"))
	for _, words := range [][]string{
		{"create", "--bundle", dir, "--console-socket", b.path("console"), "c1"},
		{"exec", "--detach", "--tty", "--console-socket", b.path("console"), "c1", "sleep", "300"},
	} {
		listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: b.path("console")})
		if err != nil {
			t.Fatal(err)
		}
		b.must(words...)
		if words[0] == "create" {
			b.must("start", "c1")
		}
		listener.SetDeadline(time.Now())
		raw, err := listener.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		connection := -1
		raw.Control(func(fd uintptr) { connection, _, err = unix.Accept4(int(fd), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK) })
		if err != nil {
			t.Fatalf("%s: nobody has connected: %v", words[0], err)
		}
		name, rights := make([]byte, 4096), make([]byte, 256)
		n, size, _, _, err := unix.Recvmsg(connection, name, rights, unix.MSG_CMSG_CLOEXEC)
		if err != nil || n < 1 {
			t.Fatalf("%s: %d bytes, %v", words[0], n, err)
		}
		messages, err := unix.ParseSocketControlMessage(rights[:size])
		if err != nil || len(messages) != 1 {
			t.Fatalf("%s: %d messages, %v", words[0], len(messages), err)
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil || len(fds) != 1 {
			t.Fatalf("%s: %d descriptors, %v", words[0], len(fds), err)
		}
		if _, err := unix.IoctlGetWinsize(fds[0], unix.TIOCGWINSZ); err != nil {
			t.Errorf("%s: what came is no terminal: %v", words[0], err)
		}
		unix.Close(fds[0])
		if n, err := unix.Read(connection, name); n != 0 || err != nil {
			t.Errorf("%s: somebody holds the console socket: %d bytes, %v", words[0], n, err)
		}
		unix.Close(connection)
		listener.Close()
	}
	b.must("delete", "--force", "c1")
}

// A reader of the pid file sees all of it or no file; where there is no container there is none.
func TestContractPidFile(t *testing.T) {
	b := newBox(t)
	good := b.bundle("good", args("sleep", "300"))
	bad := b.bundle("bad", args("/nope"))
	hook := b.bundle("hook", set("hooks.createContainer", []any{map[string]any{"path": "/bin/false"}}))
	if err := os.Mkdir(b.path("pids"), 0o755); err != nil {
		t.Fatal(err)
	}
	watch, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(watch)
	if _, err := unix.InotifyAddWatch(watch, b.path("pids"), unix.IN_CREATE|unix.IN_MODIFY|unix.IN_MOVED_TO); err != nil {
		t.Fatal(err)
	}
	b.must("create", "--bundle", good, "--pid-file", b.path("pids/pid"), "c1")
	b.must("exec", "--detach", "--pid-file", b.path("pids/pid"), "c1", "sleep", "300")
	if n := arrivals(t, watch, "pid"); n != 2 {
		t.Errorf("the file arrived %d times, not 2", n)
	}
	for _, dir := range []string{bad, hook} {
		if r := b.run("create", "--bundle", dir, "--pid-file", b.path("pids/none"), "c2"); r.status == 0 {
			t.Errorf("%s was created", dir)
		}
	}
	if r := b.run("exec", "--detach", "--pid-file", b.path("pids/none"), "c1", "/nope"); r.status == 0 {
		t.Error("/nope was executed")
	}
	names, _ := os.ReadDir(b.path("pids"))
	if len(names) != 1 || arrivals(t, watch, "none") != 0 {
		t.Errorf("a pid file of nothing: %v", names)
	}
	b.must("delete", "--force", "c1")
}

// arrivals counts how often a file of that name was moved to its place. That it is made or written there is an error.
func arrivals(t *testing.T, watch int, name string) (n int) {
	t.Helper()
	buffer := make([]byte, 1<<16)
	size, err := unix.Read(watch, buffer)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
	for at := 0; at < size; {
		event := (*unix.InotifyEvent)(unsafe.Pointer(&buffer[at]))
		at += unix.SizeofInotifyEvent
		of := strings.TrimRight(string(buffer[at:at+int(event.Len)]), "\x00")
		at += int(event.Len)
		switch {
		case of != name:
		case event.Mask&unix.IN_MOVED_TO != 0:
			n++
		default:
			t.Errorf("%s was made or written in its place: %#x", name, event.Mask)
		}
	}
	return n
}
