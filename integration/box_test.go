// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mycr/integration/testbed"
)

// A box is one test's place: a runtime directory and bundles in a directory of its own.
type box struct {
	t       testing.TB
	runtime runtime
	dir     string
	env     []string
	before  snapshot
}

// newBox makes a box for mycr, or for r in a test that other runtimes are seen failing.
func newBox(t testing.TB, r ...runtime) *box {
	t.Helper()
	needBinary(t)
	b := &box{t: t, runtime: mycr}
	if len(r) > 0 {
		b.runtime = r[0]
	}
	var err error
	if b.dir, err = os.MkdirTemp(scratch, "box-"); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(b.path("run"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.env = []string{"XDG_RUNTIME_DIR=" + b.path("run"), "PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	b.before = takeSnapshot()
	t.Cleanup(func() {
		b.before.KillNew()
		forceRemove(b.dir)
	})
	return b
}

func (b *box) path(elements ...string) string {
	return filepath.Join(append([]string{b.dir}, elements...)...)
}

// bundle makes a bundle in the box and gives its directory.
func (b *box) bundle(name string, edits ...edit) string {
	b.t.Helper()
	dir := b.path(name)
	if err := makeBundle(b.runtime, dir, edits...); err != nil {
		b.t.Fatal(err)
	}
	return dir
}

// snapshot is to be taken after the bundles were made and before the first command.
func (b *box) snapshot() {
	b.before = takeSnapshot(b.dir)
}

// nothingLeft fails the test when something is there that the snapshot does not have. The empty state root may stay.
func (b *box) nothingLeft() {
	b.t.Helper()
	for _, left := range b.leftovers() {
		b.t.Errorf("left behind: %s", left)
	}
}

func (b *box) leftovers() []string {
	var left []string
	for _, what := range b.before.Leftovers() {
		if !isStateRoot(what, b.path("run")) {
			left = append(left, what)
		}
	}
	return left
}

// isStateRoot tells whether what is only the runtime's own root directory (and a lock file in it, if it has one).
func isStateRoot(what, run string) bool {
	path, _, _ := strings.Cut(strings.TrimPrefix(what, "file "), " ")
	for _, name := range []string{"mycr", "crun", "runc"} {
		if path == filepath.Join(run, name) {
			return true
		}
	}
	return false
}

// A result is what a command did.
type result struct {
	status         int // the exit status, or 128+signal
	stdout, stderr string
	hung           bool
}

func (r result) String() string {
	return fmt.Sprintf("status %d\nstdout: %s\nstderr: %s", r.status, r.stdout, r.stderr)
}

// command is the runtime's command line as a process, without its stdio.
func (b *box) command(args ...string) *exec.Cmd {
	words := append([]string{}, b.runtime.flags...)
	// The default root of a runtime that is started by root is the machine's.
	if os.Geteuid() == 0 {
		words = append(words, "--root", b.path("run", b.runtime.name))
	}
	cmd := exec.Command(b.runtime.path, append(words, args...)...)
	cmd.Env, cmd.Dir = b.env, b.dir
	return cmd
}

// run starts the runtime with args and waits for it.
func (b *box) run(args ...string) result {
	b.t.Helper()
	return b.wait(b.command(args...))
}

// must is run, and fails the test when the status is not 0.
func (b *box) must(args ...string) result {
	b.t.Helper()
	r := b.run(args...)
	if r.status != 0 || r.hung {
		b.t.Fatalf("%s %s: %v", b.runtime.name, strings.Join(args, " "), r)
	}
	return r
}

// wait runs cmd to its end. Its output goes to files, not to pipes: a container that outlives the command may hold it.
func (b *box) wait(cmd *exec.Cmd) result {
	b.t.Helper()
	r, err := waitFor(cmd)
	if err != nil {
		b.t.Fatalf("%s: %v", strings.Join(cmd.Args, " "), err)
	}
	if r.hung {
		b.t.Errorf("%s: hung; %v", strings.Join(cmd.Args, " "), r)
	}
	return r
}

func waitFor(cmd *exec.Cmd) (result, error) {
	r, err := testbed.Run(cmd)
	return result{r.Status, r.Stdout, r.Stderr, r.Hung}, err
}

// containerState is what the tests read of the runtime's state command.
type containerState struct {
	OCIVersion string `json:"ociVersion"`
	ID         string `json:"id"`
	Pid        int    `json:"pid"`
	Status     string `json:"status"`
	Bundle     string `json:"bundle"`
	Rootfs     string `json:"rootfs"`
	Created    string `json:"created"`
}

func (b *box) state(id string) containerState {
	b.t.Helper()
	r := b.must("state", id)
	var s containerState
	if err := json.Unmarshal([]byte(r.stdout), &s); err != nil {
		b.t.Fatalf("state %s: %v in %s", id, err, r.stdout)
	}
	return s
}

// oneErrorLine checks an error as users see it: one line that begins with the program's name, perhaps a hint after it.
func oneErrorLine(t testing.TB, r result, names ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimRight(r.stderr, "\n"), "\n")
	if !strings.HasPrefix(lines[0], "mycr: ") {
		t.Errorf("the error does not begin with \"mycr: \": %q", r.stderr)
	}
	for _, line := range lines[1:] {
		if !strings.HasPrefix(line, "hint: ") {
			t.Errorf("more than one line and no hint: %q", r.stderr)
		}
	}
	for _, name := range names {
		if !strings.Contains(strings.ToLower(r.stderr), strings.ToLower(name)) {
			t.Errorf("the error does not name %q: %q", name, r.stderr)
		}
	}
}
