// SPDX-License-Identifier: Apache-2.0

package session

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mycr/integration/testbed"
)

// A box is one test's place. The state root, the session and its environment are the real ones.
type box struct {
	t      testing.TB
	dir    string
	before things
}

func newBox(t testing.TB) *box {
	t.Helper()
	if missing != "" {
		t.Skip(missing)
	}
	dir, err := os.MkdirTemp(scratch, "box-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b := &box{t: t, dir: dir, before: takeThings()}
	t.Cleanup(func() {
		b.before.KillNew()
		b.before.stopNewScopes()
		os.RemoveAll(dir)
	})
	return b
}

// id is a container's id that nobody else has.
func (b *box) id(name string) string {
	return name + "-" + strings.ToLower(rand.Text()[:6])
}

// lab2 makes the bundle of the tutorial's lab 2, the config.json of which is its own byte for byte unless edits are
// given, and gives its directory.
func (b *box) lab2(edits ...testbed.Edit) string {
	b.t.Helper()
	dir, err := os.MkdirTemp(b.dir, "lab2-")
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // for subordinate ids
		b.t.Fatal(err)
	}
	if err := template.Rootfs(filepath.Join(dir, "rootfs")); err != nil {
		b.t.Fatal(err)
	}
	if err := testbed.CopyFile("testdata/lab2.json", filepath.Join(dir, "config.json"), 0o644); err != nil {
		b.t.Fatal(err)
	}
	if len(edits) > 0 {
		if err := testbed.EditConfig(dir, edits...); err != nil {
			b.t.Fatal(err)
		}
	}
	return dir
}

// ownID maps one id, the caller's own, which takes no newuidmap.
func ownID() testbed.Edit { return testbed.IDs(os.Getuid(), os.Getgid(), 1) }

// subordinateIDs maps ids that are none of the caller's own.
func subordinateIDs(config map[string]any) { testbed.IDs(100000, 100000, 65536)(config) }

// run starts a program and waits for it.
func (b *box) run(program string, args ...string) testbed.Result {
	b.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = b.dir
	r, err := testbed.Run(cmd)
	if err != nil {
		b.t.Fatalf("%s: %v", strings.Join(cmd.Args, " "), err)
	}
	if r.Hung {
		b.t.Errorf("%s: hung; %v", strings.Join(cmd.Args, " "), r)
	}
	return r
}

// must is run, and fails the test when the status is not 0.
func (b *box) must(program string, args ...string) testbed.Result {
	b.t.Helper()
	r := b.run(program, args...)
	if r.Status != 0 || r.Hung {
		b.t.Fatalf("%s %s: %v", filepath.Base(program), strings.Join(args, " "), r)
	}
	return r
}

// nothingLeft fails the test when there is a process, mount, scope, cgroup or file of the runtime's state that was
// not there before the test.
func (b *box) nothingLeft() {
	b.t.Helper()
	for _, left := range b.before.leftovers() {
		b.t.Errorf("left behind: %s", left)
	}
}

// things are what a command may not leave behind.
type things struct {
	testbed.Snapshot
	scopes, cgroups []string
}

// stateRoots are where the runtimes of these tests keep their state.
func stateRoots() []string {
	run := os.Getenv("XDG_RUNTIME_DIR")
	if os.Geteuid() == 0 {
		run = "/run"
	}
	return []string{filepath.Join(run, "mycr"), filepath.Join(run, "crun")}
}

func takeThings() things {
	return things{testbed.TakeSnapshot(stateRoots()...), scopes(), cgroups()}
}

// leftovers gives systemd a moment: it removes a scope some time after its last process has ended.
func (before things) leftovers() []string {
	var left []string
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		left = nil
		for _, scope := range scopes() {
			if !slices.Contains(before.scopes, scope) {
				left = append(left, "scope "+scope)
			}
		}
		for _, cgroup := range cgroups() {
			if !slices.Contains(before.cgroups, cgroup) {
				left = append(left, "cgroup "+cgroup)
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			break
		}
	}
	for _, what := range before.Leftovers() {
		path, _, _ := strings.Cut(strings.TrimPrefix(what, "file "), " ")
		if !slices.Contains(stateRoots(), path) { // the empty root itself may stay
			left = append(left, what)
		}
	}
	return left
}

// stopNewScopes ends what a failed test left, so that it is not the next one's failure.
func (before things) stopNewScopes() {
	for _, scope := range scopes() {
		if !slices.Contains(before.scopes, scope) {
			systemctl("kill", "-s", "KILL", scope)
			systemctl("stop", scope)
			systemctl("reset-failed", scope)
		}
	}
}

func systemctl(args ...string) (string, error) {
	out, err := exec.Command("systemctl", append(slices.Clone(manager.flags), args...)...).CombinedOutput()
	return string(out), err
}

// scopes are the manager's, those that have failed among them. Sessions of other users come and go.
func scopes() []string {
	out, err := systemctl("list-units", "--all", "--plain", "--no-legend", "--no-pager", "--type=scope")
	if err != nil {
		panic(fmt.Sprintf("systemctl list-units: %v: %s", err, out))
	}
	var names []string
	for _, line := range strings.Split(out, "\n") {
		if fields := strings.Fields(line); len(fields) > 0 && !strings.HasPrefix(fields[0], "session-") {
			names = append(names, fields[0])
		}
	}
	return names
}

// cgroups are the directories in which a runtime that this process starts could make one. Slices apart: systemd keeps
// them.
func cgroups() []string {
	var paths []string
	top := filepath.Join("/sys/fs/cgroup", filepath.Dir(manager.cgroup))
	filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && !strings.HasSuffix(path, ".slice") {
			paths = append(paths, path)
		}
		return nil
	})
	return paths
}

// properties are those of a unit, as systemctl show prints them.
func properties(t testing.TB, unit string, names ...string) map[string]string {
	t.Helper()
	out, err := systemctl("show", "-p", strings.Join(names, ","), unit)
	if err != nil {
		t.Fatalf("systemctl show %s: %v: %s", unit, err, out)
	}
	values := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		name, value, _ := strings.Cut(line, "=")
		values[name] = value
	}
	return values
}

// cgroupOf is the directory of a process's cgroup.
func cgroupOf(t testing.TB, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, path, found := strings.Cut(strings.TrimSpace(string(text)), "0::")
	if !found {
		t.Fatalf("process %d has no cgroup of v2: %s", pid, text)
	}
	return filepath.Join("/sys/fs/cgroup", path)
}

// file is a file's content without the last newline.
func file(t testing.TB, elements ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(text), "\n")
}
