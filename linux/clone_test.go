// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"encoding/binary"
	"runtime"
	"strconv"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func pair(t *testing.T) (parent, child int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

// The child of a raw clone runs its list and execs; its status comes back.
func TestCloneRunsProgramAndExecs(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_, status := pair(t)
	for range 100 {
		p := NewProgram()
		p.Call("exec", unix.SYS_EXECVE, "/bin/sh", p.Strings([]string{"sh", "-c", "exit $X"}), p.Strings([]string{"X=7"}))
		child, err := Clone(unix.CLONE_NEWUSER|unix.CLONE_NEWPID|unix.CLONE_NEWNS, -1, p, status)
		if err != nil {
			t.Fatal(err)
		}
		ws, err := Wait(child.PID)
		if err != nil || ws.ExitStatus() != 7 {
			t.Fatalf("%s, %v; want exit status 7", told(ws), err)
		}
		unix.Close(child.PidFD)
	}
}

// A step that fails is reported by its index and errno; a tolerated one is not.
func TestCloneReportsTheFailedStep(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	parent, status := pair(t)
	p := NewProgram()
	p.Call("close nothing", unix.SYS_CLOSE, 9999)
	p.Tolerate(unix.EBADF)
	p.Call("open nothing", unix.SYS_OPENAT, unix.AT_FDCWD, "/does/not/exist", 0)
	child, err := Clone(0, -1, p, status)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, err := unix.Read(parent, buf)
	if err != nil {
		t.Fatal(err)
	}
	r, ok := ParseReport(buf[:n])
	if !ok || r.Errno != unix.ENOENT || p.What(r.Step) != "open nothing" {
		t.Fatalf("report %+v, %v", r, ok)
	}
	Wait(child.PID)
}

// Results of one step are arguments of the next, and a forked sibling is ours.
func TestProgramForksASibling(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	parent, status := pair(t)
	p := NewProgram()
	fd := p.Call("open", unix.SYS_OPENAT, unix.AT_FDCWD, "/dev/null", unix.O_RDWR)
	p.Fork("fork", 0)
	p.Call("dup", unix.SYS_DUP3, fd, 99, 0)
	p.Call("exec", unix.SYS_EXECVE, "/bin/sh", p.Strings([]string{"sh", "-c", "test -e /proc/self/fd/99 && exit 3"}), p.Strings(nil))
	child, err := Clone(0, -1, p, status)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, _ := unix.Read(parent, buf)
	r, ok := ParseReport(buf[:n])
	if !ok || r.Forked == 0 || r.Forked == child.PID {
		t.Fatalf("report %+v, %v", r, ok)
	}
	if ws, err := Wait(r.Forked); err != nil || ws.ExitStatus() != 3 {
		t.Fatalf("sibling: %s, %v; want exit status 3", told(ws), err)
	}
	if ws, err := Wait(child.PID); err != nil || ws.ExitStatus() != 0 {
		t.Fatalf("between: %s, %v", told(ws), err)
	}
}

// A sibling that fails shares the memory of its parent, which tells its pid
// all the same.
func TestFailedSiblingIsTold(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, own := range []bool{false, true} {
		parent, status := pair(t)
		p := NewProgram()
		if own {
			p.OwnMemory()
		}
		p.Call("die with the parent", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL))
		p.Fork("fork", 0)
		p.Call("exec", unix.SYS_EXECVE, "/does/not/exist", p.Strings([]string{"x"}), p.Strings(nil))
		p.Tolerate(unix.ENOENT)
		p.Call("exec", unix.SYS_EXECVE, "/nor/does/this", p.Strings([]string{"x"}), p.Strings(nil))
		p.Tolerate(unix.ENOENT)
		child, err := Clone(0, -1, p, status)
		if err != nil {
			t.Fatal(err)
		}
		sibling, fault, err := ReadForked(parent)
		if err != nil || sibling == 0 {
			t.Fatalf("own memory %v: sibling %d, %v", own, sibling, err)
		}
		if fault == nil {
			r, err := ReadReport(parent)
			if err != nil {
				t.Fatal(err)
			}
			fault = &r
		}
		if fault.Step != p.Len() || fault.Errno != unix.ENOENT {
			t.Errorf("own memory %v: %+v", own, fault)
		}
		for _, pid := range []int{child.PID, sibling} {
			if _, err := Wait(pid); err != nil {
				t.Error(err)
			}
		}
	}
}

