// SPDX-License-Identifier: Apache-2.0

package session

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mycr/integration/testbed"
)

// From lab 2's container, and from one without a cgroup namespace, nobody else's cgroup can be written, and the limits
// stay what they are, however the container mounts cgroup2 itself and whatever it does to its mounts. Its own cgroup is
// below the one with the limits.
func TestOthersCgroupsAreOutOfReach(t *testing.T) {
	testOthersCgroups(t)
}

// The same where the kernel keeps nothing by itself: systemd mounts with nsdelegate, which by itself refuses a
// container the files of limits at the root of its cgroup namespace, and moves across that; others do not.
func TestOthersCgroupsWithoutNsdelegate(t *testing.T) {
	b := inMachine(t)
	mounted := func() string {
		return b.must("findmnt", "-n", "-o", "OPTIONS", hierarchy).Stdout
	}
	before := strings.TrimSpace(mounted())
	if !strings.Contains(before, ",nsdelegate") {
		t.Errorf("%s is mounted without nsdelegate: %s", hierarchy, before)
	}
	t.Cleanup(func() { b.must("sudo", "mount", "-o", "remount,"+before, "none", hierarchy) })
	b.must("sudo", "mount", "-o", "remount,"+strings.Replace(before, ",nsdelegate", "", 1), "none", hierarchy)
	if now := mounted(); strings.Contains(now, "nsdelegate") {
		t.Fatalf("nsdelegate is there still: %s", now)
	}
	testOthersCgroups(t)
}

func testOthersCgroups(t *testing.T) {
	b := newBox(t)
	capabilities := testbed.Capabilities("CAP_SYS_ADMIN", "CAP_KILL", "CAP_DAC_OVERRIDE", "CAP_SETFCAP")
	cgroup := testbed.Mount(hierarchy, "cgroup", "cgroup", "rw")
	network := testbed.Namespace("network", "")
	for name, edits := range map[string][]testbed.Edit{
		"lab 2":                       nil,
		"no cgroup namespace":         {testbed.WithoutNamespace("cgroup")},
		"CAP_SYS_ADMIN":               {capabilities},
		"both":                        {capabilities, testbed.WithoutNamespace("cgroup")},
		"CAP_SYS_ADMIN, own network":  {capabilities, network},
		"both, own network":           {capabilities, network, testbed.WithoutNamespace("cgroup")},
		"a writable mount":            {capabilities, cgroup},
		"a writable mount, host":      {testbed.WithoutNamespace("cgroup"), cgroup}, // with CAP_SYS_ADMIN it is refused
		"no capability, own writable": {cgroup},
	} {
		t.Run(name, func(t *testing.T) {
			if os.Getenv("MYCR_ALL") == "" && !slices.Contains([]string{"lab 2", "both", "a writable mount"}, name) {
				t.Skip("make test-all has it")
			}
			victim := b.start("victim", testbed.Args("sleep", "1000"))
			id := b.start("attack", append(edits, testbed.Args("sleep", "1000"))...)
			defer b.run(mycr, "delete", "--force", victim)
			defer b.run(mycr, "delete", "--force", id)
			own := cgroupOf(t, b.state(id).Pid)
			upper := filepath.Dir(own)
			if filepath.Base(own) != "container" {
				t.Errorf("the processes are where the limits are: %s", own)
			}
			victims := filepath.Dir(cgroupOf(t, b.state(victim).Pid))
			others := cgroupsBut(t, own)
			words, _ := json.Marshal(goals{Victim: inode(t, victims), Limits: inode(t, upper), Own: inode(t, own)})
			deeds := parseDeeds(t, b.must(mycr, "exec", id, "probe", string(words)).Stdout)
			report(t, deeds, others)
			if got := b.status(victim); got != "running" {
				t.Fatalf("the other container is %s", got)
			}
			for name, want := range map[string]string{"memory.max": "134217728", "cpu.max": "50000 100000", "pids.max": "100"} {
				for _, cgroup := range []string{upper, victims} {
					if got := file(t, cgroup, name); got != want {
						t.Errorf("%s of %s is %s, not %s, after the attack", name, cgroup, got, want)
					}
				}
			}
		})
	}
	b.nothingLeft()
}

