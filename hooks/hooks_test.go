// SPDX-License-Identifier: Apache-2.0

package hooks

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("MYCR_TEST_DIR"); dir != "" {
		_ = Run([]specs.Hook{script(`echo $$ > ` + dir + `/pid.new; mv ` + dir + `/pid.new ` + dir + `/pid; sleep 1000`)}, nil, Options{Kind: Prestart})
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestHookDiesWithItsRunner: SIGKILL of mycr leaves no hook behind.
func TestHookDiesWithItsRunner(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "MYCR_TEST_DIR="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, dir+"/pid")
	fd, err := unix.PidfdOpen(readPid(t, dir+"/pid"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10000); n != 1 {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		t.Error("the hook lives on")
	}
}

// waitFor waits until file is there.
func waitFor(t *testing.T, file string) {
	t.Helper()
	in, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(in)
	if _, err := unix.InotifyAddWatch(in, filepath.Dir(file), unix.IN_MOVED_TO); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		if _, err := os.Stat(file); err == nil {
			return
		}
		if n, _ := unix.Poll([]unix.PollFd{{Fd: int32(in), Events: unix.POLLIN}}, 10000); n != 1 {
			t.Fatalf("no %s", file)
		}
		_, _ = unix.Read(in, buf)
	}
}

func script(lines ...string) specs.Hook {
	return specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", strings.Join(lines, "\n")}}
}

func seconds(n int) *int { return &n }

func TestHookGetsStateAndItsOwnEnvOnly(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SECRET", "leaks")
	h := script(`cat > state; pwd > cwd; env > env; echo $0 > zero`)
	h.Args = append(h.Args, "name")
	h.Env = []string{"A=1"}
	state := []byte(`{"id":"x","annotations":{"a":"` + strings.Repeat("x", 1<<20) + `"}}`)
	if err := Run([]specs.Hook{h}, state, Options{Kind: CreateRuntime, Dir: dir}); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if read("state") != string(state) {
		t.Error("the state on standard input differs")
	}
	if got := strings.TrimSpace(read("cwd")); got != dir {
		t.Errorf("cwd %q", got)
	}
	for _, line := range strings.Fields(read("env")) { // PWD and the like are the shell's
		if strings.HasPrefix(line, "SECRET") || strings.HasPrefix(line, "PATH=") && line == "PATH="+os.Getenv("PATH") {
			t.Errorf("environment has %s", line)
		}
	}
	if !strings.Contains(read("env"), "A=1") || read("zero") != "name\n" {
		t.Errorf("env %q, zero %q", read("env"), read("zero"))
	}
}

// TestHookWithoutEnvGetsNone looks at the kernel's copy, since a shell makes
// variables of its own.
func TestHookWithoutEnvGetsNone(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SECRET", "leaks")
	if err := Run([]specs.Hook{script(`cat /proc/$$/environ > ` + dir + `/env`)}, nil, Options{Kind: Poststart}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(dir + "/env"); err != nil || len(b) != 0 {
		t.Errorf("environment %q, %v", b, err)
	}
}

// TestHookDescriptors: the caller's open descriptors, close-on-exec or not, do
// not reach a hook.
func TestHookDescriptors(t *testing.T) {
	fd, err := unix.Open("/etc", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	dir := t.TempDir()
	if err := Run([]specs.Hook{script(`ls -l /proc/$$/fd > ` + dir + `/fds`)}, nil, Options{Kind: Prestart}); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(dir + "/fds")
	if strings.Contains(string(b), "-> /etc") {
		t.Errorf("descriptors: %s", b)
	}
}

func TestHooksRunInOrderUntilOneFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	add := func(word, then string) specs.Hook { return script(`echo -n ` + word + ` >> ` + file + `; ` + then) }
	list := []specs.Hook{add("a", "true"), add("b", "echo no luck >&2; exit 3"), add("c", "true")}
	err := Run(list, nil, Options{Kind: CreateRuntime})
	if err == nil || err.Error() != "hooks.createRuntime[1] /bin/sh: exit status 3: no luck" {
		t.Errorf("got %v", err)
	}
	if b, _ := os.ReadFile(file); string(b) != "ab" {
		t.Errorf("ran %q", b)
	}
	if failed := RunAll(list, nil, Options{Kind: Poststop}); len(failed) != 1 {
		t.Errorf("RunAll: %v", failed)
	}
	if b, _ := os.ReadFile(file); string(b) != "ababc" {
		t.Errorf("ran %q", b)
	}
}

func TestHookErrors(t *testing.T) {
	for _, c := range []struct {
		hook specs.Hook
		want string
	}{
		{specs.Hook{Path: "/nope"}, "hooks.prestart[0] /nope: start: no such file or directory"},
		{specs.Hook{Path: "true"}, `hooks.prestart[0].path: "true" is not absolute`},
		{specs.Hook{}, `hooks.prestart[0].path: must not be empty`},
		{specs.Hook{Path: "/bin/true", Timeout: seconds(0)}, `hooks.prestart[0].timeout: 0 is not above 0`},
		{specs.Hook{Path: "/bin/true", Timeout: seconds(-1)}, `hooks.prestart[0].timeout: -1 is not above 0`},
		{specs.Hook{Path: "/bin/true", Env: []string{"FOO"}}, `hooks.prestart[0].env[0]: "FOO" is not NAME=VALUE`},
		{specs.Hook{Path: "/bin/tr\x00ue"}, `hooks.prestart[0]: "/bin/tr\x00ue" has a NUL byte`},
		{script(`kill -TERM $$`), "hooks.prestart[0] /bin/sh: killed by signal 15 (terminated)"},
		{script(`echo one; printf '\033[31mtwo\r\n\n' >&2; exit 1`), "hooks.prestart[0] /bin/sh: exit status 1: one;  [31mtwo"},
	} {
		err := Run([]specs.Hook{c.hook}, nil, Options{Kind: Prestart})
		if err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
		//lint:ignore SA1019 docker and podman still use it
		if check := Check(&specs.Hooks{Prestart: []specs.Hook{c.hook}}); check != nil && check.Error() != c.want {
			t.Errorf("Check: %v", check)
		}
	}
}

// TestTimeoutKillsWholeGroup: the background process of a hook that hangs is
// gone too, and the error says what happened.
func TestTimeoutKillsWholeGroup(t *testing.T) {
	dir := t.TempDir()
	h := script(`sleep 1000 & echo $! > `+dir+`/pid; echo waiting`, `wait`)
	h.Timeout = seconds(1)
	began := time.Now()
	err := Run([]specs.Hook{h}, nil, Options{Kind: Poststart})
	if err == nil || err.Error() != "hooks.poststart[0] /bin/sh: still running after its timeout of 1 s, killed: waiting" {
		t.Errorf("got %v", err)
	}
	if time.Since(began) < time.Second {
		t.Error("killed too early")
	}
	fd, err := unix.PidfdOpen(readPid(t, dir+"/pid"), 0)
	if err != nil {
		return // gone
	}
	defer unix.Close(fd)
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10000); n != 1 {
		t.Errorf("the hook's background process is alive: %v", err)
	}
}

