// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/linux"
)

// childProfile is the variable that makes the test binary a child that takes
// the profile in it and executes its arguments.
const childProfile = "SECCOMP_TEST_PROFILE"

func TestMain(m *testing.M) {
	if text := os.Getenv(childProfile); text != "" {
		fmt.Fprintln(os.Stderr, child(text, os.Args[1:]))
		os.Exit(99)
	}
	os.Exit(m.Run())
}

// brokenMetadata makes the child's connection fail.
const brokenMetadata = "broken"

// child returns only if something fails.
func child(text string, args []string) error {
	s := &specs.LinuxSeccomp{}
	if err := json.Unmarshal([]byte(text), s); err != nil {
		return err
	}
	plan, err := Resolve(s, Native())
	if err != nil {
		return err
	}
	socket, state := -1, []byte(nil)
	if plan.Notify {
		if socket, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if err := unix.Connect(socket, &unix.SockaddrUnix{Name: plan.ListenerPath}); err != nil {
			return err
		}
		if plan.ListenerMetadata == brokenMetadata {
			unix.Shutdown(socket, unix.SHUT_WR)
		}
		state, _ = json.Marshal(specs.ContainerProcessState{Version: specs.Version, Fds: []string{specs.SeccompFdName},
			Pid: os.Getpid(), Metadata: plan.ListenerMetadata})
	}
	runtime.LockOSThread()
	p := linux.NewProgram()
	p.WithoutHandlers()
	p.Call("set no_new_privs", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	plan.AddTo(p, socket, state)
	p.Call("execve "+args[0], unix.SYS_EXECVE, args[0], p.Strings(args), p.Strings([]string{"PATH=/usr/bin:/bin", "LC_ALL=C"}))
	at, errno := p.Run()
	return fmt.Errorf("%s: %w", p.What(at), errno)
}

// start prepares a child that runs a program under a profile.
func start(t *testing.T, s *specs.LinuxSeccomp, args ...string) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = []string{childProfile + "=" + string(text)}
	return cmd
}

// result says how a child ended: its exit status or its signal, and what it wrote.
func result(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return strings.TrimSpace(fmt.Sprintf("signal %d %s", status.Signal(), out))
	}
	return strings.TrimSpace(fmt.Sprintf("exit %d %s", status.ExitStatus(), out))
}

func onMkdir(action specs.LinuxSeccompAction, errno *uint) *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"mkdir", "mkdirat"}, Action: action, ErrnoRet: errno}}}
}

func TestKernelDoesWhatTheActionSays(t *testing.T) {
	sigsys := fmt.Sprintf("signal %d", unix.SIGSYS)
	for _, c := range []struct {
		s    *specs.LinuxSeccomp
		want string
	}{
		{nil, "exit 0"},
		{onMkdir(specs.ActAllow, nil), "exit 0"},
		{onMkdir(specs.ActLog, nil), "exit 0"},
		{onMkdir(specs.ActErrno, nil), "exit 1 /bin/mkdir: cannot create directory 'DIR': Operation not permitted"},
		{onMkdir(specs.ActErrno, number(uint(unix.ENOMEDIUM))), "exit 1 /bin/mkdir: cannot create directory 'DIR': No medium found"},
		{onMkdir(specs.ActTrace, nil), "exit 1 /bin/mkdir: cannot create directory 'DIR': Function not implemented"},
		{onMkdir(specs.ActTrap, nil), sigsys},
		{onMkdir(specs.ActKill, nil), sigsys},
		{onMkdir(specs.ActKillThread, nil), sigsys},
		{onMkdir(specs.ActKillProcess, nil), sigsys},
		{&specs.LinuxSeccomp{DefaultAction: specs.ActKill}, sigsys},
		{&specs.LinuxSeccomp{DefaultAction: specs.ActKillProcess}, sigsys},
		{&specs.LinuxSeccomp{DefaultAction: specs.ActErrno}, "exit 99 linux.seccomp: execve answers \"operation not permitted\", so that no program can start"},
		{engineProfile(t), "exit 0"},
		{Default(), "exit 0"},
	} {
		dir := filepath.Join(t.TempDir(), "new")
		s := c.s
		if s == nil {
			s = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
		}
		got := strings.ReplaceAll(result(t, start(t, s, "/bin/mkdir", dir)), dir, "DIR")
		if got != c.want {
			t.Errorf("%+v: %s instead of %s", s, got, c.want)
		}
	}
}