// The parent of a split hands on signals, also those that come before it has
// taken its steps, reaps what is not its child, and exits with the status of
// the process.
func TestSplitReapsAndHandsOnSignals(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, c := range []struct {
		script string
		signal unix.Signal
		want   int
	}{
		{"(sleep 0.01 &) ; exit 5", 0, 5},
		{"kill -TERM $$", 0, 128 + 15},
		{"trap 'exit 9' USR1; echo ready; while :; do sleep 0.01; done", unix.SIGUSR1, 9},
		{"echo ready; sleep 1000", unix.SIGTERM, 128 + 15},
	} {
		_, status := pair(t)
		gate, waits := pair(t)
		var out [2]int
		if err := unix.Pipe2(out[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		init := NewProgram()
		init.Call("wait", unix.SYS_READ, waits, make([]byte, 1), 1)
		init.Call("close standard streams", unix.SYS_CLOSE_RANGE, 0, ^uint32(0), 0)
		p := NewProgram()
		p.Split("fork", init)
		p.Call("stdout", unix.SYS_DUP3, out[1], 1, 0)
		p.Call("exec", unix.SYS_EXECVE, "/bin/sh", p.Strings([]string{"sh", "-c", c.script}), p.Strings([]string{"PATH=/bin:/usr/bin"}))
		child, err := Clone(unix.CLONE_NEWUSER|unix.CLONE_NEWPID, -1, p, status)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(out[1])
		if c.signal != 0 {
			unix.Read(out[0], make([]byte, 16))
			unix.PidfdSendSignal(child.PidFD, c.signal, nil, 0)
		}
		unix.Write(gate, []byte{0})
		if n, err := Poll([]unix.PollFd{{Fd: int32(child.PidFD), Events: unix.POLLIN}}, 20_000); n == 0 || err != nil {
			t.Errorf("%s: it goes on after signal %d", c.script, c.signal)
			unix.PidfdSendSignal(child.PidFD, unix.SIGKILL, nil, 0)
		}
		ws, err := Wait(child.PID)
		if err != nil || ws.ExitStatus() != c.want {
			t.Errorf("%s: %s, %v; want exit status %d", c.script, told(ws), err, c.want)
		}
		unix.Close(out[0])
		unix.Close(child.PidFD)
	}
}

// A keeper knows the pid and has a pidfd of the process that it forked, and outlives it.
func TestKeep(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	parent, status := pair(t)
	const pidfd = 100
	ended := &unix.PollFd{Fd: pidfd, Events: unix.POLLIN}
	keeper := NewProgram()
	keeper.Call("wait for the end", unix.SYS_PPOLL, unsafe.Pointer(ended), 1, 0, 0, 0)
	keeper.Call("reap", unix.SYS_WAIT4, -1, 0, unix.WALL, 0)
	keeper.Call("nobody is left", unix.SYS_WAIT4, -1, 0, unix.WALL, 0)
	keeper.Tolerate(unix.ECHILD)
	keeper.Call("end", unix.SYS_EXIT_GROUP, 9)
	p := NewProgram()
	p.Keep("fork", keeper, status, pidfd)
	p.Call("write", unix.SYS_WRITE, status, "a word", 6)
	p.Call("exec", unix.SYS_EXECVE, "/bin/sh", p.Strings([]string{"sh", "-c", "kill -KILL $$"}), p.Strings(nil))
	child, err := Clone(0, -1, p, status)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(child.PidFD)
	pid, word := 0, ""
	for pid == 0 || word == "" {
		buf := make([]byte, 64)
		n, err := unix.Read(parent, buf)
		if err != nil {
			t.Fatal(err)
		}
		if r, ok := ParseReport(buf[:n]); ok {
			pid = r.Forked
		} else {
			word = string(buf[:n])
		}
	}
	if pid == child.PID || word != "a word" {
		t.Errorf("pid %d of the keeper's %d, %q", pid, child.PID, word)
	}
	if ws, err := Wait(child.PID); err != nil || ws.ExitStatus() != 9 {
		t.Errorf("the keeper: %s, %v; want exit status 9", told(ws), err)
	}
}

// A keeper that is told to end before it listens does not end yet, or its child
// would be left. The child can be told as before.
func TestKeepBlocksSIGTERM(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	parent, status := pair(t)
	gate, theirs := pair(t)
	ended := &[1]int32{}
	keeper := NewProgram()
	keeper.Call("wait", unix.SYS_READ, theirs, make([]byte, 1), 1)
	keeper.Call("reap", unix.SYS_WAIT4, -1, unsafe.Pointer(ended), unix.WALL, 0)
	keeper.Call("say how it ended", unix.SYS_WRITE, status, unsafe.Pointer(ended), 4)
	keeper.Call("end", unix.SYS_EXIT_GROUP, 9)
	p := NewProgram()
	p.Keep("fork", keeper, status, 100)
	p.Call("exec", unix.SYS_EXECVE, "/bin/sh", p.Strings([]string{"sh", "-c", "kill -TERM $$; exit 3"}), p.Strings(nil))
	child, err := Clone(0, -1, p, status)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(child.PidFD)
	if r, err := ReadReport(parent); err != nil || r.Forked == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if err := unix.PidfdSendSignal(child.PidFD, unix.SIGTERM, nil, 0); err != nil {
		t.Fatal(err)
	}
	unix.Write(gate, []byte{1})
	if ws, err := Wait(child.PID); err != nil || ws.ExitStatus() != 9 {
		t.Fatalf("the keeper: %s, %v; want exit status 9", told(ws), err)
	}
	buf := make([]byte, 64)
	if n, err := unix.Read(parent, buf); n != 4 || unix.WaitStatus(binary.NativeEndian.Uint32(buf)).Signal() != unix.SIGTERM {
		t.Errorf("its child: % x, %v; want signal %d", buf[:max(n, 0)], err, unix.SIGTERM)
	}
}

// told are words for how a process ended.
func told(ws unix.WaitStatus) string {
	if ws.Signaled() {
		return "signal " + strconv.Itoa(int(ws.Signal()))
	}
	return "exit status " + strconv.Itoa(ws.ExitStatus())
}
