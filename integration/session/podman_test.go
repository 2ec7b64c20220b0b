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

// image makes podman's image of the tests, once.
func (b *box) image() string {
	b.t.Helper()
	if _, err := exec.LookPath("podman"); err != nil {
		b.t.Skip("podman is missing")
	}
	exists := b.run("podman", "image", "exists", "mycr-test").Status == 0
	defer func() { b.before = takeThings() }() // podman's pause process is there now, and stays
	if exists {
		return "mycr-test"
	}
	b.must("tar", "-C", b.lab2()+"/rootfs", "-cf", b.dir+"/image.tar", ".")
	b.must("podman", "import", b.dir+"/image.tar", "mycr-test")
	return "mycr-test"
}

// podman starts podman with mycr as its runtime; scope is what goes before.
func (b *box) podman(scope []string, args ...string) testbed.Result {
	b.t.Helper()
	all := append(scope, "podman", "--runtime", mycr)
	return b.run("env", append(all, args...)...)
}

var delegatedScope = []string{"systemd-run", "--user", "--quiet", "--scope", "-p", "Delegate=yes"}

// The limits of podman's flags hold with each of its cgroup managers.
func TestPodman(t *testing.T) {
	b := newBox(t)
	image := b.image()
	const look = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max /sys/fs/cgroup/pids.max; cat /proc/self/cgroup"
	limits := []string{"--rm", "--network=none", "--memory", "128m", "--cpus", "0.5", "--pids-limit", "100", image, "sh", "-c", look}
	for name, c := range map[string]struct {
		scope []string
		args  []string
	}{
		"systemd":  {nil, []string{"--cgroup-manager=systemd", "run"}},
		"cgroupfs": {nil, []string{"--cgroup-manager=cgroupfs", "run"}},
		"split":    {delegatedScope, []string{"--cgroup-manager=systemd", "run", "--cgroups=split"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := b.podman(c.scope, append(c.args, limits...)...)
			if want := lab2Output + "100\n0::/\n"; r.Status != 0 || r.Stdout != want || r.Stderr != "" {
				t.Errorf("%v\nnot %q", r, want)
			}
		})
	}
	r := b.podman(nil, "run", "--rm", "--network=none", "--memory", "48m", image, "tail", "/dev/zero")
	if r.Status != 137 {
		t.Errorf("beyond the limit: %v", r)
	}
}

// A container's life, with podman's own words for it.
func TestPodmanLife(t *testing.T) {
	b := newBox(t)
	image := b.image()
	ok := func(want string, args ...string) {
		t.Helper()
		if r := b.podman(nil, args...); r.Status != 0 || !strings.Contains(r.Stdout, want) || r.Stderr != "" {
			t.Errorf("podman %s: %v", strings.Join(args, " "), r)
		}
	}
	name := b.id("life")
	ok("", "run", "-d", "--network=none", "--memory", "128m", "--name", name, image, "sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait")
	ok("0::/\n", "exec", name, "cat", "/proc/self/cgroup")
	ok("134.2MB", "stats", "--no-stream", name)
	ok("", "pause", name)
	ok("paused", "inspect", "--format", "{{.State.Status}}", name)
	ok("", "unpause", name)
	ok("sleep", "top", name) // which fails where a process ends meanwhile
	ok("", "update", "--memory", "200m", name)
	ok("209715200", "exec", name, "cat", "/sys/fs/cgroup/memory.max")
	ok("", "stop", "-t", "20", name)
	ok("", "rm", name)
	b.nothingLeft()
}

// Root of podman's user namespace is not root: the manager is the user's.
func TestInPodmansNamespace(t *testing.T) {
	b := newBox(t)
	b.image()
	dir := b.lab2()
	r := b.must("podman", "unshare", mycr, "--root", b.dir+"/root", "run", "-b", dir, b.id("inner"))
	if r.Stdout != lab2Output {
		t.Errorf("%v", r)
	}
}