func TestKernelTakesTheFlags(t *testing.T) {
	facts, err := Probe()
	if err != nil {
		t.Fatal(err)
	}
	s := onMkdir(specs.ActErrno, nil)
	s.Flags = facts.Flags
	if len(s.Flags) < 3 {
		t.Errorf("flags %v", s.Flags)
	}
	if got := result(t, start(t, s, "/bin/true")); got != "exit 0" {
		t.Error(got)
	}
	if _, err := Resolve(s, facts); err != nil {
		t.Error(err)
	}
}

// notification is struct seccomp_notif.
type notification struct {
	id         uint64
	pid, flags uint32
	data       data
}

// response is struct seccomp_notif_resp.
type response struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// Also execve itself can be asked about: the connection is closed before.
func TestListenerIsHandedOver(t *testing.T) {
	for name, want := range map[string]string{
		"mkdir":  "exit 1 /bin/mkdir: cannot create directory 'DIR': No medium found",
		"execve": "exit 99 execve /bin/mkdir: no medium found",
	} {
		path := filepath.Join(t.TempDir(), "agent")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		s := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: path, ListenerMetadata: "the metadata",
			Flags:    []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv},
			Syscalls: []specs.LinuxSyscall{{Names: []string{name, name + "at"}, Action: specs.ActNotify}}}
		dir := filepath.Join(t.TempDir(), "new")

		agent := make(chan error, 1)
		go func() { agent <- answerOne(l, s.ListenerMetadata, unix.ENOMEDIUM) }()
		got := strings.ReplaceAll(result(t, start(t, s, "/bin/mkdir", dir)), dir, "DIR")
		l.Close() // a child that never connected leaves the agent in accept
		if err := <-agent; err != nil {
			t.Error(err)
		}
		if got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// answerOne takes a listener and answers its first notification.
func answerOne(l net.Listener, metadata string, errno unix.Errno) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	text, control := make([]byte, 65536), make([]byte, unix.CmsgSpace(16))
	n, cn, _, _, err := c.(*net.UnixConn).ReadMsgUnix(text, control)
	if err != nil {
		return err
	}
	var state specs.ContainerProcessState
	if err := json.Unmarshal(text[:n], &state); err != nil {
		return err
	}
	if len(state.Fds) != 1 || state.Fds[0] != specs.SeccompFdName || state.Metadata != metadata || state.Pid == 0 {
		return fmt.Errorf("state %+v", state)
	}
	messages, err := unix.ParseSocketControlMessage(control[:cn])
	if err != nil || len(messages) != 1 {
		return fmt.Errorf("control message: %d, %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return fmt.Errorf("descriptors: %v, %w", fds, err)
	}
	defer unix.Close(fds[0])
	// The connection ends before the program starts, so that an agent may
	// read to its end.
	if n, _ := c.Read(text); n != 0 {
		return errors.New("more than one message")
	}
	var in notification
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fds[0]), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&in))); e != 0 {
		return fmt.Errorf("receive a notification: %w", e)
	}
	out := response{id: in.id, errno: -int32(errno)}
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fds[0]), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&out))); e != 0 {
		return fmt.Errorf("answer: %w", e)
	}
	return nil
}

func TestListenerThatIsGoneIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := onMkdir(specs.ActNotify, nil)
	s.ListenerPath, s.ListenerMetadata = path, brokenMetadata
	want := "exit 99 send the seccomp listener to " + path + ": broken pipe"
	if got := result(t, start(t, s, "/bin/true")); got != want {
		t.Error(got)
	}
}

