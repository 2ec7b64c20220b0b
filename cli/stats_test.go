// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"testing"
	"time"

	"mycr/cgroupdelegate"
)

func of(n uint64) *uint64 { return &n }

// full is what a kernel with all controllers tells of a container with limits.
func full() *cgroupdelegate.Stats {
	share := func(p float64) *cgroupdelegate.Pressure {
		return &cgroupdelegate.Pressure{Some: &cgroupdelegate.PressureShare{Avg10: p, TotalUsec: 9}}
	}
	return &cgroupdelegate.Stats{
		CPU: &cgroupdelegate.CPUStats{UsageUsec: 3_050_000, Throttling: &cgroupdelegate.Throttling{Periods: 20, Throttled: 9, ThrottledUsec: 1_234_567}},
		Memory: &cgroupdelegate.MemoryStats{
			Current: 100 << 20, Peak: of(128 << 20), Max: of(128 << 20), Stat: map[string]uint64{"inactive_file": 36 << 20},
		},
		Pids:     &cgroupdelegate.PidsStats{Current: 3, Max: of(100)},
		IO:       []cgroupdelegate.DeviceIO{{ReadBytes: 1 << 20, WriteBytes: 512}, {ReadBytes: 1 << 19, WriteBytes: 511}},
		Pressure: &cgroupdelegate.PressureStats{CPU: share(12.5), Memory: share(0), IO: share(99.99)},
	}
}

func TestTableOfStats(t *testing.T) {
	half, none := 50.0, &cgroupdelegate.Stats{}
	unlimited := &cgroupdelegate.Stats{
		CPU:    &cgroupdelegate.CPUStats{UsageUsec: 1},
		Memory: &cgroupdelegate.MemoryStats{Current: 1 << 30, Stat: map[string]uint64{}},
		Pids:   &cgroupdelegate.PidsStats{Current: 1},
	}
	got := string(usageTable([]usage{
		{ID: "full", Cgroup: "systemd /x", CPUPercent: &half, Stats: full()},
		{ID: "unlimited", CPUPercent: new(float64), Stats: unlimited},
		{ID: "nothing", Stats: none},
		{ID: "no-cgroup", Cgroup: "none"},
	}, 8<<30))
	want := "" +
		"ID          CPU %    MEM USAGE / LIMIT   MEM %    PEAK     PIDS      IO READ / WRITE   PRESSURE CPU / MEM / IO   THROTTLED\n" +
		"full        50.00%   64MiB / 128MiB      50.00%   128MiB   3 / 100   1.5MiB / 1023B    12.50% / 0.00% / 99.99%   1.23s\n" +
		"unlimited   0.00%    1GiB / 8GiB         12.50%   -        1         - / -             - / - / -                 -\n" +
		"nothing     -        - / -               -        -        -         - / -             - / - / -                 -\n" +
		"no-cgroup   -        - / -               -        -        -         - / -             - / - / -                 -\n"
	if got != want {
		t.Errorf("got\n%s\nnot\n%s", got, want)
	}
}

func TestAmountsForPeople(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0B", 1023: "1023B", 1024: "1KiB", 1536: "1.5KiB", 134217728: "128MiB", 1<<20 - 1: "1024KiB",
		1000 << 10: "1000KiB", 1<<64 - 1: "16EiB", 8271626240: "7.704GiB",
	} {
		if got := humanBytes(n); got != want {
			t.Errorf("%d: %s, not %s", n, got, want)
		}
	}
}

// The share of CPU is of what was used between two looks at the same container.
func TestShareOfCPU(t *testing.T) {
	at := time.Unix(1000, 0)
	look := func(id, cgroup string, later time.Duration, used uint64) sample {
		return sample{id: id, cgroup: cgroup, at: at.Add(later), stats: &cgroupdelegate.Stats{CPU: &cgroupdelegate.CPUStats{UsageUsec: used}}}
	}
	before := []sample{look("a", "/a", 0, 1000), look("remade", "/r", 0, 5000), look("gone", "/g", 0, 1), look("moved", "/m", 0, 1), {id: "none", cgroup: "none", at: at}}
	after := []sample{
		look("a", "/a", 100*time.Millisecond, 151000), look("remade", "/r", 100*time.Millisecond, 10), look("new", "/n", 100*time.Millisecond, 5), look("moved", "/l", 100*time.Millisecond, 2),
		{id: "none", cgroup: "none", at: at.Add(time.Second)},
	}
	want := map[string]*float64{"a": new(float64), "remade": new(float64), "new": nil, "moved": nil, "none": nil}
	*want["a"] = 150
	got := usages(before, after)
	if len(got) != len(want) {
		t.Fatalf("%d lines", len(got))
	}
	for _, u := range got {
		switch p := want[u.ID]; {
		case (p == nil) != (u.CPUPercent == nil):
			t.Errorf("%s: %v", u.ID, u.CPUPercent)
		case p != nil && *p != *u.CPUPercent:
			t.Errorf("%s: %v, not %v", u.ID, *u.CPUPercent, *p)
		}
	}
}

// In JSON the numbers are exact, and what is not known is not there.
func TestStatsAsJSON(t *testing.T) {
	text, err := json.Marshal([]usage{{ID: "c", Cgroup: "none"}, {ID: "d", Cgroup: "systemd /d", Stats: full()}})
	if err != nil {
		t.Fatal(err)
	}
	var got []struct {
		ID         string
		Cgroup     string
		CPUPercent *float64
		Memory     *struct{ Current, Max uint64 }
		CPU        *struct{ UsageUsec uint64 }
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if got[0].Memory != nil || got[0].CPU != nil || got[0].CPUPercent != nil || got[0].Cgroup != "none" {
		t.Errorf("%s", text)
	}
	if got[1].Memory == nil || got[1].Memory.Max != 134217728 || got[1].CPU.UsageUsec != 3_050_000 {
		t.Errorf("%s", text)
	}
}