func readPid(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 2 {
		t.Fatalf("pid %q, %v", text, err)
	}
	return pid
}

// TestBackgroundProcessIsNotWaitedFor: a hook may start a daemon that keeps its
// standard output.
func TestBackgroundProcessIsNotWaitedFor(t *testing.T) {
	dir := t.TempDir()
	h := script(`sleep 1000 & echo $! > ` + dir + `/pid`)
	h.Timeout = seconds(60)
	if err := Run([]specs.Hook{h}, nil, Options{Kind: Poststart}); err != nil {
		t.Error(err)
	}
	if err := unix.Kill(readPid(t, dir+"/pid"), unix.SIGKILL); err != nil {
		t.Errorf("the daemon: %v", err)
	}
}

// TestHookOutput: a hook that closes its output is waited for without a busy loop; one that
// writes more than a pipe holds is not blocked.
func TestHookOutput(t *testing.T) {
	before := cpu()
	if err := Run([]specs.Hook{script(`exec >&- 2>&-; sleep 0.3`)}, nil, Options{Kind: Poststart}); err != nil {
		t.Error(err)
	}
	if used := cpu() - before; used > 150*time.Millisecond {
		t.Errorf("waiting took %v of processor time", used)
	}
	err := Run([]specs.Hook{script(`head -c 3000000 /dev/zero | tr '\0' x; echo end; exit 1`)}, nil, Options{Kind: Poststart})
	if err == nil || !strings.HasSuffix(err.Error(), "xxxend") || len(err.Error()) > 600 {
		t.Errorf("got %v", err)
	}
}

// TestOutputIsBounded: what a hook writes does not pile up in memory.
func TestOutputIsBounded(t *testing.T) {
	h := script(`head -c 3000000 /dev/zero`)
	c, err := start(&h, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.wait(time.Time{}); err != nil || len(c.tail) == 0 || len(c.tail) > maxTail {
		t.Errorf("kept %d bytes, %v", len(c.tail), err)
	}
}

func cpu() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestNothingIsLeftInThisProcess(t *testing.T) {
	count := func() int {
		names, _ := os.ReadDir("/proc/self/fd")
		return len(names)
	}
	list := []specs.Hook{script("true"), script("exec >&- 2>&-")}
	for range 2 {
		_ = Run(list, []byte("{}"), Options{Kind: Prestart})
	}
	fds, goroutines := count(), runtime.NumGoroutine()
	late := script("sleep 100")
	late.Timeout = seconds(1)
	_ = Run(append(list, script("exit 1")), []byte("{}"), Options{Kind: Prestart})
	_ = Run([]specs.Hook{{Path: "/nope"}}, []byte("{}"), Options{Kind: Prestart})
	_ = Run([]specs.Hook{late}, []byte("{}"), Options{Kind: Prestart})
	if count() != fds || runtime.NumGoroutine() != goroutines {
		t.Errorf("descriptors %d, were %d; goroutines %d, were %d", count(), fds, runtime.NumGoroutine(), goroutines)
	}
}
