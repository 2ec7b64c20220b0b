// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// otherDriver has a copy of mycr with another mycr-net beside it: text is a script, "" none at all.
func otherDriver(t *testing.T, text string, mode os.FileMode) (b *box, dir string) {
	t.Helper()
	needBed(t)
	b = newBox(t)
	if err := os.Mkdir(b.path("bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	b.runtime.path = b.path("bin", "mycr")
	if err := copyFile(mycr.path, b.runtime.path, 0o755); err != nil {
		t.Fatal(err)
	}
	if text != "" {
		if err := os.WriteFile(b.path("bin", "mycr-net"), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(b.path("bin", "mycr-net"), mode); err != nil {
			t.Fatal(err)
		}
	}
	return b, b.netBundle(args("sleep", "300"))
}

// wantFailure wants that create and run fail with words and leave nothing.
func (b *box) wantFailure(dir string, flags []string, words ...string) {
	b.t.Helper()
	for _, verb := range []string{"create", "run"} {
		r := b.run(append(append([]string{verb, "--network", "internal"}, flags...), "-b", dir, "n1")...)
		if r.status == 0 {
			b.t.Errorf("%s: no error: %v", verb, r)
			continue
		}
		oneErrorLine(b.t, r, words...)
		if left := b.leftovers(); len(left) > 0 {
			b.t.Errorf("%s: left behind: %v", verb, left)
			b.run("delete", "--force", "n1")
		}
	}
}

func TestNetworkDriverMissing(t *testing.T) {
	b, dir := otherDriver(t, "", 0)
	b.wantFailure(dir, nil, "mycr-net", b.path("bin"), "make build")
}

func TestNetworkDriverNotExecutable(t *testing.T) {
	b, dir := otherDriver(t, "#!/bin/sh\n", 0o644)
	b.wantFailure(dir, nil, "mycr-net", b.path("bin"))
}

func TestNetworkDriverNoProgram(t *testing.T) {
	b, dir := otherDriver(t, "\x7fELF no program", 0o755)
	b.wantFailure(dir, nil, "mycr-net")
}

// TestNetworkDriverOfOthers: where others can write no program is looked for.
func TestNetworkDriverOfOthers(t *testing.T) {
	b, dir := otherDriver(t, "#!/bin/sh\necho used >"+"/tmp/mycr-used-"+"$$\n", 0o755)
	if err := os.Chmod(b.path("bin"), 0o777); err != nil {
		t.Fatal(err)
	}
	b.snapshot()
	b.wantFailure(dir, nil, "mycr-net")
	if found, _ := filepath.Glob("/tmp/mycr-used-*"); len(found) > 0 {
		t.Errorf("it was started: %v", found)
		os.Remove(found[0])
	}
}

func TestNetworkDriverHangs(t *testing.T) {
	b, dir := otherDriver(t, "#!/bin/sh\nexec sleep 300\n", 0o755)
	begin := time.Now()
	b.wantFailure(dir, []string{"--network-timeout", "1s"}, "internal", "1s")
	if took := time.Since(begin); took < 2*time.Second { // create and run
		t.Errorf("the deadline was not waited for: %v", took)
	}
}

// TestNetworkDriverHangsWithSignals: one that does not want to end.
func TestNetworkDriverHangsWithSignals(t *testing.T) {
	b, dir := otherDriver(t, "#!/bin/sh\ntrap '' TERM INT HUP\nexec sleep 300\n", 0o755)
	b.wantFailure(dir, []string{"--network-timeout", "1s"}, "internal", "1s")
}

func TestNetworkDriverDiesAtStart(t *testing.T) {
	b, dir := otherDriver(t, "#!/bin/sh\necho 'these are my last words' >&2\nexit 3\n", 0o755)
	b.wantFailure(dir, nil, "internal", "these are my last words")
}

func TestNetworkDriverKilledAtStart(t *testing.T) {
	b, dir := otherDriver(t, "#!/bin/sh\nkill -SEGV $$\n", 0o755)
	b.wantFailure(dir, nil, "internal", "signal")
}

func TestNetworkDriverSaysNonsense(t *testing.T) {
	script := "#!/bin/sh\nfor fd in 3 4 5 6 7; do echo nonsense >&$fd; done 2>/dev/null\nexit 0\n"
	b, dir := otherDriver(t, script, 0o755)
	b.wantFailure(dir, nil, "internal")
}

// TestNetworkDriverOfAnotherBuild: the versions have to match.
func TestNetworkDriverOfAnotherBuild(t *testing.T) {
	real := filepath.Join(filepath.Dir(mycr.path), "mycr-net")
	b, dir := otherDriver(t, "#!/bin/sh\nexec "+real+" another-version\n", 0o755)
	b.wantFailure(dir, nil, "version")
}

// TestNetworkNoDevice: no /dev/net/tun, or one that users may not open, is an error with a remedy. Drivers of others
// say what they say.
func TestNetworkNoDevice(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		for _, closed := range []bool{false, true} {
			b := newBox(t)
			dir := b.netBundle()
			t.Run(map[bool]string{false: "missing", true: "closed"}[closed], func(t *testing.T) {
				withoutDevice(t, closed)
				r := b.run("run", "--network", d.name, "-b", dir, "n1")
				if r.status == 0 {
					t.Fatalf("no error: %v", r)
				}
				oneErrorLine(t, r, "/dev/net/tun")
				if !strings.Contains(r.stderr, "hint: ") {
					t.Errorf("no remedy: %v", r)
				}
				b.nothingLeft()
			})
		}
	})
}

// TestNetworkAutoWithoutDevice: nothing works, so that run has no network and says so.
func TestNetworkAutoWithoutDevice(t *testing.T) {
	needBed(t)
	b := newBox(t)
	dir := b.netBundle(args("echo", "ran"))
	withoutDevice(t, false)
	r := b.run("run", "-b", dir, "n1")
	if r.status != 0 || r.stdout != "ran\n" || !strings.Contains(r.stderr, "/dev/net/tun") {
		t.Error(r)
	}
	b.nothingLeft()
}

// TestNetworkAutoTellsDriver: one line says which it is and how to have none.
func TestNetworkAutoTellsDriver(t *testing.T) {
	needBed(t)
	b := newBox(t)
	dir := b.netBundle(args("/bin/netprobe", "tcp allowed.test:7"))
	r := b.must("run", "-b", dir, "n1")
	if r.stdout != "ok\n" || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, "--network none") {
		t.Error(r)
	}
	b.nothingLeft()
	// create has none by default.
	b.must("create", "-b", dir, "n1")
	if s := b.network("n1"); s.Driver != "" && s.Driver != "none" {
		t.Errorf("create: %+v", s)
	}
	b.end()
}

