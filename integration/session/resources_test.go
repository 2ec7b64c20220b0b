// SPDX-License-Identifier: Apache-2.0

package session

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mycr/integration/testbed"
)

// Every limit is read back from the kernel by the container itself, as cgroup-v2.rst has its file.
func TestEveryResource(t *testing.T) {
	b := newBox(t)
	number := func(n int64) map[string]any { return map[string]any{"limit": n} }
	rate := func(n int) []any { return []any{map[string]any{"major": 254, "minor": 0, "rate": n}} }
	for name, c := range map[string]struct {
		resources map[string]any
		files     map[string]string
	}{
		"memory": {map[string]any{"memory": map[string]any{"limit": 100 << 20, "reservation": 50 << 20, "swap": 150 << 20}},
			map[string]string{"memory.max": "104857600", "memory.low": "52428800", "memory.swap.max": "52428800"}},
		"cpu": {map[string]any{"cpu": map[string]any{"shares": 2048, "quota": 30000, "period": 60000, "burst": 10000, "cpus": "0-1", "mems": "0"}},
			map[string]string{"cpu.weight": "174", "cpu.max": "30000 60000", "cpu.max.burst": "10000", "cpuset.cpus": "0-1", "cpuset.mems": "0"}},
		"idle": {map[string]any{"cpu": map[string]any{"idle": 1}}, map[string]string{"cpu.idle": "1"}},
		"pids": {map[string]any{"pids": number(77)}, map[string]string{"pids.max": "77"}},
		"io": {map[string]any{"blockIO": map[string]any{"throttleReadBpsDevice": rate(1048576), "throttleWriteIOPSDevice": rate(500)}},
			map[string]string{"io.max": "254:0 rbps=1048576 wbps=max riops=max wiops=500"}},
		"unified": {map[string]any{"unified": map[string]any{"memory.high": "62914560", "memory.oom.group": "1", "cpu.weight": "42"}},
			map[string]string{"memory.high": "62914560", "memory.oom.group": "1", "cpu.weight": "42"}},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "io" && machine == "" {
				t.Skip("for the machine's disk")
			}
			var names []string
			want := ""
			for file, value := range c.files {
				names = append(names, "/sys/fs/cgroup/"+file)
				want += value + "\n"
			}
			r := b.must(mycr, "run", "-b", b.lab2(testbed.Set("linux.resources", c.resources), testbed.Args(append([]string{"cat"}, names...)...)), b.id("resource"))
			if r.Stdout != want {
				t.Errorf("%v: %v\nnot %q", names, r, want)
			}
		})
	}
	b.nothingLeft()
}

// A quota is never exceeded: in no period more than the quota, and it was throttled.
func TestQuotaHolds(t *testing.T) {
	b := newBox(t)
	r := b.must(mycr, "run", "-b", b.lab2(
		testbed.Set("linux.resources.cpu", map[string]any{"quota": 20000, "period": 100000}),
		testbed.Sh("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; cat /sys/fs/cgroup/cpu.stat"),
	), b.id("quota"))
	stat := map[string]int{}
	for line := range strings.SplitSeq(r.Stdout, "\n") {
		name, value, _ := strings.Cut(line, " ")
		stat[name], _ = strconv.Atoi(value)
	}
	// A period in progress has its quota already, and slices given to a CPU (5 ms) may be used up later.
	if most := (stat["nr_periods"]+1)*20000 + 2*5000; stat["usage_usec"] > most || stat["nr_throttled"] == 0 || stat["throttled_usec"] == 0 {
		t.Errorf("used %d µs in %d periods, at most %d: %v", stat["usage_usec"], stat["nr_periods"], most, stat)
	}
	b.nothingLeft()
}

// do has docker's words for limits.
func TestDoLimits(t *testing.T) {
	b := newBox(t)
	before := cgroups()
	// What it sees of cgroups is masked, so it is looked at from outside.
	f := b.follow("do", "--memory", "64m", "--cpus", "0.5", "--pids-limit", "50", "--", "sh", "-c", "echo up; exec sleep 1000")
	if line := f.next(t); line != "up" {
		t.Fatalf("%q", line)
	}
	found := false
	for _, cgroup := range cgroups() {
		if slices.Contains(before, cgroup) || filepath.Base(cgroup) != "container" {
			continue
		}
		found = true
		for name, want := range map[string]string{"memory.max": "67108864", "cpu.max": "50000 100000", "pids.max": "50"} {
			if got := file(t, cgroup, name); got != want {
				t.Errorf("%s is %s, not %s", name, got, want)
			}
		}
	}
	if !found {
		t.Error("no cgroup was made")
	}
	f.cmd.Process.Signal(unix.SIGTERM)
	f.end(t)
	if r := b.run(mycr, "do", "--memory", "48m", "--", "tail", "/dev/zero"); r.Status != 137 || !strings.Contains(r.Stderr, "memory.max") {
		t.Errorf("%v", r)
	}
	if r := b.run(mycr, "do", "--memory", "many", "--", "true"); r.Status != 125 || !strings.Contains(r.Stderr, "--memory many: not an amount such as 512m or 2g") {
		t.Errorf("%v", r)
	}
	b.nothingLeft()
}

// Engines send the device rules with every change of a limit: those in force change nothing, and others are refused
// before anything else changes, since they would not be filtered.
func TestUpdateWithDevices(t *testing.T) {
	b := newBox(t)
	rules := []any{map[string]any{"allow": false, "access": "rwm"}}
	id := b.start("devices", testbed.Set("linux.resources.devices", rules), testbed.Args("sleep", "1000"))
	update := func(rules, limit string) testbed.Result {
		t.Helper()
		cmd := exec.Command(mycr, "update", "--resources", "-", id)
		cmd.Stdin = strings.NewReader(`{"devices":` + rules + `,"memory":{"limit":` + limit + `}}`)
		r, err := testbed.Run(cmd)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := update(`[{"allow":false,"access":"rwm"}]`, "100000000"); r.Status != 0 {
		t.Errorf("%v", r)
	}
	r := update(`[{"allow":true,"access":"rwm"}]`, "90000000")
	if r.Status != 1 || !strings.Contains(r.Stderr, "mycr: linux.resources.devices: other rules than the container was made with") {
		t.Errorf("%v", r)
	}
	if out := b.inside(id, "memory.max"); out != "99999744\n" {
		t.Errorf("memory.max is %s", out)
	}
	b.must(mycr, "delete", "--force", id)
	b.nothingLeft()
}