// mycr in a container of mycr that has a writable cgroup makes its container's cgroup there.
func TestNested(t *testing.T) {
	b := newBox(t)
	outer := b.lab2(
		testbed.Mount("/sys/fs/cgroup", "cgroup", "cgroup", "rw"),
		testbed.Mount("/tmp", "tmpfs", "tmpfs"),
		testbed.Mount("/mnt", "bind", b.lab2(testbed.Sh("cat /sys/fs/cgroup/memory.max; cat /proc/self/cgroup"), testbed.Set("linux.resources", map[string]any{"memory": map[string]any{"limit": 67108864}})), "rbind"),
		testbed.Mount("/usr/bin", "bind", b.dir, "rbind", "ro"),
		testbed.Capabilities("CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETFCAP", "CAP_DAC_OVERRIDE",
			"CAP_CHOWN", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_ADMIN", "CAP_SYS_CHROOT", "CAP_KILL"),
		testbed.Namespace("network", ""),
		testbed.Sh("/usr/bin/mycr --root /tmp/r run -d -b /mnt inner; /usr/bin/mycr --root /tmp/r state inner | grep cgroup; /usr/bin/mycr --root /tmp/r delete -f inner; cat /proc/self/cgroup"),
	)
	if err := testbed.CopyFile(mycr, b.dir+"/mycr", 0o755); err != nil {
		t.Fatal(err)
	}
	r := b.run(mycr, "run", "-b", outer, b.id("outer"))
	if r.Status != 0 || !strings.Contains(r.Stdout, "67108864\n0::/\n") || !strings.Contains(r.Stdout, `"cgroup": "delegated /mycr-inner/container"`) ||
		!strings.HasSuffix(r.Stdout, "0::/supervisor\n") {
		t.Errorf("%v", r)
	}
	b.nothingLeft()
}

// As root, the filter of devices is the kernel's, with systemd's scope and without.
func TestRootDevices(t *testing.T) {
	b := newBox(t)
	if os.Geteuid() != 0 {
		t.Skip("for root")
	}
	disks, _ := filepath.Glob("/sys/class/block/*/dev")
	if len(disks) == 0 {
		t.Fatal("this machine has no disk")
	}
	number, err := os.ReadFile(disks[0])
	if err != nil {
		t.Fatal(err)
	}
	disk := strings.Replace(strings.TrimSpace(string(number)), ":", " ", 1)
	const look = "mknod /dev/fuse c 10 229 && (cat </dev/fuse) 2>&1 | grep -o 'not permitted'; mknod /dev/n c 1 3 && echo x >/dev/n && echo null"
	for _, managerFlag := range []string{"systemd", "cgroupfs"} {
		r := b.run(mycr, "--cgroup-manager", managerFlag, "run", "-b", b.lab2(
			testbed.Set("linux.resources.devices", []any{map[string]any{"allow": false, "access": "rwm"}, map[string]any{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}}),
			testbed.Capabilities("CAP_MKNOD", "CAP_DAC_OVERRIDE"),
			testbed.Sh("("+look+") 2>&1"),
		), b.id("devices"))
		if !strings.Contains(r.Stdout, "not permitted") || !strings.Contains(r.Stdout, "null\n") {
			t.Errorf("%s: %v", managerFlag, r)
		}
		// The container itself can make none, a process that joins can.
		id := b.id("joined")
		b.must(mycr, "--cgroup-manager", managerFlag, "run", "--detach", "-b", b.lab2(
			testbed.Set("linux.resources.devices", []any{map[string]any{"allow": false, "access": "rwm"}}),
			testbed.Capabilities(), testbed.Args("sleep", "300")), id)
		r = b.run(mycr, "exec", "--cap", "CAP_MKNOD", id, "sh", "-c", "mknod /dev/disk b "+disk+" && head -c 1 /dev/disk")
		if r.Status == 0 || !strings.Contains(r.Stderr, "/dev/disk: Operation not permitted") {
			t.Errorf("exec --cap CAP_MKNOD, %s: %v", managerFlag, r)
		}
		b.must(mycr, "delete", "--force", id)
	}
	b.nothingLeft()
}