// program writes an executable for x86-64 that makes one system call and exits
// with its errno.
func program(t *testing.T, compat bool, nr, first uint32) string {
	t.Helper()
	enter, exit := []byte{0x0f, 0x05}, uint32(60) // syscall
	if compat {
		enter, exit = []byte{0xcd, 0x80}, 1 // int 0x80
	}
	code := []byte{0xb8}
	code = binary.LittleEndian.AppendUint32(code, nr) // mov eax, nr
	code = append(code, 0xbb)
	code = binary.LittleEndian.AppendUint32(code, first) // mov ebx, first
	code = append(code, 0x89, 0xdf)                      // mov edi, ebx
	code = append(code, enter...)
	code = append(code, 0xf7, 0xd8, 0x89, 0xc3, 0x89, 0xc7, 0xb8) // neg eax; mov ebx, eax; mov edi, eax; mov eax, exit
	code = binary.LittleEndian.AppendUint32(code, exit)
	code = append(code, enter...)

	const at = 0x400000
	b := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 9)...)
	u16 := func(v ...uint16) {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint16(b, x)
		}
	}
	u64 := func(v ...uint64) {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint64(b, x)
		}
	}
	u16(2, 62, 1, 0)              // executable, x86-64, version
	u64(at+120, 64, 0)            // entry, program headers, section headers
	u16(0, 0, 64, 56, 1, 0, 0, 0) // flags, sizes
	u16(1, 0, 5, 0)               // PT_LOAD, read and execute
	u64(0, at, at, 120+uint64(len(code)), 120+uint64(len(code)), 0x1000)
	b = append(b, code...)
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// The other ways into the kernel that x86-64 has are filtered or closed.
func TestKernelFiltersCompatCalls(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the program is x86-64's")
	}
	none := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
	if got := result(t, start(t, &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86}},
		program(t, true, 6, 99))); got != fmt.Sprintf("exit %d", unix.EBADF) { // close(99)
		t.Skipf("no 32-bit system calls here: %s", got)
	}
	closing := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86, specs.ArchX32},
		Syscalls: []specs.LinuxSyscall{
			{Names: []string{"close"}, Action: specs.ActErrno, ErrnoRet: number(42)},
			{Names: []string{"connect"}, Action: specs.ActErrno, ErrnoRet: number(43)},
			{Names: []string{"personality"}, Action: specs.ActErrno, ErrnoRet: number(44), Args: arg(0, specs.OpEqualTo, 0xfffffffe)},
		}}
	sigsys := fmt.Sprintf("signal %d", unix.SIGSYS)
	for _, c := range []struct {
		s      *specs.LinuxSeccomp
		compat bool
		nr     uint32
		first  uint32
		want   string
	}{
		{none, true, 6, 99, sigsys},                  // x86's close without x86 in the profile
		{none, false, x32Bit | 3, 99, sigsys},        // x32's
		{none, false, 3, 99, "exit 9"},               // x86-64's: EBADF
		{closing, false, 3, 99, "exit 42"},           //
		{closing, true, 6, 99, "exit 42"},            //
		{closing, false, x32Bit | 3, 99, "exit 42"},  //
		{closing, true, 102, 3, "exit 43"},           // socketcall(SYS_CONNECT)
		{closing, true, 136, 0xfffffffe, "exit 44"},  // personality
		{closing, true, 136, 0xffffffff, "exit 0"},   //
		{closing, false, 135, 0xfffffffe, "exit 44"}, //
	} {
		if got := result(t, start(t, c.s, program(t, c.compat, c.nr, c.first))); got != c.want {
			t.Errorf("compat %v, call %#x(%#x): %s instead of %s", c.compat, c.nr, c.first, got, c.want)
		}
	}
}
