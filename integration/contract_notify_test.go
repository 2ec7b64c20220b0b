// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// probeNotify tells the service manager each of the words as one datagram, \n in it being a new line. After BARRIER=1,
// which carries the end of a pipe, it waits until nobody holds that any more, as sd_notify_barrier(3).
func probeNotify(words []string) int {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: os.Getenv("NOTIFY_SOCKET")})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		return 1
	}
	for _, word := range words {
		var rights []byte
		read, write, err := os.Pipe()
		if err == nil && word == "BARRIER=1" {
			rights = unix.UnixRights(int(write.Fd()))
		}
		if err == nil {
			err = unix.Sendmsg(fd, []byte(strings.ReplaceAll(word, `\n`, "\n")), rights, nil, 0)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "probe:", err)
			return 1
		}
		write.Close()
		if rights != nil {
			read.Read(make([]byte, 1))
		}
	}
	return 0
}

// A serviceManager is what systemd is behind NOTIFY_SOCKET.
type serviceManager struct {
	t          testing.TB
	path       string
	connection *net.UnixConn
}

func newServiceManager(t testing.TB, path string) *serviceManager {
	t.Helper()
	connection, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	raw, err := connection.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
	}
	if err == nil {
		err = os.Chmod(path, 0o666) // as systemd's is, for the units of other users
	}
	if err != nil {
		t.Fatal(err)
	}
	return &serviceManager{t, path, connection}
}

// hears returns one datagram and the process that sent it.
func (m *serviceManager) hears() (text string, pid int) {
	m.t.Helper()
	m.connection.SetReadDeadline(time.Now().Add(hang))
	buffer, control := make([]byte, 8192), make([]byte, 256)
	n, size, _, _, err := m.connection.ReadMsgUnix(buffer, control)
	if err != nil {
		m.t.Fatalf("the service manager hears nothing: %v", err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:size])
	if err != nil || len(messages) == 0 {
		m.t.Fatalf("a datagram without its sender: %v", err)
	}
	sender, err := unix.ParseUnixCredentials(&messages[0])
	if err != nil {
		m.t.Fatal(err)
	}
	return string(bytes.TrimSpace(buffer[:n])), int(sender.Pid)
}

func notifyBox(t testing.TB, edits ...edit) (b *box, dir string, m *serviceManager) {
	b = newBox(t)
	dir = b.bundle("b", append([]edit{mount("/run", "tmpfs", "tmpfs", "mode=755")}, edits...)...)
	b.snapshot()
	m = newServiceManager(t, b.path("sd"))
	b.env = append(b.env, "NOTIFY_SOCKET="+m.path)
	return b, dir, m
}

// systemd-run -p Type=notify mycr run: the unit's main process is mycr, and only that is believed.
func TestContractNotifyRun(t *testing.T) {
	edits := []edit{args("/bin/probe", "notify", `MAINPID=1\nREADY=1\nSTATUS=on the way`, "FDSTORE=1", "BARRIER=1", "STOPPING=1")}
	if situation != unshareRoot {
		edits = append(edits, set("process.user.uid", 1000), set("process.user.gid", 1000))
	}
	b, dir, m := notifyBox(t, edits...)
	cmd := b.command("run", "--network", "none", "-b", dir, "c1")
	if r := b.wait(cmd); r.status != 0 || r.stderr != "" {
		t.Fatal(r)
	}
	for _, want := range []string{"READY=1\nSTATUS=on the way", "STOPPING=1"} {
		if text, pid := m.hears(); text != want || pid != cmd.Process.Pid {
			t.Errorf("heard %q of process %d, not %q of %d, which is mycr", text, pid, want, cmd.Process.Pid)
		}
	}
	os.Remove(m.path)
	b.nothingLeft()
}

// What nobody of mycr's stays for has the service manager's own socket.
func TestContractNotifyCreate(t *testing.T) {
	b, dir, m := notifyBox(t, sh("probe notify READY=1; sleep 300"), set("root.readonly", true))
	b.must("create", "-b", dir, "--pid-file", b.path("pid"), "c1")
	b.must("start", "c1")
	if text, _ := m.hears(); text != "READY=1" {
		t.Errorf("heard %q", text)
	}
	// A process that joins has the variable too.
	b.must("exec", "c1", "/bin/probe", "notify", "WATCHDOG=1")
	if text, _ := m.hears(); text != "WATCHDOG=1" {
		t.Errorf("heard %q", text)
	}
	b.must("delete", "--force", "c1")
	os.Remove(m.path)
	os.Remove(b.path("pid"))
	b.nothingLeft()
}

func TestContractNotifyIsTheBundles(t *testing.T) {
	for name, c := range map[string]struct {
		variable string
		edits    []edit
		want     string
	}{
		"podman's own":        {"", []edit{set("process.env", []string{"PATH=/bin", "NOTIFY_SOCKET=/run/notify/own"})}, "/run/notify/own"},
		"a mount of its own":  {"", []edit{mount("/run/notify", "tmpfs", "tmpfs")}, ""},
		"engines take it out": {"none", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b, dir, _ := notifyBox(t, append(c.edits, sh(`echo "<$NOTIFY_SOCKET>"; ls -A /run`))...)
			if c.variable == "none" {
				b.env = b.env[:len(b.env)-1]
			}
			r := b.must("run", "--network", "none", "-b", dir, "c1")
			if value, rest, _ := strings.Cut(r.stdout, "\n"); value != "<"+c.want+">" || strings.Contains(rest, "sock") {
				t.Errorf("%q", r.stdout)
			}
		})
	}
}

func TestContractNotifyRefused(t *testing.T) {
	for name, path := range map[string]string{
		"nobody listens": "/nowhere/notify", "a vsock": "vsock:2:1234", "an abstract one": "@mycr-test", "a stream": "",
	} {
		t.Run(name, func(t *testing.T) {
			b, dir, _ := notifyBox(t, sh("true"))
			if path == "" {
				path = b.path("stream")
				listener, err := net.Listen("unix", path)
				if err != nil {
					t.Fatal(err)
				}
				defer listener.Close()
			}
			b.env = append(b.env[:len(b.env)-1], "NOTIFY_SOCKET="+path)
			r := b.run("create", "-b", dir, "c1")
			if r.status == 0 {
				t.Error("it was created")
			}
			oneErrorLine(t, r, "NOTIFY_SOCKET", path)
			if !strings.Contains(r.stderr, "hint: env -u NOTIFY_SOCKET") {
				t.Errorf("no hint: %q", r.stderr)
			}
		})
	}
}
