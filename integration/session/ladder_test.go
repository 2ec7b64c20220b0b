// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mycr/integration/testbed"
)

// as runs a shell's line as another user without a session, with an environment of its own.
func (b *box) as(user, environment, line string) testbed.Result {
	b.t.Helper()
	return b.run("sudo", "-u", user, "env", "-i", "PATH="+os.Getenv("PATH"), "sh", "-c", environment+" "+line)
}

// hint is the line to type.
func hint(t testing.TB, r testbed.Result) string {
	t.Helper()
	_, after, found := strings.Cut(r.Stderr, "\nhint: ")
	line, rest, _ := strings.Cut(after, "\n")
	if !found || rest != "" {
		t.Fatalf("no one line to type: %v", r)
	}
	return line
}

// cause is the first line of an error, without notes.
func cause(t testing.TB, r testbed.Result) string {
	t.Helper()
	for line := range strings.SplitSeq(r.Stderr, "\n") {
		if strings.HasPrefix(line, "mycr: ") && !strings.HasPrefix(line, "mycr: note: ") {
			return line
		}
	}
	t.Fatalf("no error: %v", r)
	return ""
}

func inMachine(t *testing.T) *box {
	t.Helper()
	b := newBox(t)
	if machine == "" {
		t.Skip("not in a machine of the tests: it changes the system")
	}
	return b
}

const allLimits = "linux.resources.pids.limit: 100; linux.resources.memory.limit: 134217728; linux.resources.cpu.shares: 512; linux.resources.cpu.quota: 50000: "

// A user without a session and without linger: the error names the limits and what is missing, and the hint, typed as
// it stands, mends it.
func TestNoSession(t *testing.T) {
	b := inMachine(t)
	line := fmt.Sprintf("cd %s && %s --root /tmp/guest run guest", b.lab2(), mycr)
	r := b.as("guest", "", line)
	want := "mycr: " + allLimits + "no systemd user manager for uid 1001: it has no login session and no linger, /run/user/1001 is missing " +
		"(/run/user/1001/bus: not there; /run/user/1001/systemd/private: not there)"
	if r.Status != 1 || cause(t, r) != want {
		t.Errorf("%v\nnot %s", r, want)
	}
	other := b.as("guest", "XDG_RUNTIME_DIR=/run/user/1000; export XDG_RUNTIME_DIR;", line)
	want = "mycr: " + allLimits + "XDG_RUNTIME_DIR=/run/user/1000 belongs to uid 1000, and this is uid 1001"
	if other.Status != 1 || cause(t, other) != want {
		t.Errorf("%v\nnot %s", other, want)
	}
	other = b.as("guest", "XDG_RUNTIME_DIR=/run/user/1000; export XDG_RUNTIME_DIR;", strings.Replace(line, "--root /tmp/guest", "", 1))
	if other.Status != 1 || hint(t, other) != "unset XDG_RUNTIME_DIR" {
		t.Errorf("%v", other)
	}
	// Without a limit nothing needs a manager, and state says so.
	free := b.as("guest", "", fmt.Sprintf("cd %s && %s --root /tmp/guest run -d free >/dev/null && %[2]s --root /tmp/guest state free; %[2]s --root /tmp/guest delete -f free",
		b.lab2(testbed.Unset("linux.resources"), testbed.Args("sleep", "1000")), mycr))
	if free.Status != 0 || !strings.Contains(free.Stdout, `"cgroup": "none"`) {
		t.Errorf("%v", free)
	}

	b.must("sh", "-c", hint(t, r))
	defer b.must("sh", "-c", "sudo loginctl disable-linger 1001; sudo systemctl stop user@1001.service; sudo rm -rf /tmp/guest")
	if r := b.as("guest", "", line); r.Status != 0 || r.Stdout != lab2Output {
		t.Errorf("after the hint: %v", r)
	}
}

// su(1) gives no session; the manager of one's own is found all the same.
func TestSuWithoutSession(t *testing.T) {
	b := inMachine(t)
	r := b.must("sudo", "su", "dev", "-c", fmt.Sprintf("env -i PATH=%s sh -c 'cd %s && %s run %s'", os.Getenv("PATH"), b.lab2(), mycr, b.id("su")))
	if r.Stdout != lab2Output {
		t.Errorf("%v", r)
	}
	r = b.must("sudo", "systemd-run", "--uid=1000", "--pipe", "--wait", "-q", "-p", "WorkingDirectory="+b.lab2(), mycr, "--root", "/tmp/cron", "run", b.id("cron"))
	if r.Stdout != lab2Output {
		t.Errorf("from a service of the system: %v", r)
	}
	b.must("rm", "-rf", "/tmp/cron")
}

