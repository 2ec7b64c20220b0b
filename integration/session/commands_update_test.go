// SPDX-License-Identifier: Apache-2.0

package session

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mycr/integration/testbed"
)

// What update changes is read back from inside the container, and systemd knows it.
func TestUpdateWhileRunning(t *testing.T) {
	testUpdate(t)
}

func TestRootUpdateWhileRunning(t *testing.T) {
	testUpdate(t)
}

func testUpdate(t *testing.T) {
	b := newBox(t)
	id := b.start("update", testbed.Args("sleep", "1000"))
	read := func(want string, files ...string) {
		t.Helper()
		if got := b.inside(id, files...); got != want {
			t.Errorf("%v: %q, not %q", files, got, want)
		}
	}
	read("134217728\n50000 100000\n100\n", "memory.max", "cpu.max", "pids.max")
	b.must(mycr, "update", "--memory", "64m", "--memory-reservation", "32m", "--cpu-quota", "20000", "--cpu-period", "50000",
		"--cpu-burst", "1000", "--cpu-share", "512", "--pids-limit", "50", id)
	read("67108864\n33554432\n20000 50000\n1000\n59\n50\n", "memory.max", "memory.low", "cpu.max", "cpu.max.burst", "cpu.weight", "pids.max")
	have := properties(t, b.scope(id), "MemoryMax", "MemoryLow", "CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec", "CPUWeight", "TasksMax")
	for name, want := range map[string]string{
		"MemoryMax": "67108864", "MemoryLow": "33554432", "CPUQuotaPerSecUSec": "400ms", "CPUQuotaPeriodUSec": "50ms", "CPUWeight": "59", "TasksMax": "50",
	} {
		if have[name] != want {
			t.Errorf("systemd: %s is %s, not %s", name, have[name], want)
		}
	}

	// What is not named stays, what is wrong changes nothing, -1 is no limit.
	b.must(mycr, "update", "--pids-limit=-1", id)
	read("67108864\n20000 50000\nmax\n", "memory.max", "cpu.max", "pids.max")
	b.refused(1, "linux.resources.cpu.quota: 1000000000000000000", "update", "--memory", "32m", "--cpu-quota", "1000000000000000000", id)
	b.refused(1, "memory+swap limit should be >= memory limit", "update", "--memory-swap", "1m", id)
	read("67108864\n20000 50000\nmax\n", "memory.max", "cpu.max", "pids.max")

	// As podman and containerd call it; 0 changes nothing there.
	path := filepath.Join(b.dir, "resources")
	if err := os.WriteFile(path, []byte(`{"memory":{"limit":100663296,"swap":0},"pids":{"limit":70},"cpu":{"shares":0}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	b.must(mycr, "update", "--resources="+path, id)
	read("100663296\n20000 50000\n70\n", "memory.max", "cpu.max", "pids.max")
	cmd := exec.Command(mycr, "update", "--resources=-", id)
	cmd.Stdin = strings.NewReader(`{"memory":{"limit":-1},"cpu":{"quota":-1},"unified":{"memory.high":"50331648"}}`)
	if r, err := testbed.Run(cmd); err != nil || r.Status != 0 {
		t.Fatalf("update --resources=-: %v, %v", r, err)
	}
	read("max\nmax 50000\n70\n50331648\n", "memory.max", "cpu.max", "pids.max", "memory.high")

	// Engines' later calls have no bus in their environment.
	cmd = exec.Command(mycr, "update", "--memory", "80m", id)
	cmd.Env = []string{"XDG_RUNTIME_DIR=" + os.Getenv("XDG_RUNTIME_DIR")}
	if r, err := testbed.Run(cmd); err != nil || r.Status != 0 {
		t.Fatalf("update with XDG_RUNTIME_DIR alone: %v, %v", r, err)
	}
	read("83886080\n", "memory.max")
	if have := properties(t, b.scope(id), "MemoryMax"); have["MemoryMax"] != "83886080" {
		t.Errorf("systemd: %v", have)
	}
	b.must(mycr, "delete", "--force", id)
	b.nothingLeft()
}

// scope is the container's unit.
func (b *box) scope(id string) string {
	b.t.Helper()
	for element := range strings.SplitSeq(b.state(id).Cgroup, "/") {
		if strings.HasSuffix(element, ".scope") {
			return element
		}
	}
	b.t.Fatalf("%s has no scope: %s", id, b.state(id).Cgroup)
	return ""
}

// A process of exec can go into a cgroup below the container's, and not beside it.
func TestExecIntoCgroupBelow(t *testing.T) {
	b := newBox(t)
	id := b.start("below", testbed.Args("sleep", "1000"))
	cgroup := cgroupOf(t, b.state(id).Pid)
	if err := os.Mkdir(filepath.Join(cgroup, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if out := b.must(mycr, "exec", "--cgroup", "sub", id, "cat", "/proc/self/cgroup").Stdout; out != "0::/sub\n" {
		t.Errorf("%q", out)
	}
	if out := b.must(mycr, "exec", "--cgroup", "/../../sub", id, "cat", "/proc/self/cgroup").Stdout; out != "0::/sub\n" {
		t.Errorf("%q", out)
	}
	b.refused(255, "--cgroup nope: cgroup ", "exec", "--cgroup", "nope", id, "true")
	b.must(mycr, "delete", "--force", id)
	b.nothingLeft()
}

// The bundle may say what systemd is to set only where the caller trusts it.
func TestAnnotationsNeedTrust(t *testing.T) {
	b := newBox(t)
	dir := b.lab2(testbed.Args("sleep", "1000"), testbed.Set("annotations", map[string]string{"org.systemd.property.Description": "'from the bundle'"}))
	id := b.id("trust")
	b.refused(1, `annotations["org.systemd.property.Description"]`, "run", "-d", "-b", dir, id)
	b.must(mycr, "run", "-d", "--trust-annotations", "-b", dir, id)
	if have := properties(t, b.scope(id), "Description"); have["Description"] != "from the bundle" {
		t.Errorf("%v", have)
	}
	b.must(mycr, "delete", "--force", id)
	b.nothingLeft()
}
