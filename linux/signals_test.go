// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inOwnProcess runs the test once more in a process of its own, for this one's signals are Go's, and tells whether this
// is that one.
func inOwnProcess(t *testing.T) bool {
	t.Helper()
	if os.Getenv("CATCH_SIGNALS") != "" {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "CATCH_SIGNALS=1")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS: "+t.Name()) {
		t.Errorf("%v: %s", err, out)
	}
	return false
}

func TestCatchSignals(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	signal.Ignore(unix.SIGHUP)
	var list []unix.Signal
	for s := unix.Signal(1); s <= 64; s++ {
		switch s {
		case unix.SIGKILL, unix.SIGSTOP, unix.SIGURG, 32, 33:
		default:
			list = append(list, s)
		}
	}
	signals, err := CatchSignals(list)
	if err != nil {
		t.Fatal(err)
	}
	// Threads that are busy, also with memory that Go moves.
	stop := make(chan struct{})
	for range 4 {
		go func() {
			for deep := 1; ; deep = deep%500 + 1 {
				select {
				case <-stop:
					return
				default:
					descend(deep)
				}
			}
		}()
	}
	for range 5 {
		for _, s := range list {
			unix.Kill(os.Getpid(), s)
			if s == unix.SIGHUP {
				continue
			}
			if got := nextSignal(t, signals, s); got != s {
				t.Fatalf("%v for %v", got, s)
			}
		}
		runtime.GC()
	}
	close(stop)
	fault := func() (what any) {
		defer func() { what = recover() }()
		*nowhere = 1
		return nil
	}
	if what := fault(); what == nil || !strings.Contains(what.(error).Error(), "nil pointer") {
		t.Errorf("a fault is %v", what)
	}
	unix.Kill(os.Getpid(), unix.SIGSEGV)
	if got := nextSignal(t, signals, unix.SIGSEGV); got != unix.SIGSEGV {
		t.Errorf("%v", got)
	}

	signals.Release()
	again := make(chan os.Signal, 1)
	signal.Notify(again, unix.SIGTERM)
	unix.Kill(os.Getpid(), unix.SIGTERM)
	if got := <-again; got != syscall.SIGTERM {
		t.Errorf("%v after Release", got)
	}
}

// TestSignalsOfChildren: what is executed has the default for a signal that is caught.
func TestSignalsOfChildren(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	if _, err := CatchSignals([]unix.Signal{unix.SIGTERM}); err != nil {
		t.Fatal(err)
	}
	err := exec.Command("/bin/sh", "-c", "kill -TERM $$; exit 3").Run()
	exit, ok := err.(*exec.ExitError)
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGTERM {
		t.Errorf("%v", err)
	}
}

func nextSignal(t *testing.T, s *Signals, awaited unix.Signal) unix.Signal {
	t.Helper()
	one := make([]byte, 1)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		fds := []unix.PollFd{{Fd: int32(s.FD), Events: unix.POLLIN}}
		Poll(fds, 1000)
		if n, _ := unix.Read(s.FD, one); n == 1 {
			return unix.Signal(one[0])
		}
	}
	t.Fatalf("no signal, but %v was sent", awaited)
	return 0
}

//go:noinline
func descend(n int) int {
	var room [128]byte
	if n == 0 {
		return int(room[0])
	}
	return descend(n-1) + len(room)
}
