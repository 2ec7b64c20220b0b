// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"os"
	"os/exec"
	goruntime "runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mycr lets its own timers be late (linux.Entry), but not those of what it executes. Runc passes (crun has not been
// tried); a build that leaves its own timer slack to its children fails in each place.
func TestTimerSlackIsTheCallers(t *testing.T) {
	eachRuntime(t, func(t *testing.T, b *box) {
		goruntime.LockOSThread() // and not unlocked, so the thread ends with the test
		const slack = "70000\n"
		if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 70000, 0, 0, 0); err != nil {
			t.Fatal(err)
		}
		show := []string{"cat", "/proc/self/timerslack_ns"}
		byHook := b.path("by-hook")
		dir := b.bundle("b", args(show...), set("hooks.createRuntime", []any{map[string]any{
			"path": "/bin/sh", "args": []string{"sh", "-c", strings.Join(show, " ") + " >" + byHook}, "env": b.env,
		}}))
		if r := b.must("run", "-b", dir, "c1"); r.stdout != slack {
			t.Errorf("run: %s", r.stdout)
		}
		if text, _ := os.ReadFile(byHook); string(text) != slack {
			t.Errorf("hook: %s", text)
		}
		b.must("run", "--detach", "-b", b.bundle("w", args("sleep", "1000")), "c2")
		if r := b.must(append([]string{"exec", "c2"}, show...)...); r.stdout != slack {
			t.Errorf("exec: %s", r.stdout)
		}
		b.must("delete", "--force", "c2")
		if b.runtime.name == mycr.name {
			if r := b.must(append([]string{"do", "--"}, show...)...); r.stdout != slack {
				t.Errorf("do: %s", r.stdout)
			}
		}
	})
}

func needEntry(t *testing.T) {
	needBinary(t)
	switch goruntime.GOARCH {
	case "amd64", "arm64":
	default:
		t.Skip("linux.Entry is not written for " + goruntime.GOARCH)
	}
}

// linux.Entry comes before Go's runtime in each process that mycr executes itself in; a build without it fails.
func TestTimersMayBeLate(t *testing.T) {
	needEntry(t)
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("no strace")
	}
	b, dir := sweepBox(t, oneID()...)
	trace := b.path("run", "trace")
	if !b.strace(trace, "", "create", "-b", dir, "c1") {
		t.Fatal("create fails under strace")
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(text), "PR_SET_TIMERSLACK, 20000000"); got != 2 {
		t.Errorf("%d processes have it, not two: mycr, and the container's init", got)
	}
	b.must("delete", "--force", "c1")
}

// What linux.Entry writes into the environment is for Go's runtime in mycr, which has one processor then, unless the user
// says otherwise. Nobody else sees it.
func TestProcessorsAreTheUsers(t *testing.T) {
	needEntry(t)
	for _, one := range []struct{ word, want string }{{"", "gomaxprocs=1 "}, {"GOMAXPROCS=2", "gomaxprocs=2 "}} {
		b := newBox(t)
		environment := append(b.env, "GODEBUG=schedtrace=10")
		if one.word != "" {
			environment = append(environment, one.word)
		}
		long := b.command("do", "--", "sleep", "0.2")
		long.Env = environment
		if r := b.wait(long); r.status != 0 || !strings.Contains(r.stderr, one.want) {
			t.Errorf("%s: want %q: %v", one.word, one.want, r)
		}
		spec := b.command("spec", "--env", "GOMAXPROCS")
		spec.Env = environment
		if r := b.wait(spec); r.status != 0 {
			t.Fatalf("%s: %v", one.word, r)
		}
		config, err := os.ReadFile(b.path("config.json"))
		if err != nil {
			t.Fatal(err)
		}
		if sees := strings.Contains(string(config), "GOMAXPROCS"); sees != (one.word != "") {
			t.Errorf("%s: the environment of mycr's user: %s", one.word, config)
		}
	}
}