// TestNetworkDriverDiesLater: the container lives on without a network, state says so, and delete leaves nothing.
func TestNetworkDriverDiesLater(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		b := serve(t, "--network", d.name)
		s := b.network("n1")
		if s.Status != "running" || s.Pid == 0 {
			t.Fatalf("%+v", s)
		}
		unix.Kill(s.Pid, unix.SIGKILL)
		wait(t, "state says that the network has ended", func() bool { return b.network("n1").Status == "ended" })
		if status := b.state("n1").Status; status != "running" {
			t.Errorf("the container is %s", status)
		}
		if r := b.must("exec", "n1", "/bin/netprobe", "tcp 127.0.0.1:7"); r.stdout != "ok\n" {
			t.Error(r)
		}
		b.end()
	})
}

// TestNetworkDriverStopped: who asks a stopped mycr-net is told so and does not hang, and delete leaves nothing.
func TestNetworkDriverStopped(t *testing.T) {
	needBed(t)
	b := newBox(t)
	dir := b.netBundle(args("sleep", "300"))
	b.must("run", "--detach", "--allow-host", "allowed.test", "-b", dir, "n1")
	pid := b.network("n1").Pid
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if refused := b.network("n1").Refused; len(refused) != 1 || !strings.HasPrefix(refused[0], "not known: ") || !strings.Contains(refused[0], "stopped") {
		t.Errorf("state: %q", refused)
	}
	oneErrorLine(t, b.run("port", "n1"), "mycr-net did not answer", "stopped")
	if err := unix.Kill(pid, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if refused := b.network("n1").Refused; len(refused) != 0 {
		t.Errorf("state of one that goes on: %q", refused)
	}
	unix.Kill(pid, unix.SIGSTOP)
	b.end()

	// Whoever waited for the container's end does not wait for the list for ever either.
	ended := make(chan result)
	go func() { ended <- b.run("run", "--allow-host", "allowed.test", "-b", dir, "n1") }()
	wait(t, "the container", func() bool { return strings.Contains(b.run("state", "n1").stdout, `"running"`) })
	unix.Kill(b.network("n1").Pid, unix.SIGSTOP)
	b.must("kill", "n1", "KILL")
	if r := <-ended; r.status != 137 || !strings.Contains(r.stderr, "what the network refused is not known") {
		t.Errorf("run: %v", r)
	}
	b.nothingLeft()
}

// TestNetworkEndsWithInit: the driver goes when init does, before any delete; so does it when init is killed.
func TestNetworkEndsWithInit(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		b := newBox(t)
		dir := b.netBundle(args("sleep", "300"))
		before := descendants()
		b.must("run", "--detach", "--network", d.name, "-b", dir, "n1")
		unix.Kill(b.state("n1").Pid, unix.SIGKILL)
		wait(t, "the end of all processes", func() bool {
			for pid := range descendants() {
				if _, old := before[pid]; !old {
					return false
				}
			}
			return true
		})
		b.must("delete", "n1")
		b.nothingLeft()
	})
}
