// SPDX-License-Identifier: Apache-2.0

package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/linux"
)

// The test binary runs itself twice: as the process that carries the Program
// out in namespaces of its own (stage), and as the program that it executes,
// which shows what it became (show).
func TestMain(m *testing.M) {
	switch os.Getenv("MYCR_TEST") {
	case "stage":
		stageMain()
	case "show":
		showMain()
	}
	os.Exit(m.Run())
}

// stage is what the test asks of the process in the middle.
type stage struct {
	Process specs.Process
	Chroot  string // root directory, with the host's /proc in it
	Leak    bool   // descriptor 9 is the host's root directory, inherited
	Options options
	Devpts  bool
	Deny    bool // setgroups is denied
}

// options is what of ProgramOptions goes through JSON.
type options struct{ ConsoleSocket, PreserveFDs int }

// shown is what the executed program found itself to be.
type shown struct {
	Status  map[string]string // of /proc/self/status
	Cwd     string
	Fds     []string
	Nofile  unix.Rlimit
	Core    unix.Rlimit
	Umask   int
	Leader  bool // of its session
	Ioprio  int
	Oom     string
	Size    string // of the terminal on standard input
	TTY     bool   // /dev/tty opens
	Env     []string
	Args    []string
	Stdin   uint32 // owner
	Policy  int
	Personl uintptr
}

func stageMain() {
	runtime.LockOSThread()
	var s stage
	must(json.Unmarshal([]byte(os.Getenv("STAGE")), &s))
	must(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	if s.Devpts {
		must(unix.Mount("devpts", "/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666"))
	}
	if s.Leak {
		fd, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		must(err)
		must(unix.Dup2(fd, 9))
		unix.Close(fd)
	}
	proc, err := unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(err)
	f, err := Gather(&s.Process)
	must(err)
	f.UserNamespace, f.SetgroupsDenied = true, s.Deny
	plan, err := Resolve(&s.Process, nil, f)
	must(err)
	early := linux.NewProgram()
	plan.AddEarly(early)
	if at, errno := early.Run(); errno != 0 {
		must(fmt.Errorf("%s: %w", early.What(at), errno))
	}
	if s.Chroot != "" {
		must(unix.Mount("/proc", s.Chroot+"/proc", "", unix.MS_BIND|unix.MS_REC, ""))
		must(unix.Chroot(s.Chroot))
		must(unix.Chdir("/"))
	}
	keep, err := PollerFDs(proc)
	must(err)
	p := plan.Program(ProgramOptions{ConsoleSocket: s.Options.ConsoleSocket, PreserveFDs: s.Options.PreserveFDs, KeepFDs: keep, ProcFD: proc})
	at, errno := p.Run()
	if at == p.Len() {
		must(plan.ExecError("", errno))
	}
	must(fmt.Errorf("%s: %w", p.What(at), errno))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(100)
	}
}

func showMain() {
	s := shown{Status: map[string]string{}, Env: os.Environ(), Args: os.Args}
	text, _ := os.ReadFile("/proc/thread-self/status")
	for _, line := range strings.Split(string(text), "\n") {
		name, value, _ := strings.Cut(line, ":")
		s.Status[name] = strings.Join(strings.Fields(value), " ")
	}
	s.Cwd, _ = unix.Getwd()
	names, _ := os.ReadDir("/proc/self/fd")
	for _, n := range names {
		to, err := os.Readlink("/proc/self/fd/" + n.Name())
		// Go's own: the poller, and since 1.25 files of the cgroup.
		if err == nil && !strings.HasPrefix(to, "anon_inode:[event") && !strings.HasPrefix(to, "/proc/") && !strings.HasPrefix(to, "/sys/fs/cgroup") {
			s.Fds = append(s.Fds, n.Name())
		}
	}
	NofileAtStart()
	unix.Getrlimit(unix.RLIMIT_NOFILE, &s.Nofile)
	unix.Getrlimit(unix.RLIMIT_CORE, &s.Core)
	s.Umask = unix.Umask(0)
	sid, _ := unix.Getsid(0)
	s.Leader = sid == os.Getpid()
	r, _, _ := unix.Syscall(unix.SYS_IOPRIO_GET, 1, 0, 0)
	s.Ioprio = int(r)
	oom, _ := os.ReadFile("/proc/self/oom_score_adj")
	s.Oom = strings.TrimSpace(string(oom))
	if w, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ); err == nil {
		s.Size = fmt.Sprintf("%dx%d", w.Row, w.Col)
	}
	if tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		s.TTY = true
		tty.Close()
	}
	var st unix.Stat_t
	unix.Fstat(0, &st)
	s.Stdin = st.Uid
	policy, _, _ := unix.Syscall(unix.SYS_SCHED_GETSCHEDULER, 0, 0, 0)
	s.Policy = int(policy)
	json.NewEncoder(os.Stdout).Encode(s)
	os.Exit(0)
}

// testBinary is a copy of the test binary that every uid can execute.
func testBinary(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		os.Chmod(d, 0o755)
	}
	file := filepath.Join(dir, "show")
	if err := os.WriteFile(file, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

// run carries s out and returns the program's output, or the stage's error.
func run(t *testing.T, s stage, extra ...*os.File) (out string, err error) {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"MYCR_TEST=stage", "STAGE=" + string(text)}
	cmd.ExtraFiles = extra
	maps := func(id int) []syscall.SysProcIDMap {
		if os.Geteuid() == 0 {
			return []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}}
		}
		return []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: maps(os.Getuid()), GidMappings: maps(os.Getgid()),
		GidMappingsEnableSetgroups: os.Geteuid() == 0,
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	b, err := cmd.Output()
	if cmd.ProcessState == nil {
		t.Skipf("no user namespace: %v", err)
	}
	if err != nil {
		return "", errors.New(strings.TrimSpace(stderr.String()))
	}
	return string(b), nil
}

func show(t *testing.T, s stage, extra ...*os.File) shown {
	t.Helper()
	out, err := run(t, s, extra...)
	if err != nil {
		t.Fatal(err)
	}
	var got shown
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: %q", err, out)
	}
	return got
}

func needRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs a full id map, which this test writes as root")
	}
}

func process(file string) specs.Process {
	return specs.Process{Args: []string{file, "word"}, Cwd: "/", Env: []string{"MYCR_TEST=show", "A=1", "A=2"}}
}

func noConsole() options { return options{ConsoleSocket: -1} }