// What an attack is to be kept from it does manage where nothing keeps it: outside of any container.
func TestAttackWorksOutside(t *testing.T) {
	b := newBox(t)
	victim := b.start("victim", testbed.Args("sleep", "1000"))
	victims := filepath.Dir(cgroupOf(t, b.state(victim).Pid))
	goal := goals{Victim: inode(t, victims)}
	words, _ := json.Marshal(goal)
	managed := map[string]bool{}
	for _, d := range parseDeeds(t, b.must(filepath.Join(string(template), "probe"), string(words)).Stdout) {
		if d.Cgroup == goal.Victim {
			managed[d.What+" "+filepath.Base(d.Path)] = true
		}
	}
	for _, want := range []string{"wrote cgroup.kill", "wrote memory.max", "wrote pids.max", "wrote cpu.max", "opened cgroup.procs"} {
		if !managed[want] {
			t.Errorf("the attack has not %s of the other container", want)
		}
	}
	if got := b.status(victim); got != "stopped" {
		t.Errorf("the other container is %s", got)
	}
	b.must(mycr, "delete", "--force", victim)
	b.nothingLeft()
}

// report fails the test for every cgroup of others that was reached.
func report(t *testing.T, deeds []deed, others map[uint64]string) {
	t.Helper()
	seen, own := map[string]bool{}, map[string]bool{}
	changed, opened := map[string][]string{}, map[string]int{}
	for _, d := range deeds {
		other, foreign := others[d.Cgroup]
		switch {
		case d.What == "saw":
			seen[d.Type] = true
		case !foreign:
			own[d.What+" "+filepath.Base(d.Path)] = d.What != "opened"
		case d.What != "wrote":
			opened[d.Where]++
		default:
			changed[d.Where] = append(changed[d.Where], filepath.Join(other, filepath.Base(d.Path)))
		}
	}
	for where := range beyond {
		if !slices.ContainsFunc(deeds, func(d deed) bool { return d.Where == where+", as it is" }) {
			t.Errorf("%s: no attack", where)
		}
	}
	// Its own cgroup anybody can mount, in a cgroup namespace of his making: that the attack had the power to.
	if !slices.ContainsFunc(deeds, func(d deed) bool {
		return d.Where == "in a user and a cgroup ns, cgroup2 mounted" && d.Path == "/mnt" && d.Type == "cgroup2"
	}) {
		t.Error("no cgroup2 was mounted in nested namespaces")
	}
	maps.DeleteFunc(own, func(_ string, change bool) bool { return !change })
	t.Logf("saw %v; to its own cgroup: %v", slices.Sorted(maps.Keys(seen)), slices.Sorted(maps.Keys(own)))
	for where, files := range opened {
		slices.Sort(changed[where])
		t.Errorf("%s: %d times a file of others opened for writing or a cgroup made in theirs; written: %s", where, files, strings.Join(slices.Compact(changed[where]), ", "))
	}
}

func parseDeeds(t *testing.T, text string) (deeds []deed) {
	t.Helper()
	for line := range strings.Lines(text) {
		var d deed
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		deeds = append(deeds, d)
	}
	return deeds
}

// cgroupsBut are all cgroups but those from own downwards, by inode.
func cgroupsBut(t *testing.T, own string) map[uint64]string {
	t.Helper()
	all := map[uint64]string{}
	filepath.WalkDir(hierarchy, func(path string, entry os.DirEntry, err error) error {
		if path == own {
			return filepath.SkipDir
		}
		var st unix.Stat_t
		if err == nil && entry.IsDir() && unix.Stat(path, &st) == nil {
			all[st.Ino] = path
		}
		return nil
	})
	return all
}

