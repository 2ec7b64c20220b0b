// SPDX-License-Identifier: Apache-2.0

package session

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"mycr/integration/testbed"
)

// used is the part of a line of stats --format json that these tests look at.
type used struct {
	ID, Cgroup string
	CPUPercent *float64
	CPU        struct{ UsageUsec uint64 }
	Memory     struct{ Current, Max uint64 }
	Pids       struct{ Current, Max uint64 }
}

func parseStats(t testing.TB, line string) (list []used) {
	t.Helper()
	if err := json.Unmarshal([]byte(line), &list); err != nil {
		t.Fatalf("%v in %q", err, line)
	}
	return list
}

func TestStats(t *testing.T) {
	b := newBox(t)
	busy := b.start("busy", testbed.Sh("while :; do :; done"))
	idle := b.start("idle", testbed.Args("sleep", "1000"))

	// All that run, sorted; the interval is long enough for the quota of half a CPU to show.
	list := parseStats(t, b.must(mycr, "stats", "--format", "json", "--interval", "2s").Stdout)
	list = slices.DeleteFunc(list, func(u used) bool { return u.ID != busy && u.ID != idle })
	if len(list) != 2 || list[0].ID != busy || list[1].ID != idle {
		t.Fatalf("%+v", list)
	}
	for _, u := range list {
		if u.Memory.Max != 134217728 || u.Memory.Current == 0 || u.Pids.Max != 100 || u.Pids.Current != 1 || u.CPU.UsageUsec == 0 || u.CPUPercent == nil {
			t.Errorf("%+v", u)
		}
		if !strings.HasSuffix(u.Cgroup, "/container") && !strings.HasSuffix(u.Cgroup, ".scope") {
			t.Errorf("%+v", u)
		}
	}
	if p := *list[0].CPUPercent; p < 10 || p > 65 {
		t.Errorf("with half a CPU %.2f%%", p)
	}
	if p := *list[1].CPUPercent; p > 5 {
		t.Errorf("asleep %.2f%%", p)
	}

	lines := strings.Split(b.must(mycr, "stats", idle).Stdout, "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "ID") || !strings.HasSuffix(lines[0], "THROTTLED") {
		t.Fatalf("%q", lines)
	}
	if words := strings.Fields(lines[1]); words[0] != idle || !strings.HasSuffix(words[1], "%") || words[4] != "128MiB" {
		t.Errorf("%q", lines[1])
	}
	if i := strings.Index(lines[0], "PIDS"); !strings.HasPrefix(lines[1][i:], "1 / 100 ") {
		t.Errorf("%q", lines)
	}

	// With --stream it goes on, until the containers named have ended.
	stream := b.follow("stats", "--stream", "--interval", "100ms", "--format", "json", busy)
	last := uint64(0)
	for range 3 {
		list := parseStats(t, stream.next(t))
		if len(list) != 1 || list[0].ID != busy || list[0].CPU.UsageUsec < last {
			t.Errorf("%+v", list)
		}
		last = list[0].CPU.UsageUsec
	}
	b.must(mycr, "delete", "--force", busy)
	if status := stream.end(t); status != 0 {
		t.Errorf("stats --stream: status %d", status)
	}
	b.refused(1, "container does not exist", "stats", busy)
	b.must(mycr, "delete", "--force", idle)
	b.nothingLeft()
}
