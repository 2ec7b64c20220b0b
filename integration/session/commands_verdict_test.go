// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"strings"
	"testing"

	"mycr/integration/testbed"
)

// Who is told 137 is told why. systemd removes the cgroup, and the numbers in it, at the moment of the end, so once
// is not enough to try it.
func Test137IsExplained(t *testing.T) {
	test137(t)
}

func TestRoot137IsExplained(t *testing.T) {
	test137(t)
}

func test137(t *testing.T) {
	b := newBox(t)
	dir := b.lab2(testbed.Args("tail", "/dev/zero"), testbed.Set("linux.resources.memory.limit", 16777216))
	for range 3 {
		id := b.id("oom")
		want := fmt.Sprintf("mycr: note: the kernel killed 1 process of %s for want of memory: "+
			"it reached memory.max (linux.resources.memory.limit: 16777216), peak 16777216 bytes\n", id)
		if r := b.run(mycr, "run", "-b", dir, id); r.Status != 137 || !strings.HasSuffix(r.Stderr, want) || strings.Count(r.Stderr, "the kernel") != 1 {
			t.Errorf("%v\nnot 137 with %s", r, want)
		}
	}
	b.nothingLeft()
}

// The killed process may be another than the one whose status it is.
func TestKillOfAChildIsExplained(t *testing.T) {
	b := newBox(t)
	small := testbed.Set("linux.resources.memory.limit", 16777216)
	r := b.run(mycr, "run", "-b", b.lab2(small, testbed.Sh("tail /dev/zero; tail /dev/zero; exit 3")), b.id("child"))
	known := strings.Contains(r.Stderr, "the kernel killed 2 processes of child-") || strings.Contains(r.Stderr, "the kernel killed at least 1 process of child-")
	if r.Status != 3 || !known || !strings.Contains(r.Stderr, "it reached memory.max (linux.resources.memory.limit: 16777216), peak 16777216 bytes\n") {
		t.Errorf("%v", r)
	}
	// Where all went well in the end, or it was no limit, nothing is told.
	for _, test := range []struct {
		status int
		edits  []testbed.Edit
	}{
		{0, []testbed.Edit{testbed.Sh("tail /dev/zero; exit 0")}},
		{3, []testbed.Edit{testbed.Sh("exit 3")}},
		{137, []testbed.Edit{testbed.Sh("kill -9 $$"), testbed.WithoutNamespace("pid"), testbed.Set("mounts", []any{})}},
	} {
		r := b.run(mycr, "run", "-b", b.lab2(append(test.edits, small)...), b.id("quiet"))
		if r.Status != test.status || strings.Contains(r.Stderr, "the kernel") {
			t.Errorf("not %d: %v", test.status, r)
		}
	}
	b.nothingLeft()
}

// The limit may be one of a slice above; it has no number in the bundle.
func TestLimitAboveIsExplained(t *testing.T) {
	b := newBox(t)
	slice := b.id("mycrtest")
	slice = strings.ReplaceAll(slice, "-", "") + ".slice"
	dir := b.lab2(testbed.Args("tail", "/dev/zero"), testbed.Set("linux.cgroupsPath", slice+":mycr:above"))
	if out, err := systemctl("start", slice); err != nil {
		t.Fatalf("start %s: %v: %s", slice, err, out)
	}
	defer systemctl("stop", slice)
	if out, err := systemctl("set-property", "--runtime", slice, "MemoryMax=16M"); err != nil {
		t.Fatalf("limit %s: %v: %s", slice, err, out)
	}
	id := b.id("above")
	r := b.run(mycr, "run", "-b", dir, id)
	if r.Status != 137 || !strings.Contains(r.Stderr, "the kernel killed 1 process of "+id+" for want of memory: the cgroup /") ||
		!strings.Contains(r.Stderr, slice+" above it reached memory.max, 16777216 bytes, peak 16777216 bytes\n") {
		t.Errorf("%v", r)
	}
	b.nothingLeft()
}

func TestRefusedForksAreExplained(t *testing.T) {
	b := newBox(t)
	const forks = "i=0; while [ $i -lt 40 ]; do i=$((i+1)); sleep 1000 & done; exit 3"
	dir := b.lab2(testbed.Set("linux.resources.pids.limit", 30), testbed.Sh(forks))
	id := b.id("forks")
	r := b.run(mycr, "run", "-b", dir, id)
	if r.Status == 0 || !strings.Contains(r.Stderr, "mycr: note: the kernel refused ") ||
		!strings.Contains(r.Stderr, "of "+id+": it reached pids.max (linux.resources.pids.limit: 30)") {
		t.Errorf("%v", r)
	}
	b.nothingLeft()
}
