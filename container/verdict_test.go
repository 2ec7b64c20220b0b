// SPDX-License-Identifier: Apache-2.0

package container

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mycr/cgroupdelegate"
)

// A container of a user is one level below the cgroup with its limits, which is
// in the user's slice.
const (
	ownPath   = "/user.slice/mycr-c.scope/container"
	ownLimits = "/user.slice/mycr-c.scope"
)

func TestVerdictNamesTheLimit(t *testing.T) {
	for _, test := range []struct {
		name  string
		files string // cgroup/file: text, a comma for a new line
		want  []string
	}{
		{"nothing to say", "", nil},
		{"ended by itself, below its limits", ownLimits + "/memory.events: oom 0,oom_kill 0\n" + ownPath + "/pids.events: max 0", nil},
		{"memory, the limit in the lower cgroup",
			ownLimits + "/memory.events: low 0,max 31,oom 1,oom_kill 1,oom_group_kill 0\n" + ownPath + "/memory.events.local: oom 1,oom_kill 1\n" +
				ownPath + "/memory.max: 134217728\n" + ownLimits + "/memory.peak: 134217728",
			[]string{"the kernel killed 1 process of c for want of memory: it reached memory.max (linux.resources.memory.limit: 134217728), peak 134217728 bytes"}},
		{"memory, the limit in the upper cgroup, no peak",
			ownLimits + "/memory.events: oom_kill 3\n" + ownLimits + "/memory.events.local: oom 2\n" + ownLimits + "/memory.max: 1048576",
			[]string{"the kernel killed 3 processes of c for want of memory: it reached memory.max (linux.resources.memory.limit: 1048576)"}},
		{"memory, lifted meanwhile",
			ownLimits + "/memory.events: oom_kill 1\n" + ownPath + "/memory.events.local: oom 1\n" + ownPath + "/memory.max: max",
			[]string{"the kernel killed 1 process of c for want of memory: it reached memory.max (linux.resources.memory.limit: none any more)"}},
		{"memory of a slice above",
			ownLimits + "/memory.events: oom_kill 1\n/user.slice/memory.events.local: oom 4\n/user.slice/memory.max: 4096\n/user.slice/memory.peak: 4096\n" + ownLimits + "/memory.peak: 1024",
			[]string{"the kernel killed 1 process of c for want of memory: the cgroup /user.slice above it reached memory.max, 4096 bytes, peak 4096 bytes"}},
		{"memory of the host",
			ownLimits + "/memory.events: oom_kill 1\n/user.slice/memory.events.local: oom 0\n" + ownLimits + "/memory.peak: 1024",
			[]string{"the kernel killed 1 process of c for want of memory: the host had none left, peak 1024 bytes"}},
		{"pids, counted where forked",
			ownPath + "/pids.events: max 2\n" + ownPath + "/pids.max: 100\n" + ownPath + "/pids.peak: 100\n" + ownLimits + "/pids.peak: 100",
			[]string{"the kernel refused 2 forks of c: it reached pids.max (linux.resources.pids.limit: 100), peak 100"}},
		{"pids, counted where limited, no peak",
			ownLimits + "/pids.events: max 1\n" + ownLimits + "/pids.max: 5",
			[]string{"the kernel refused 1 fork of c: it reached pids.max (linux.resources.pids.limit: 5)"}},
		{"pids of a slice above",
			ownPath + "/pids.events: max 1\n" + ownPath + "/pids.max: 100\n" + ownPath + "/pids.peak: 20\n" + ownLimits + "/pids.max: max\n/user.slice/pids.max: 30\n/user.slice/pids.peak: 30",
			[]string{"the kernel refused 1 fork of c: the cgroup /user.slice above it reached pids.max, 30, peak 30"}},
		{"pids, nobody knows of which",
			ownPath + "/pids.events: max 1", []string{"the kernel refused 1 fork of c: a cgroup above it reached its pids.max"}},
		{"both", ownLimits + "/memory.events: oom_kill 1\n" + ownPath + "/pids.events: max 1",
			[]string{"the kernel killed 1 process of c for want of memory: the host had none left", "the kernel refused 1 fork of c: a cgroup above it reached its pids.max"}},
		{"files of other texts", ownLimits + "/memory.events: oom_kill many\n" + ownPath + "/pids.events: max", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := map[string]string{}
			for line := range strings.Lines(test.files) {
				name, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
				files[name] = strings.ReplaceAll(text, ",", "\n")
			}
			read := func(cgroup, file string) string { return files[cgroup+"/"+file] }
			got := verdict{id: "c", path: ownPath, limits: ownLimits, read: read}.lines()
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// When systemd was quicker, the cgroup above still knows.
func TestVerdictWithoutTheCgroup(t *testing.T) {
	kept := map[string]string{
		ownLimits + "/memory.events": "max 12\noom 0\noom_kill 0", ownLimits + "/memory.max": "134217728", ownLimits + "/memory.peak": "134217728",
		ownPath + "/memory.events.local": "max 12\noom 0", ownPath + "/pids.events": "max 4", ownPath + "/pids.max": "100",
	}
	pids := "the kernel refused at least 4 forks of c: it reached pids.max (linux.resources.pids.limit: 100)"
	for _, test := range []struct {
		name          string
		before, after map[string]string // of /user.slice
		want          []string
	}{
		{"nothing was killed", map[string]string{"memory.events": "oom 3\noom_kill 3", "memory.events.local": "oom 0"},
			map[string]string{"memory.events": "oom 3\noom_kill 3", "memory.events.local": "oom 0"}, []string{pids}},
		{"killed for its own limit", map[string]string{"memory.events": "oom 3\noom_kill 3", "memory.events.local": "oom 1"},
			map[string]string{"memory.events": "oom 4\noom_kill 5", "memory.events.local": "oom 1"},
			[]string{"the kernel killed at least 1 process of c for want of memory: it reached memory.max (linux.resources.memory.limit: 134217728), peak 134217728 bytes", pids}},
		{"killed for the limit above", map[string]string{"memory.events": "oom 3\noom_kill 3", "memory.events.local": "oom 1"},
			map[string]string{"memory.events": "oom 4\noom_kill 4", "memory.events.local": "oom 2", "memory.max": "4096"},
			[]string{"the kernel killed 1 process of c for want of memory: the cgroup /user.slice above it reached memory.max, 4096 bytes", pids}},
		{"killed for the host", map[string]string{"memory.events": "oom 3\noom_kill 3", "memory.events.local": "oom 0"},
			map[string]string{"memory.events": "oom 3\noom_kill 4", "memory.events.local": "oom 0"},
			[]string{"the kernel killed 1 process of c for want of memory: the host had none left, peak 134217728 bytes", pids}},
		{"another's", map[string]string{"memory.events": "oom 3\noom_kill 3", "memory.events.local": "oom 1"},
			map[string]string{"memory.events": "oom 4\noom_kill 4", "memory.events.local": "oom 1"}, []string{pids}},
		{"nobody knew before", nil, map[string]string{"memory.events": "oom 3\noom_kill 3"}, []string{pids}},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := verdict{id: "c", path: ownPath, limits: ownLimits, gone: true, killed: test.name != "another's"}
			if test.before != nil {
				v.before = map[string]string{}
				for file, text := range test.before {
					v.before["/user.slice/"+file] = text
				}
			}
			v.read = func(cgroup, file string) string {
				if cgroup == "/user.slice" {
					return test.after[file]
				}
				return kept[cgroup+"/"+file]
			}
			if diff := cmp.Diff(test.want, v.lines()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Where all went well nobody is told of it, and without a cgroup nothing is known.
func TestVerdictIsForFailures(t *testing.T) {
	for _, group := range []cgroupdelegate.Group{
		{}, {Path: "/nope/container", Limits: "/nope"}, {Path: "/nope/container", Limits: "/nope", Unit: "nope.scope"},
	} {
		for _, status := range []int{0, 137} {
			c := &Container{record: Record{Cgroup: group}}
			if got := c.Witness().Verdict(status); got != nil {
				t.Errorf("%v, %d: %q", group, status, got)
			}
		}
	}
}
