// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mycr/integration/testbed"
)

// nest runs a command in user, mount and cgroup namespaces of its own, as root of them.
func nest(args []string) int {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | unix.CLONE_NEWCGROUP,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if err := cmd.Run(); err != nil {
		fmt.Println("cannot nest:", err)
		return 1
	}
	return 0
}

// attack tries, from inside, to write to every file of every cgroup that can be reached, also in namespaces of its
// own making, and to raise its own limits. It prints what it managed.
const attack = `
try() { # a mount point
	for f in $(find $1 -name cgroup.kill -o -name cgroup.freeze -o -name memory.max -o -name pids.max -o -name cpu.max -o -name cgroup.procs -o -name cgroup.subtree_control 2>/dev/null); do
		case $f in
		*.kill) v=1 ;; *.freeze) v=0 ;; *.procs) v=$$ ;; *control) v=-memory ;; *) v=max ;;
		esac
		case $f in $1/cgroup.kill | $1/cgroup.procs) ;; *) (echo $v >$f) 2>/dev/null && echo "wrote $2 $f" ;; esac
	done
	mkdir $1/made 2>/dev/null && echo "made $2 $1/made" && rmdir $1/made
}
try /sys/fs/cgroup here
mount -o remount,rw /sys/fs/cgroup 2>/dev/null && { echo remounted; try /sys/fs/cgroup remounted; }
mkdir -p /dev/c && mount -t cgroup2 cgroup2 /dev/c 2>/dev/null && try /dev/c mounted
[ $1 = again ] || probe sh -c "$0" "$0" again
exit 0`

// From lab 2's container, and from one without a cgroup namespace, nobody else's cgroup can be written, and the limits
// stay what they are, however the container mounts cgroup2 itself. Its own cgroup is below the one with the limits.
func TestOthersCgroupsAreOutOfReach(t *testing.T) {
	b := newBox(t)
	victim := b.start("victim", testbed.Args("sleep", "1000"))
	capabilities := testbed.Capabilities("CAP_SYS_ADMIN", "CAP_KILL", "CAP_DAC_OVERRIDE", "CAP_SETFCAP")
	for name, edits := range map[string][]testbed.Edit{
		"lab 2":                  nil,
		"no cgroup namespace":    {testbed.WithoutNamespace("cgroup")},
		"CAP_SYS_ADMIN":          {capabilities},
		"both":                   {capabilities, testbed.WithoutNamespace("cgroup")},
		"a writable mount":       {capabilities, testbed.Mount("/sys/fs/cgroup", "cgroup", "cgroup", "rw")},
		"a writable mount, host": {capabilities, testbed.WithoutNamespace("cgroup"), testbed.Mount("/sys/fs/cgroup", "cgroup", "cgroup", "rw")},
	} {
		t.Run(name, func(t *testing.T) {
			id := b.start("attack", append(edits, testbed.Args("sleep", "1000"))...)
			own := cgroupOf(t, b.state(id).Pid)
			upper := filepath.Dir(own)
			if filepath.Base(own) != "container" {
				t.Errorf("the processes are where the limits are: %s", own)
			}
			out := b.must(mycr, "exec", id, "sh", "-c", attack, attack, "first").Stdout
			for line := range strings.SplitSeq(strings.TrimSpace(out), "\n") {
				if line != "" && !harmless(name, line) {
					t.Errorf("managed: %s", line)
				}
			}
			for name, want := range map[string]string{"memory.max": "134217728", "cpu.max": "50000 100000", "pids.max": "100"} {
				if got := file(t, upper, name); got != want {
					t.Errorf("%s is %s, not %s, after the attack", name, got, want)
				}
			}
			if got := b.status(victim); got != "running" {
				t.Fatalf("the other container is %s", got)
			}
			if out := b.must(mycr, "exec", victim, "cat", "/sys/fs/cgroup/memory.max").Stdout; out != "134217728\n" {
				t.Errorf("the other container's limit is %s", out)
			}
			b.must(mycr, "delete", "--force", id)
		})
	}
	b.must(mycr, "delete", "--force", victim)
	b.nothingLeft()
}

// harmless is what a container may manage: to write to its own cgroup, where it has that writable or mounts it itself,
// which raises nothing above; and to make its own cover of /sys/fs/cgroup writable, which is an empty tmpfs.
func harmless(name, line string) bool {
	switch {
	case strings.Contains(line, " /dev/c/"), line == "remounted", line == "made remounted /sys/fs/cgroup/made", line == "made here /sys/fs/cgroup/made" && name == "both",
		strings.HasPrefix(line, "cannot nest:"):
		return true
	}
	return name == "a writable mount"
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
