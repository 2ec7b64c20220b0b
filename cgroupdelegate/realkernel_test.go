// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// controlled makes a cgroup with controllers, or skips.
func controlled(t *testing.T, needed ...string) *Cgroup {
	t.Helper()
	top, err := Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer top.Close()
	if have, err := top.controllers(); err != nil {
		t.Fatal(err)
	} else if slices.ContainsFunc(needed, func(c string) bool { return !slices.Contains(have, c) }) {
		t.Skipf("of the controllers %v this host gives cgroup2 only %v", needed, have)
	}
	if err := top.enable(needed); err != nil {
		t.Fatal(err)
	}
	return newCgroup(t)
}

// The model that other tests trust takes, refuses and keeps what the kernel does.
func TestModelIsTheKernel(t *testing.T) {
	if !inCgroups(t) {
		return
	}
	c := controlled(t, "cpu", "memory", "pids")
	// The first quota and the last one patch the kernel's code (cfs_bandwidth_used), which QEMU's emulation
	// does not survive for long; so there is always one.
	if err := newCgroup(t).Write("cpu.max", "500000 1000000"); err != nil {
		t.Fatal(err)
	}
	const page = 4096
	rapid.Check(t, func(t *rapid.T) {
		model := newKernel()
		if c.Write("cpu.idle", "0") != nil || c.Write("cpu.max.burst", "0") != nil {
			t.Fatal("cannot reset")
		}
		for file, n := range model.Numbers {
			if c.Has(file) {
				if err := c.Write(file, maxOr(n)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := c.Write("cpu.max", "max 100000"); err != nil {
			t.Fatal(err)
		}
		usec := rapid.OneOf(rapid.SampledFrom([]string{"max", "0", "999", "1000", "1000000", "1000001", "17592186044415", "17592186044416"}), rapid.StringMatching(`[1-9][0-9]{2,5}`))
		size := rapid.OneOf(rapid.SampledFrom([]string{"max", "0", "x", "1M"}), rapid.StringMatching(`[1-9][0-9]{0,12}`))
		for range rapid.IntRange(1, 30).Draw(t, "writes") {
			var file, value string
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				file, value = "cpu.max", usec.Draw(t, "quota")
				if rapid.Bool().Draw(t, "two") {
					value += " " + usec.Filter(func(s string) bool { return s != "max" }).Draw(t, "period") // a word there is passed over
				}
			case 1:
				file, value = "cpu.max.burst", usec.Filter(func(s string) bool { return s != "max" }).Draw(t, "burst")
			case 2:
				file, value = "cpu.weight", rapid.SampledFrom([]string{"0", "1", "77", "100", "10000", "10001", "x"}).Draw(t, "weight")
			case 3:
				file, value = "cpu.idle", rapid.SampledFrom([]string{"0", "1", "2"}).Draw(t, "idle")
			case 4:
				file, value = "pids.max", rapid.SampledFrom([]string{"max", "0", "5", "4194304", "x"}).Draw(t, "pids")
			default:
				file = rapid.SampledFrom([]string{"memory.min", "memory.low", "memory.high", "memory.max", "memory.swap.max"}).Draw(t, "file")
				value = size.Draw(t, "size")
			}
			parsed := value
			if n, ok := parseSize(value); ok && strings.HasPrefix(file, "memory.") {
				if parsed = maxOr(n / page * page); n == none {
					parsed = "max"
				}
			}
			if err, want := c.Write(file, value), model.write(file, parsed); (err == nil) != (want == nil) {
				t.Fatalf("the kernel says %v, the model %v", err, want)
			}
		}
		for file, n := range model.Numbers {
			if !c.Has(file) || file == "cpu.weight" && model.Idle { // 0 in Linux 6.1, 1 in 6.12
				continue
			}
			if text, err := c.Read(file); err != nil || text != maxOr(n) {
				t.Fatalf("%s is %s, %v; in the model %d", file, text, err, n)
			}
		}
		is, err := c.inForce()
		if err != nil || is.quota != model.Quota || is.period != model.Period || is.burst != model.Burst || is.idle != model.Idle {
			t.Fatalf("%+v, %v; in the model %+v", is, err, model)
		}
	})
}

// The statistics of a cgroup in use have what its controllers give, and no more.
func TestStatsOfTheKernel(t *testing.T) {
	if !inCgroups(t) {
		return
	}
	c := newCgroup(t)
	shellIn(t, c, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
	s, err := c.Stats()
	if err != nil {
		t.Fatal(err)
	}
	has := func(file string) bool { return c.Has(file) }
	if s.CPU == nil || s.CPU.UsageUsec == 0 || (s.CPU.Throttling != nil) != has("cpu.max") || (s.Memory != nil) != has("memory.current") ||
		(s.Pids != nil) != has("pids.current") || (s.RDMA != nil) != has("rdma.max") || (len(s.Hugetlb) > 0) != has("hugetlb.2MB.max") {
		t.Errorf("%+v", s)
	}
	if s.Memory != nil && len(s.Memory.Stat) < 20 {
		t.Errorf("%+v", s.Memory)
	}
}

// Who watches is told of a kill for a limit, with the limit, and of the end.
func TestWatchTellsOfKills(t *testing.T) {
	if !inCgroups(t) {
		return
	}
	c := controlled(t, "memory")
	for file, value := range map[string]string{"memory.max": "8388608", "memory.swap.max": "0"} {
		if c.Has(file) {
			if err := c.Write(file, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	// The shell stays behind, so that the cgroup is not empty when its child is killed.
	command := exec.Command("sh", "-c", "echo $$ > "+filepath.Join(MountPoint, c.Path, "cgroup.procs")+
		"; read go; tail /dev/zero >/dev/null; echo killed; read end")
	in, _ := command.StdinPipe()
	out, _ := command.StdoutPipe()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer command.Process.Kill()
	for full := false; !full; {
		full, _ = c.populated()
	}
	w, err := c.Watch()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if change, err := w.Next(0); err != nil || change != (Change{}) {
		t.Fatalf("%+v, %v", change, err)
	}
	next := func() Change {
		t.Helper()
		for range 100 {
			change, err := w.Next(10 * time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if change != (Change{}) {
				return change
			}
		}
		t.Fatal("nothing came")
		return Change{}
	}
	fmt.Fprintln(in)
	if k := next(); k.OOMKills != 1 || !k.OwnLimit || k.Empty || k.Memory == nil || k.Memory.Max == nil || *k.Memory.Max != 8388608 {
		t.Errorf("%+v", k)
	}
	if n, err := c.OOMKills(); n != 1 || err != nil {
		t.Errorf("%d kills, %v", n, err)
	}
	word := make([]byte, 7)
	out.Read(word)
	in.Close()
	if k := next(); !k.Empty || k.OOMKills != 0 {
		t.Errorf("%+v", k)
	}
	command.Wait()
}

// A cgroup that is removed while it is watched or read is gone, and no other error.
func TestRemovedCgroupIsGone(t *testing.T) {
	if !inCgroups(t) {
		return
	}
	c := newCgroup(t)
	below, made, err := c.make("below")
	if err != nil || !made {
		t.Fatal(made, err)
	}
	defer below.Close()
	w, err := below.Watch()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := os.Remove(filepath.Join(MountPoint, below.Path)); err != nil {
		t.Fatal(err)
	}
	if change, err := w.Next(-1); err != nil || !change.Empty {
		t.Errorf("%+v, %v", change, err)
	}
	if _, err := below.Stats(); !errors.Is(err, ErrGone) {
		t.Error(err)
	}
	if _, err := below.OOMKills(); !errors.Is(err, ErrGone) {
		t.Error(err)
	}
}