func inode(t *testing.T, name string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// The memory limit holds where the container has raised its own: the one above stops it.
func TestRaisedLimitStillHolds(t *testing.T) {
	b := newBox(t)
	r := b.run(mycr, "run", "-b", b.lab2(
		testbed.Set("linux.resources.memory.limit", 50331648),
		testbed.Mount("/sys/fs/cgroup", "cgroup", "cgroup", "rw"),
		testbed.Sh("echo max >/sys/fs/cgroup/memory.max; tail /dev/zero"),
	), b.id("raised"))
	if r.Status != 137 {
		t.Errorf("%v", r)
	}
	b.nothingLeft()
}

// A delegated cgroup is process.user's, with the files of runtime-spec, and no other; another mycr in it finds the
// mark and makes its containers there.
func TestDelegatedCgroup(t *testing.T) {
	b := newBox(t)
	if os.Geteuid() == 0 {
		t.Skip("for an ordinary user")
	}
	user := func(id int) testbed.Edit { return testbed.Set("process.user", map[string]any{"uid": id, "gid": id}) }
	const look = "cd /sys/fs/cgroup; for f in . cgroup.procs cgroup.subtree_control cgroup.threads memory.max; do stat -c '%u:%g' $f; done; mkdir sub/ && echo made"
	for name, c := range map[string]struct {
		edit  testbed.Edit
		owner string
	}{
		"root, automatic ids":   {user(0), "0:0"},
		"user 5, automatic ids": {user(5), "5:5"},
		"root, subordinate ids": {subordinateIDs, "0:0"},
	} {
		t.Run(name, func(t *testing.T) {
			r := b.must(mycr, "run", "-b", b.lab2(testbed.Mount("/sys/fs/cgroup", "cgroup", "cgroup", "rw"), c.edit, testbed.Sh(look)), b.id("delegated"))
			lines := strings.Split(strings.TrimSpace(r.Stdout), "\n")
			if len(lines) != 6 || lines[5] != "made" {
				t.Fatalf("%v", r)
			}
			for i, owner := range lines[:4] {
				if owner != c.owner {
					t.Errorf("file %d is %s's, not %s's", i, owner, c.owner)
				}
			}
			if strings.HasPrefix(c.owner, "5") && lines[4] == c.owner {
				t.Errorf("memory.max is %s's", lines[4])
			}
		})
	}
	b.nothingLeft()
}

// Cgroups that a container made, closed to others and left, are removed with it.
func TestClosedCgroupsAreRemoved(t *testing.T) {
	b := newBox(t)
	b.must(mycr, "run", "-b", b.lab2(
		subordinateIDs,
		testbed.Mount("/sys/fs/cgroup", "cgroup", "cgroup", "rw"),
		testbed.Sh("cd /sys/fs/cgroup; mkdir -p a/b c; chmod 0 a/b a"),
	), b.id("closed"))
	b.nothingLeft()
}

// exec is in the container's cgroup, whoever it is there, and in init's where the container's root has none for
// processes any more.
func TestExecIsInTheCgroup(t *testing.T) {
	b := newBox(t)
	id := b.start("exec",
		subordinateIDs,
		testbed.Mount("/sys/fs/cgroup", "cgroup", "cgroup", "rw"),
		testbed.Sh("cd /sys/fs/cgroup; while [ ! -e /dev/go ]; do sleep 0.1; done; mkdir init; echo 1 >init/cgroup.procs; until echo +memory >cgroup.subtree_control; do sleep 0.1; done; sleep 1000"))
	for _, user := range []string{"0", "9:9"} {
		if out := b.must(mycr, "exec", "-u", user, id, "cat", "/proc/self/cgroup").Stdout; out != "0::/\n" {
			t.Errorf("%s: %q", user, out)
		}
	}
	own := cgroupOf(t, b.state(id).Pid)
	b.must(mycr, "exec", id, "touch", "/dev/go")
	for deadline := time.Now().Add(testbed.Hang); file(t, own, "cgroup.subtree_control") != "memory"; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the container's root has no controllers for children")
		}
	}
	for _, user := range []string{"0", "9:9"} {
		if out := b.must(mycr, "exec", "-u", user, id, "cat", "/proc/self/cgroup").Stdout; out != "0::/init\n" {
			t.Errorf("%s, when the root has children: %q", user, out)
		}
	}
	b.must(mycr, "delete", "--force", id)
	b.nothingLeft()
}