// systemd's private socket is enough.
func TestNoBusDaemon(t *testing.T) {
	b := inMachine(t)
	bus := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "bus")
	b.must("systemctl", "--user", "stop", "dbus.socket", "dbus.service")
	os.Remove(bus)
	r := b.run(mycr, "run", "-b", b.lab2(), b.id("nobus"))
	b.must("systemctl", "--user", "start", "dbus.socket")
	if r.Stdout != lab2Output {
		t.Errorf("%v", r)
	}
	// And the bus alone, without a runtime directory.
	cmd := exec.Command(mycr, "--root", filepath.Join(b.dir, "root"), "run", "-b", b.lab2(), b.id("bus"))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "DBUS_SESSION_BUS_ADDRESS=unix:path=" + bus}
	if r, err := testbed.Run(cmd); err != nil || r.Stdout != lab2Output {
		t.Errorf("%v %v", r, err)
	}
}

// A controller that is not delegated: the error names it and the file, the hint gives it.
func TestControllerNotDelegated(t *testing.T) {
	b := inMachine(t)
	unit := fmt.Sprintf("user@%d.service", os.Getuid())
	b.must("sudo", "sh", "-c", "rm -r /etc/systemd/system/user@.service.d && systemctl daemon-reload && systemctl restart "+unit)
	dir := b.lab2(testbed.Set("linux.resources.cpu.cpus", "0"), testbed.Sh("cat /sys/fs/cgroup/cpuset.cpus"))
	r := b.run(mycr, "run", "-b", dir, b.id("cpuset"))
	file := "/sys/fs/cgroup/user.slice/user-1000.slice/" + unit + "/cgroup.controllers"
	want := "mycr: linux.resources.cpu.cpus: 0: the controller cpuset is not in " + file + " (cpu memory pids)"
	if r.Status != 1 || cause(t, r) != want {
		t.Errorf("%v\nnot %s", r, want)
	}
	b.must("sh", "-c", hint(t, r))
	exec.Command("busctl", "--user", "--no-pager", "list").Run()
	if r := b.run(mycr, "run", "-b", dir, b.id("cpuset")); r.Stdout != "0\n" {
		t.Errorf("after the hint: %v", r)
	}
}

// A service of the user's manager is not delegated: it gets a scope beside it.
func TestInService(t *testing.T) {
	b := newBox(t)
	dir := b.lab2(testbed.Sh("cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max; cat /proc/self/cgroup"))
	r := b.must("systemd-run", "--user", "--quiet", "--pipe", "--wait", "-p", "WorkingDirectory="+dir, mycr, "run", b.id("service"))
	if want := lab2Output + "0::/\n"; r.Stdout != want {
		t.Errorf("%v", r)
	}
	b.nothingLeft()
}

// In a delegated scope mycr and its ancestors step aside; a process of somebody else there is not moved, and the
// container gets a scope of its own.
func TestForeignProcessInDelegatedScope(t *testing.T) {
	b := newBox(t)
	dir := b.lab2(testbed.Args("sleep", "1000"))
	state := func(script string) string {
		t.Helper()
		id := b.id("foreign")
		r := b.must("systemd-run", "--user", "--quiet", "--scope", "-p", "Delegate=yes", "sh", "-c",
			fmt.Sprintf(script, mycr+" run -d -b "+dir+" "+id+" >/dev/null 2>&1; "+mycr+" state "+id+"; "+mycr+" delete -f "+id))
		return r.Stdout
	}
	if out := state("%s"); !strings.Contains(out, `"cgroup": "delegated /`) || !strings.Contains(out, "/run-") {
		t.Errorf("alone: %s", out)
	}
	if out := state("sleep 100 & %s; kill $!"); !strings.Contains(out, `"cgroup": "systemd /`) || strings.Contains(out, "/run-") {
		t.Errorf("not alone: %s", out)
	}
	b.nothingLeft()
}

// A network's driver and its keeper are the caller's: neither is in the way of limits below the caller's own cgroup,
// nor those of a container that runs already in the way of the next one's.
func TestNetworkInDelegatedScope(t *testing.T) {
	for _, driver := range []string{"pasta", "slirp4netns"} {
		t.Run(driver, func(t *testing.T) {
			b := newBox(t)
			if _, err := exec.LookPath(driver); err != nil {
				t.Skip(driver + " is missing")
			}
			network := testbed.Namespace("network", "")
			first := b.lab2(network, testbed.Args("sleep", "1000"))
			second := b.lab2(network, testbed.Sh("cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max; [ $(wc -l </proc/net/route) -gt 1 ] && echo routes"))
			id := b.id("first")
			run := mycr + " run --network " + driver
			r := b.run("systemd-run", "--user", "--quiet", "--scope", "-p", "Delegate=yes", "sh", "-ec",
				run+" -d -b "+first+" "+id+" </dev/null >/dev/null; "+
					mycr+" state "+id+" | grep -o '\"cgroup\": \"[a-z]*'; "+
					run+" -b "+second+" "+b.id("second")+"; "+
					mycr+" delete -f "+id)
			if strings.Contains(r.Stderr, "No external routable interface") {
				t.Skip("this pasta wants a host that has a way out, the machine has none")
			}
			if want := "\"cgroup\": \"delegated\n" + lab2Output + "routes\n"; r.Status != 0 || r.Stdout != want {
				t.Errorf("%v\nnot %q", r, want)
			}
			b.nothingLeft()
		})
	}
}
