// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// moments is how many points of a command's life are tried.
func moments() int {
	if os.Getenv("MYCR_ALL") != "" {
		return 400
	}
	return 50
}

// sweepBox is a box whose container sleeps; verb is create or run.
func sweepBox(t *testing.T, edits ...edit) (b *box, dir string) {
	b = newBox(t)
	dir = b.bundle("b", append([]edit{args("sleep", "300"), mount("/tmp", "tmpfs", "t"),
		set("linux.maskedPaths", []string{"/proc/kcore"}), set("linux.readonlyPaths", []string{"/proc/sys"})}, edits...)...)
	b.snapshot()
	return b, dir
}

// afterwards is what must hold after a death at any moment: delete --force exits 0 and nothing stays.
func (b *box) afterwards(moment string) {
	b.t.Helper()
	if r := b.run("delete", "--force", "c1"); r.status != 0 {
		b.t.Errorf("killed %s: delete --force: %v", moment, r)
	}
	for _, left := range b.leftovers() {
		b.t.Errorf("killed %s, left behind: %s", moment, left)
	}
	if b.t.Failed() {
		b.t.FailNow()
	}
}

// TestKilledAtAnyTime kills create and run at moments spread over the time that they take.
func TestKilledAtAnyTime(t *testing.T) {
	for _, verb := range []string{"create", "run"} {
		t.Run(verb, func(t *testing.T) {
			b, dir := sweepBox(t)
			whole := time.Duration(0)
			for range 5 { // how long it takes when nobody disturbs it
				begin := time.Now()
				b.must("create", "-b", dir, "c1")
				if verb == "run" {
					b.must("start", "c1")
				}
				whole = max(whole, time.Since(begin))
				b.must("delete", "--force", "c1")
			}
			b.afterwards("not at all")
			for i := range moments() {
				at := whole * time.Duration(i) / time.Duration(moments()-5)
				cmd := b.command(verb, "-b", dir, "c1")
				if err := start(cmd); err != nil {
					t.Fatal(err)
				}
				timer := time.AfterFunc(at, func() { cmd.Process.Kill() })
				finish(cmd)
				timer.Stop()
				b.afterwards(fmt.Sprintf("after %v of %v", at, whole))
			}
		})
	}
}

// TestKilledAtAnySystemCall kills the process that makes its Nth system call, be it mycr or the container's first
// process, for N spread over those of an undisturbed run. A tracer takes newuidmap its powers: one id is mapped.
func TestKilledAtAnySystemCall(t *testing.T) {
	needBinary(t)
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("no strace")
	}
	for _, verb := range []string{"create", "run"} {
		t.Run(verb, func(t *testing.T) {
			b, dir := sweepBox(t, oneID()...)
			trace := b.path("run", "trace")
			control := b.strace(trace, "", "create", "-b", dir, "c1")
			if !control {
				t.Fatal("create fails under strace, so the sweep would show nothing")
			}
			last := longestThread(t, trace)
			os.Remove(trace)
			b.afterwards("not at all")
			for i := range moments() {
				n := 1 + i*last/moments()
				b.strace(trace, fmt.Sprintf("inject=all:signal=KILL:when=%d", n), verb, "-b", dir, "c1")
				os.Remove(trace)
				b.afterwards(fmt.Sprintf("at system call %d of %d", n, last))
			}
		})
	}
}

// oneID are the edits of a bundle for a user without newuidmap, of whose powers strace takes it, and so maps one id.
func oneID() []edit {
	if situation != ordinaryUser {
		return nil
	}
	return []edit{namespace("user", ""), set("linux.uidMappings", maps([3]int64{0, int64(os.Getuid()), 1})),
		set("linux.gidMappings", maps([3]int64{0, int64(os.Getgid()), 1}))}
}

// strace runs the runtime below strace until the runtime itself has ended (strace would wait for the container) and
// tells whether it has exited with 0.
func (b *box) strace(trace, inject string, words ...string) bool {
	b.t.Helper()
	inner := b.command(words...)
	flags := []string{"-f", "-q", "-o", trace, "-e", "trace=all"}
	if inject != "" {
		flags = append(flags, "-e", inject)
	}
	cmd := exec.Command("strace", append(flags, inner.Args...)...)
	cmd.Env, cmd.Dir = inner.Env, inner.Dir
	if err := start(cmd); err != nil {
		b.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		finish(cmd)
	}()
	for deadline := time.Now().Add(hang); ; {
		select {
		case <-ended:
			return cmd.ProcessState.Success()
		case <-time.After(3 * time.Millisecond):
		}
		pid, end, started := readTrace(trace)
		if end != "" || time.Now().After(deadline) {
			// What it still traces goes on without it. (With SIGTERM it may wait for these.)
			cmd.Process.Kill()
			<-ended
			return end == "exited with 0"
		}
		if started && words[0] == "run" {
			// It was not reached by the signal and waits for its container: it is killed here.
			unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// readTrace gives the pid of the command that strace started, how it ended, and whether the container's program runs.
func readTrace(trace string) (pid int, end string, started bool) {
	text, _ := os.ReadFile(trace)
	for _, line := range strings.Split(string(text), "\n") {
		word, what, _ := strings.Cut(line, " ")
		number, err := strconv.Atoi(word)
		if err != nil {
			continue
		}
		if pid == 0 {
			pid = number
		}
		what = strings.TrimSpace(what)
		if number == pid && strings.HasPrefix(what, "+++ ") {
			end = strings.Trim(what, "+ ")
		}
		started = started || strings.Contains(what, "nanosleep(") && strings.Contains(what, "tv_sec=300")
	}
	return pid, end, started
}

// longestThread is the highest number of system calls that one thread made.
func longestThread(t *testing.T, trace string) int {
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	calls, most := map[string]int{}, 0
	for _, line := range strings.Split(string(text), "\n") {
		tid, what, _ := strings.Cut(line, " ")
		if strings.Contains(what, "(") && !strings.Contains(what, "resumed>") {
			calls[tid]++
			most = max(most, calls[tid])
		}
	}
	return most
}
