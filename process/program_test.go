// SPDX-License-Identifier: Apache-2.0

package process

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/linux"
)

func TestProgramAsUser(t *testing.T) {
	needRoot(t)
	file := testBinary(t)
	p := process(file)
	umask, oom := uint32(0o27), 500
	p.User = specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{4, 27}, Umask: &umask}
	p.NoNewPrivileges = true
	p.OOMScoreAdj = &oom
	both := []string{"CAP_KILL", "CAP_NET_BIND_SERVICE"}
	p.Capabilities = &specs.LinuxCapabilities{Bounding: append(both, "CAP_CHOWN"), Permitted: both, Effective: both[:1],
		Inheritable: both[:1], Ambient: both[:1]}
	p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 100, Hard: 200}, {Type: "RLIMIT_CORE"}}
	p.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 6}
	p.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch}
	p.Cwd = filepath.Dir(file)
	got := show(t, stage{Process: p, Leak: true, Options: noConsole()})
	for name, want := range map[string]string{
		"Uid": "1000 1000 1000 1000", "Gid": "1001 1001 1001 1001", "Groups": "4 27",
		"CapInh": mask16(5), "CapPrm": mask16(5), "CapEff": mask16(5), "CapBnd": mask16(0, 5, 10), "CapAmb": mask16(5),
		"NoNewPrivs": "1",
	} {
		if got.Status[name] != want {
			t.Errorf("%s is %q, want %q", name, got.Status[name], want)
		}
	}
	if got.Cwd != p.Cwd || !got.Leader || got.Umask != 0o27 || got.Oom != "500" || got.Policy != unix.SCHED_BATCH || got.Ioprio != 2<<13|6 {
		t.Errorf("cwd %q leader %v umask %o oom %s policy %d ioprio %#x", got.Cwd, got.Leader, got.Umask, got.Oom, got.Policy, got.Ioprio)
	}
	if !slices.Equal(got.Fds, []string{"0", "1", "2"}) {
		t.Errorf("open descriptors: %v", got.Fds)
	}
	if got.Nofile != (unix.Rlimit{Cur: 100, Max: 200}) || got.Core != (unix.Rlimit{}) {
		t.Errorf("RLIMIT_NOFILE %v, RLIMIT_CORE %v", got.Nofile, got.Core)
	}
	if !slices.Equal(got.Env, []string{"MYCR_TEST=show", "A=2"}) || !slices.Equal(got.Args, p.Args) {
		t.Errorf("env %v args %v", got.Env, got.Args)
	}
}

// mask16 writes capabilities as /proc/PID/status does.
func mask16(caps ...int) string {
	var m uint64
	for _, c := range caps {
		m |= 1 << c
	}
	return fmt.Sprintf("%016x", m)
}

// TestProgramWithoutCapabilities: capabilities that are not given are none.
func TestProgramWithoutCapabilities(t *testing.T) {
	got := show(t, stage{Process: process(testBinary(t)), Options: noConsole(), Deny: os.Geteuid() != 0})
	for _, name := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		if got.Status[name] != mask16() {
			t.Errorf("%s is %s", name, got.Status[name])
		}
	}
	if got.Status["Groups"] != "" && os.Geteuid() == 0 {
		t.Errorf("the caller's groups leak: %s", got.Status["Groups"])
	}
}

// TestNofileAsAtStart: a program gets the soft limit that mycr was started
// with, not the one that Go's runtime raised it to.
func TestNofileAsAtStart(t *testing.T) {
	var lim unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 777, Max: 3000}, &lim); err != nil {
		t.Fatal(err)
	}
	defer unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: lim.Cur, Max: max(lim.Max, 3000)}, nil)
	got := show(t, stage{Process: process(testBinary(t)), Options: noConsole(), Deny: os.Geteuid() != 0})
	if got.Nofile != (unix.Rlimit{Cur: 777, Max: 3000}) {
		t.Errorf("RLIMIT_NOFILE is %v", got.Nofile)
	}
}

// TestPreservedDescriptors: --preserve-fds N keeps 3 to N+2 and no more.
func TestPreservedDescriptors(t *testing.T) {
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	o := noConsole()
	o.PreserveFDs = 2
	got := show(t, stage{Process: process(testBinary(t)), Options: o, Deny: os.Geteuid() != 0}, null, null, null, null)
	if !slices.Equal(got.Fds, []string{"0", "1", "2", "3", "4"}) {
		t.Errorf("open descriptors: %v", got.Fds)
	}
}

