// SPDX-License-Identifier: Apache-2.0

package session

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mycr/integration/testbed"
)

// event is the part of runc's that these tests look at.
type event struct {
	Type, ID string
	Data     struct {
		CPU struct {
			Usage      struct{ Total uint64 }
			Throttling struct{ Periods uint64 }
		}
		Memory struct {
			Usage struct{ Limit, Usage, Max uint64 }
		}
		Pids struct{ Current, Limit uint64 }
	}
}

func parseEvent(t testing.TB, line string) (e event) {
	t.Helper()
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		t.Fatalf("%v in %q", err, line)
	}
	return e
}

func TestEventsStats(t *testing.T) {
	b := newBox(t)
	id := b.start("stats", testbed.Sh("sleep 1000 & wait"))
	e := parseEvent(t, b.must(mycr, "events", "--stats", id).Stdout)
	for deadline := time.Now().Add(testbed.Hang); e.Data.Pids.Current < 2 && time.Now().Before(deadline); { // the shell has just begun
		e = parseEvent(t, b.must(mycr, "events", "--stats", id).Stdout)
	}
	d := &e.Data
	if e.Type != "stats" || e.ID != id || d.Memory.Usage.Limit != 134217728 || d.Pids.Limit != 100 || d.Pids.Current != 2 {
		t.Errorf("%+v", e)
	}
	if d.CPU.Usage.Total == 0 || d.Memory.Usage.Usage == 0 || d.Memory.Usage.Usage > d.Memory.Usage.Limit {
		t.Errorf("%+v", e)
	}
	b.must(mycr, "delete", "--force", id)
	b.refused(1, "container does not exist", "events", "--stats", id)
	b.nothingLeft()
}

// events goes on at its interval, and ends when the container does.
func TestEventsEndWithTheContainer(t *testing.T) {
	b := newBox(t)
	id := b.start("events", testbed.Args("sleep", "1000"))
	events := b.follow("events", "--interval", "100ms", id)
	for range 3 {
		if e := parseEvent(t, events.next(t)); e.Type != "stats" || e.ID != id || e.Data.Pids.Limit != 100 {
			t.Errorf("%+v", e)
		}
	}
	b.must(mycr, "kill", id, "KILL")
	if status := events.end(t); status != 0 {
		t.Errorf("events: status %d", status)
	}
	b.must(mycr, "delete", id)
	b.nothingLeft()
}

// A kill for want of memory is told when it happens, not at the next interval; also the one that is the end.
func TestEventsTellOfKills(t *testing.T) {
	b := newBox(t)
	shared, mount := b.shared()
	const until = "while [ ! -e /mnt/$n ]; do sleep 0.1; done; "
	id := b.start("oom", mount, testbed.Sh("n=first; "+until+"tail /dev/zero; n=last; "+until+"exec tail /dev/zero"))
	events := b.follow("events", "--interval", "1h", id)
	begin := func(name string) {
		if err := os.WriteFile(filepath.Join(shared, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	begin("first")
	if e := parseEvent(t, events.next(t)); e.Type != "oom" || e.ID != id {
		t.Errorf("%+v", e)
	}
	if got := b.status(id); got != "running" {
		t.Errorf("status %q", got)
	}
	begin("last") // whose number systemd may remove before it is read
	for line := events.next(t); line != ""; line = events.next(t) {
		if e := parseEvent(t, line); e.Type != "oom" {
			t.Errorf("%+v", e)
		}
	}
	if status := events.end(t); status != 0 {
		t.Errorf("events: status %d", status)
	}
	b.must(mycr, "delete", "--force", id)
	b.nothingLeft()
}
