// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A run that comes late to its container's end leaves another container that has the id meanwhile alone.
func TestRunDeletesItsOwn(t *testing.T) {
	b := newBox(t)
	dir := b.bundle("b", args("sleep", "1000"))
	b.snapshot()
	run := b.command("run", "-b", dir, "c1")
	if err := start(run); err != nil {
		t.Fatal(err)
	}
	wait(t, "the container", func() bool { return strings.Contains(b.run("state", "c1").stdout, `"running"`) })
	run.Process.Signal(unix.SIGSTOP)
	b.must("delete", "--force", "c1")
	b.must("run", "--detach", "-b", dir, "c1")
	run.Process.Signal(unix.SIGCONT)
	finish(run)
	if status := run.ProcessState.ExitCode(); status != 128+int(unix.SIGKILL) {
		t.Errorf("run: %v", run.ProcessState)
	}
	if got := b.state("c1").Status; got != "running" {
		t.Errorf("the other container is %s", got)
	}
	b.must("delete", "--force", "c1")
	b.nothingLeft()
}