// rootDir is a root directory with an empty /proc.
func rootDir(t *testing.T) string {
	dir := t.TempDir()
	for _, d := range []string{"proc", "etc", "bin", "bin2"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestCwdThroughLeakedDescriptor is CVE-2024-21626.
func TestCwdThroughLeakedDescriptor(t *testing.T) {
	p := process("/nothing")
	p.Cwd = "/proc/self/fd/9"
	_, err := run(t, stage{Process: p, Chroot: rootDir(t), Leak: true, Options: noConsole(), Deny: os.Geteuid() != 0})
	want := "chdir to process.cwd /proc/self/fd/9, which is outside the container: no such file or directory"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestExecThroughLeakedDescriptor is its other half: close-on-exec descriptors
// are still there when execve looks its path up.
func TestExecThroughLeakedDescriptor(t *testing.T) {
	// A static program: a dynamic one would miss its loader in the chroot.
	p := process("/proc/self/fd/9" + testBinary(t))
	out, err := run(t, stage{Process: p, Chroot: rootDir(t), Leak: true, Options: noConsole(), Deny: os.Geteuid() != 0})
	if err == nil || !strings.Contains(err.Error(), "no such file or directory") {
		t.Errorf("executed: %q, %v", out, err)
	}
}

func TestExecErrors(t *testing.T) {
	dir := rootDir(t)
	os.WriteFile(filepath.Join(dir, "bin/plain"), []byte("x"), 0o644)
	os.WriteFile(filepath.Join(dir, "bin/text"), []byte("x\n"), 0o755)
	for _, c := range []struct{ arg0, want string }{
		{"nosuch", `exec: "nosuch": executable file not found in $PATH`},
		{"plain", `exec: "plain": permission denied`},
		{"/nope", `exec: "/nope": stat /nope: no such file or directory`},
		{"/etc", `exec: "/etc": permission denied`},
		{"text", `exec /bin/text: exec format error`},
	} {
		p := process(c.arg0)
		p.Env = []string{"PATH=/bin:/bin2:/etc/x"}
		_, err := run(t, stage{Process: p, Chroot: dir, Options: noConsole(), Deny: os.Geteuid() != 0})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.arg0, err, c.want)
		}
	}
}

// TestDirectoryOfRootOnly: a WORKDIR that only root may enter works for a
// process of another user, as it does in runc.
func TestDirectoryOfRootOnly(t *testing.T) {
	needRoot(t)
	p := process(testBinary(t))
	p.User.UID = 1000
	p.Cwd = filepath.Join(filepath.Dir(p.Args[0]), "closed")
	if err := os.Mkdir(p.Cwd, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := show(t, stage{Process: p, Options: noConsole()}); got.Status["CapEff"] != mask16() {
		t.Errorf("CapEff is %s", got.Status["CapEff"])
	}
}

// TestSeccompComesLast: after no_new_privs where that is set; else while
// CAP_SYS_ADMIN is still in effect, but after the descriptors are closed.
func TestSeccompComesLast(t *testing.T) {
	for _, nnp := range []bool{false, true} {
		p := minimal()
		p.NoNewPrivileges = nnp
		plan, err := Resolve(p, nil, hostFacts())
		if err != nil {
			t.Fatal(err)
		}
		o := ProgramOptions{ConsoleSocket: -1}
		o.Seccomp = func(p *linux.Program) { p.Call("FILTER", unix.SYS_GETPID) }
		program := plan.Program(o)
		var order []string
		for i := range program.Len() {
			switch w := program.What(i); w {
			case "FILTER", "set process.capabilities", "set process.noNewPrivileges", "close descriptors", "setsid":
				order = append(order, w)
			}
		}
		want := "setsid, close descriptors, FILTER, set process.capabilities"
		if nnp {
			want = "setsid, close descriptors, set process.capabilities, set process.noNewPrivileges, FILTER"
		}
		if got := strings.Join(order, ", "); got != want {
			t.Errorf("no_new_privs %v: %s", nnp, got)
		}
	}
}

// TestTerminalOverSocket: a process that joins a container makes its terminal
// in the container's devpts and sends the master out.
func TestTerminalOverSocket(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer ours.Close()
	p := process(testBinary(t))
	p.Terminal, p.ConsoleSize = true, &specs.Box{Height: 33, Width: 99}
	if os.Geteuid() == 0 {
		p.User.UID = 1000
	}
	out, err := run(t, stage{Process: p, Devpts: true, Options: options{ConsoleSocket: 3}, Deny: os.Geteuid() != 0}, theirs)
	theirs.Close()
	if err != nil || out != "" {
		t.Fatalf("%q, %v", out, err)
	}
	name, oob := make([]byte, 64), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := unix.Recvmsg(int(ours.Fd()), name, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil || string(name[:n]) != "/dev/ptmx" {
		t.Fatalf("message %q, %v", name[:n], err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		t.Fatal(err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		t.Fatal(err)
	}
	master := os.NewFile(uintptr(fds[0]), "master")
	defer master.Close()
	text, _ := io.ReadAll(master) // EIO at the end
	var got shown
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	if got.Size != "33x99" || !got.TTY || !got.Leader || !slices.Equal(got.Fds, []string{"0", "1", "2"}) {
		t.Errorf("size %s tty %v leader %v descriptors %v", got.Size, got.TTY, got.Leader, got.Fds)
	}
	if want := p.User.UID; got.Stdin != want {
		t.Errorf("the terminal belongs to %d, want %d", got.Stdin, want)
	}
}

func TestOpenTerminalRefusesAnythingElse(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ptmx"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := OpenTerminal(int(d.Fd()), nil, 0); err == nil || !strings.Contains(err.Error(), "not that of a devpts") {
		t.Errorf("got %v", err)
	}
}

func TestOpenTerminal(t *testing.T) {
	d, err := os.Open("/dev/pts")
	if err != nil {
		t.Skip(err)
	}
	defer d.Close()
	if unix.Faccessat(int(d.Fd()), "ptmx", unix.R_OK|unix.W_OK, 0) != nil {
		t.Skip("this devpts has a ptmx that nobody may open")
	}
	term, err := OpenTerminal(int(d.Fd()), &Size{Rows: 7, Columns: 8}, uint32(os.Geteuid()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(term.Master)
	defer unix.Close(term.Slave)
	w, err := unix.IoctlGetWinsize(term.Slave, unix.TIOCGWINSZ)
	if err != nil || w.Row != 7 || w.Col != 8 {
		t.Errorf("size %+v, %v", w, err)
	}
	var st unix.Stat_t
	if err := unix.Stat("/dev/pts/"+strconv.Itoa(term.Number), &st); err != nil || st.Uid != uint32(os.Geteuid()) {
		t.Errorf("slave %d: uid %d, %v", term.Number, st.Uid, err)
	}
}
