// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Each signal that mycr gets while it stays with a process reaches the process: also those that would say of mycr itself
// that it has a fault, when somebody sends them.
func TestSignalsArePassedOn(t *testing.T) {
	eachRuntime(t, func(t *testing.T, b *box) {
		run := b.command("run", "-b", b.bundle("b", args("/bin/probe", "signals")), "c1")
		b.passesSignals(run)
		b.must("run", "--detach", "-b", b.bundle("w", args("sleep", "1000")), "c2")
		b.passesSignals(b.command("exec", "c2", "/bin/probe", "signals"))
		b.must("delete", "--force", "c2")
		if b.runtime.name == mycr.name {
			b.passesSignals(b.command("do", "--", b.path("w", "rootfs", "bin", "probe"), "signals"))
		}
	})
}

func (b *box) passesSignals(cmd *exec.Cmd) {
	b.t.Helper()
	what := strings.Join(cmd.Args, " ")
	path := b.path("out")
	out, err := os.Create(path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := start(cmd); err != nil {
		b.t.Fatal(err)
	}
	arrives := func(want string) bool {
		for deadline := time.Now().Add(hang); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if text, _ := os.ReadFile(path); strings.HasSuffix(string(text), want) {
				return true
			}
		}
		return false
	}
	if !arrives("ready\n") { // there may be a note of mycr's before
		text, _ := os.ReadFile(path)
		b.t.Fatalf("%s did not begin: %s", what, text)
	}
	for s := unix.Signal(1); s <= 64; s++ {
		switch s {
		case unix.SIGKILL, unix.SIGSTOP, unix.SIGTERM, unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE, unix.SIGTTIN, unix.SIGTTOU, unix.SIGTSTP:
			continue
		case 32, 33: // of C libraries' threads, not passed on
			continue
		case unix.SIGWINCH: // of mycr's own terminal
			continue
		case unix.SIGPROF, 34: // which Go keeps from the probe
			continue
		}
		cmd.Process.Signal(s)
		if !arrives(fmt.Sprintf("\n%d\n", s)) {
			b.t.Fatalf("%s: signal %d did not arrive", what, s)
		}
	}
	cmd.Process.Signal(unix.SIGTERM)
	finish(cmd)
	if status := cmd.ProcessState.ExitCode(); status != 7 {
		b.t.Errorf("%s: status %d after SIGTERM: %v", what, status, cmd.ProcessState)
	}
}
