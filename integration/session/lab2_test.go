// SPDX-License-Identifier: Apache-2.0

package session

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mycr/integration/testbed"
)

// lab2Output is what lab 2's process prints: its own limits, as the tutorial has them.
const lab2Output = "134217728\n50000 100000\n"

// TestMachine tells whether what the other tests take for granted is there.
func TestMachine(t *testing.T) {
	b := newBox(t)
	if machine == "" {
		t.Skip("not in a machine of the tests")
	}
	if os.Getuid() != 1000 {
		t.Fatalf("uid %d", os.Getuid())
	}
	for _, controller := range []string{"cpu", "cpuset", "io", "memory", "pids"} {
		if have := file(t, "/sys/fs/cgroup", manager.cgroup, "cgroup.controllers"); !strings.Contains(have, controller) {
			t.Errorf("the user's manager has not %s: %s", controller, have)
		}
	}
	if cgroup := cgroupOf(t, os.Getpid()); !strings.HasPrefix(filepath.Base(cgroup), "session-") {
		t.Errorf("not a login session: %s", cgroup)
	}
	for _, program := range []string{"crun", "runc", "podman", "strace", "newuidmap", "busybox", "jq"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Error(err)
		}
	}
	if lines := b.must("sudo", "-n", "id", "-u").Stdout; lines != "0\n" {
		t.Errorf("sudo: %q", lines)
	}
}

// TestReferenceLab2 is crun's with what it has to be told: that the session can do it, not whether mycr does.
func TestReferenceLab2(t *testing.T) {
	b := newBox(t)
	if _, err := exec.LookPath("crun"); err != nil {
		t.Skip("crun is missing")
	}
	dir := b.lab2(
		ownID(),
		testbed.Mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro"),
		testbed.Sh("cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max /sys/fs/cgroup/pids.max"),
		testbed.Namespace("network", ""), // a sysfs cannot be mounted without one of one's own
	)
	r := b.must("crun", "--systemd-cgroup", "run", "-b", dir, b.id("reference"))
	if want := lab2Output + "100\n"; r.Stdout != want {
		t.Errorf("stdout %q, not %q", r.Stdout, want)
	}
	b.nothingLeft()
}

// TestLab2 is the tutorial's lab 2, unchanged and without a flag.
func TestLab2(t *testing.T) {
	testLab2(t)
}

// TestLab2Scope looks at the same bundle from outside while it runs: systemd and the kernel have the same limits.
func TestLab2Scope(t *testing.T) {
	testLab2Scope(t)
}

// TestRootLab2 is the same by root, with the system's manager.
func TestRootLab2(t *testing.T) {
	testLab2(t)
}

func testLab2(t *testing.T) {
	b := newBox(t)
	r := b.must(mycr, "run", "-b", b.lab2(), b.id("lab2"))
	if r.Stdout != lab2Output {
		t.Errorf("stdout %q, not %q", r.Stdout, lab2Output)
	}
	b.nothingLeft()
}

func TestRootLab2Scope(t *testing.T) {
	testLab2Scope(t)
}

func testLab2Scope(t *testing.T) {
	b := newBox(t)
	id := b.id("lab2")
	b.must(mycr, "create", "-b", b.lab2(testbed.Args("sleep", "1000")), id)
	defer b.run(mycr, "delete", "--force", id)
	b.must(mycr, "start", id)
	var state struct{ Pid int }
	if err := json.Unmarshal([]byte(b.must(mycr, "state", id).Stdout), &state); err != nil {
		t.Fatal(err)
	}
	cgroup := cgroupOf(t, state.Pid)
	for name, want := range map[string]string{"memory.max": "134217728", "cpu.max": "50000 100000", "pids.max": "100"} {
		if got := file(t, cgroup, name); got != want {
			t.Errorf("%s is %s, not %s", name, got, want)
		}
	}
	scope := ""
	for element := range strings.SplitSeq(cgroup, "/") {
		if strings.HasSuffix(element, ".scope") {
			scope = element
		}
	}
	if !strings.Contains(scope, id) {
		t.Fatalf("the container is not in a scope of its own: %s", cgroup)
	}
	have := properties(t, scope, "MemoryMax", "CPUQuotaPerSecUSec", "TasksMax", "ActiveState")
	want := map[string]string{"MemoryMax": "134217728", "CPUQuotaPerSecUSec": "500ms", "TasksMax": "100", "ActiveState": "active"}
	for name, value := range want {
		if have[name] != value {
			t.Errorf("%s: %s is %s, not %s", scope, name, have[name], value)
		}
	}
	b.must(mycr, "delete", "--force", id)
	b.nothingLeft()
}

// TestLab2InScope runs lab 2 in a delegated scope that the caller has made: that one is used, and no other is made.
func TestLab2InScope(t *testing.T) {
	b := newBox(t)
	unit := b.id("caller") + ".scope"
	dir := b.lab2(testbed.Sh("cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max; cat /proc/self/cgroup"))
	r := b.must("systemd-run", "--user", "--quiet", "--scope", "-p", "Delegate=yes", "--unit", unit, mycr, "run", "-b", dir, b.id("lab2"))
	if want := lab2Output + "0::/\n"; r.Stdout != want {
		t.Errorf("stdout %q, not %q", r.Stdout, want)
	}
	b.nothingLeft()
}
