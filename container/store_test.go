// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/coldjson/plaintest"
	"mycr/linux"
)

func TestIDs(t *testing.T) {
	for _, id := range []string{"a", "+", "_", "a.b-c_d+e", "0", strings.Repeat("x", 255)} {
		if err := CheckID(id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	for _, id := range []string{"", ".", "..", "../x", "a/b", "a b", "é", "a\n", "a:b", "%s%n", "\x1b[31m", strings.Repeat("x", 256)} {
		if CheckID(id) == nil {
			t.Errorf("%q was taken", id)
		}
	}
}

// A state directory in which others could forge a state is refused.
func TestRootOfOthersIsRefused(t *testing.T) {
	base := t.TempDir()
	open := filepath.Join(base, "open")
	os.Mkdir(open, 0o700)
	os.Chmod(open, 0o777)
	link := filepath.Join(base, "link")
	os.Symlink(open, link)
	file := filepath.Join(base, "file")
	os.WriteFile(file, nil, 0o600)
	for _, path := range []string{open, link, file} {
		if _, err := OpenRoot(path); err == nil {
			t.Errorf("%s was taken", path)
		}
	}
	if _, err := OpenRoot(filepath.Join(base, "new", "deep")); err != nil {
		t.Error(err)
	}
}

func newContainer(t *testing.T) *Container {
	t.Helper()
	r, err := OpenRoot(filepath.Join(t.TempDir(), "root"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := r.makeDir("one")
	if err != nil {
		t.Fatal(err)
	}
	c := &Container{root: r, dir: d, record: Record{Version: recordVersion, ID: "one", Creating: true}}
	if err := c.writeRecord(); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRecordOfDeadMakerIsStoppedAndDeletable(t *testing.T) {
	c := newContainer(t)
	if _, err := c.root.makeDir("one"); !errors.Is(err, ErrExist) {
		t.Errorf("second maker: %v", err)
	}
	seen, err := c.root.Load("one")
	if err != nil {
		t.Fatal(err)
	}
	if s := seen.Status(); s != specs.StateCreating {
		t.Errorf("while its maker lives: %s", s)
	}
	c.Close()
	if s := seen.Status(); s != specs.StateStopped {
		t.Errorf("after its maker died: %s", s)
	}
	if _, err := c.root.Delete("one", false); err != nil {
		t.Error(err)
	}
	if _, err := c.root.Delete("one", false); !errors.Is(err, ErrNotExist) {
		t.Errorf("deleted twice: %v", err)
	}
	if _, err := c.root.Delete("one", true); err != nil {
		t.Errorf("force on nothing: %v", err)
	}
}

// Who looks while a container is being removed finds it, or finds none.
func TestLoadDuringDelete(t *testing.T) {
	c := newContainer(t) // and its lock
	if err := unix.Unlinkat(c.dir.fd, recordName, 0); err != nil {
		t.Fatal(err)
	}
	loaded := make(chan error)
	go func() {
		_, err := c.root.Load("one")
		loaded <- err
	}()
	select {
	case err := <-loaded:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := c.root.removeDir("one", c.dir); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := <-loaded; !errors.Is(err, ErrNotExist) {
		t.Error(err)
	}
}

// A cgroup that went with its last process is not one that the container never had.
func TestStatsOfAContainerThatHasJustEnded(t *testing.T) {
	c := newContainer(t)
	if _, err := c.Stats(); err == nil || errors.Is(err, ErrNotRunning) {
		t.Errorf("without a cgroup: %v", err)
	}
	c.record.Cgroup.Limits = "/mycr-was-here"
	if _, err := c.Stats(); !errors.Is(err, ErrNotRunning) {
		t.Error(err)
	}
}

func TestDamagedRecordsAreErrorsThatForceCleans(t *testing.T) {
	for _, text := range []string{"", "{", `{"version":99,"id":"one"}`, `{"version":1,"id":"other"}`} {
		c := newContainer(t)
		if err := c.dir.write(recordName, []byte(text)); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if _, err := c.root.Load("one"); err == nil {
			t.Errorf("%q was loaded", text)
		}
		if states, errs := c.root.List(); len(states) != 0 || len(errs) != 1 {
			t.Errorf("%q: list %v, %v", text, states, errs)
		}
		if _, err := c.root.Delete("one", false); err == nil {
			t.Errorf("%q was deleted without force", text)
		}
		if _, err := c.root.Delete("one", true); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A pid that another process has now is not the container's.
func TestUsedAgainPidIsNotTheContainer(t *testing.T) {
	_, start, err := linux.ProcessStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	r := Record{PID: os.Getpid(), StartTime: start, BootID: bootID()}
	if !r.alive() {
		t.Error("own process is not alive")
	}
	r.StartTime--
	if r.alive() {
		t.Error("another start time is alive")
	}
	if _, err := r.open(); !errors.Is(err, ErrNotRunning) {
		t.Errorf("opened: %v", err)
	}
	r.StartTime++
	r.BootID = "another"
	if r.alive() {
		t.Error("another boot is alive")
	}
}

func TestSysctlKeys(t *testing.T) {
	got := sysctls(map[string]string{"net.ipv4.ip_forward": "1", "net/ipv4/conf/eth0.1/forwarding": "0", "net.ipv4.conf.eth0/1.forwarding": "2"})
	for i, want := range []string{"net/ipv4/conf/eth0.1/forwarding", "net/ipv4/conf/eth0.1/forwarding", "net/ipv4/ip_forward"} {
		if got[i].Path != want {
			t.Errorf("%d: %s, want %s", i, got[i].Path, want)
		}
	}
}

func TestRecordIsPlainData(t *testing.T) {
	plaintest.Plain(t, new(Record))
	plaintest.Plain(t, new(State))
	plaintest.Plain(t, new(specs.State))
}
