// SPDX-License-Identifier: Apache-2.0

package session

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mycr/integration/testbed"
)

// A paused container does nothing and lets nobody in, but can be killed; resumed, it goes on where it was.
func TestPause(t *testing.T) {
	testPause(t)
}

func TestRootPause(t *testing.T) {
	testPause(t)
}

func testPause(t *testing.T) {
	b := newBox(t)
	shared, mount := b.shared()
	id := b.start("pause", mount, testbed.Sh("while :; do echo >>/mnt/counter; done"))
	grows := func() bool {
		t.Helper()
		size := func() int64 {
			info, err := os.Stat(filepath.Join(shared, "counter"))
			if err != nil {
				return 0
			}
			return info.Size()
		}
		before := size()
		for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if size() > before {
				return true
			}
		}
		return false
	}
	if !grows() {
		t.Fatal("the counter does not count")
	}
	b.must(mycr, "pause", id)
	if grows() {
		t.Error("the counter counts while it is paused")
	}
	if got := b.status(id); got != "paused" {
		t.Errorf("status %q", got)
	}
	if out := b.must(mycr, "list").Stdout; !strings.Contains(out, "   paused   ") {
		t.Errorf("list: %s", out)
	}
	if out := b.must(mycr, "ps", "--format", "json", id).Stdout; out == "[]\n" {
		t.Errorf("ps: %s", out)
	}
	b.must(mycr, "stats", id)
	b.refused(255, "cannot exec in a paused container", "exec", id, "true")
	b.refused(1, "container not running or created: paused", "pause", id)
	b.refused(1, "cannot delete container "+id+" that is not stopped: paused", "delete", id)

	// Who asks for it joins, and begins when the others go on.
	waiting := b.follow("exec", "--ignore-paused", id, "echo", "begun")
	select {
	case line := <-waiting.lines:
		t.Errorf("exec in a paused container: %q", line)
	case <-time.After(time.Second):
	}
	b.must(mycr, "resume", id)
	if line := waiting.next(t); line != "begun" {
		t.Errorf("%q", line)
	}
	if status := waiting.end(t); status != 0 {
		t.Errorf("exec: status %d", status)
	}
	if got := b.status(id); got != "running" {
		t.Errorf("status %q", got)
	}
	if !grows() {
		t.Error("the counter does not go on")
	}
	b.must(mycr, "exec", id, "true")
	b.refused(1, "container not paused", "resume", id)

	b.must(mycr, "pause", id)
	b.must(mycr, "kill", id, "KILL")
	for deadline := time.Now().Add(testbed.Hang); b.status(id) != "stopped"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("killed while paused, and %s", b.status(id))
		}
	}
	b.refused(1, "container not running or created: stopped", "pause", id)
	b.must(mycr, "delete", id)
	b.nothingLeft()
}

// What is paused before it starts is paused when it does.
func TestPauseOfCreated(t *testing.T) {
	b := newBox(t)
	id := b.id("created")
	b.must(mycr, "create", "-b", b.lab2(), id)
	b.must(mycr, "pause", id)
	b.refused(1, "cannot start a container that is paused", "start", id)
	b.must(mycr, "resume", id)
	if got := b.status(id); got != "created" {
		t.Errorf("status %q", got)
	}
	b.must(mycr, "pause", id)
	b.must(mycr, "delete", "--force", id)
	b.nothingLeft()
}
