// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mycr/integration/testbed"
)

// start makes a container of lab 2's limits that runs what edits say, and gives its id.
func (b *box) start(name string, edits ...testbed.Edit) string {
	b.t.Helper()
	id := b.id(name)
	b.must(mycr, "run", "--detach", "-b", b.lab2(edits...), id)
	b.t.Cleanup(func() { b.run(mycr, "delete", "--force", id) })
	return id
}

// shared is a directory of the host that the container has at /mnt, and the edit that gives it.
func (b *box) shared() (string, testbed.Edit) {
	dir := filepath.Join(b.dir, "shared")
	if err := unix.Mkdir(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	return dir, testbed.Mount("/mnt", "bind", dir, "rbind", "rw")
}

func (b *box) status(id string) string {
	b.t.Helper()
	return b.state(id).Status
}

type containerState struct {
	Pid            int
	Status, Cgroup string
}

func (b *box) state(id string) (s containerState) {
	b.t.Helper()
	if err := json.Unmarshal([]byte(b.must(mycr, "state", id).Stdout), &s); err != nil {
		b.t.Fatal(err)
	}
	return s
}

// refused runs what has to fail, and wants a text in the error.
func (b *box) refused(status int, text string, args ...string) {
	b.t.Helper()
	if r := b.run(mycr, args...); r.Status != status || !strings.Contains(r.Stderr, text) || r.Stdout != "" {
		b.t.Errorf("mycr %s: %v\nnot %d with %q", strings.Join(args, " "), r, status, text)
	}
}

// inside reads files in the container's /sys/fs/cgroup.
func (b *box) inside(id string, files ...string) string {
	b.t.Helper()
	args := []string{"exec", id, "cat"}
	for _, name := range files {
		args = append(args, "/sys/fs/cgroup/"+name)
	}
	return b.must(mycr, args...).Stdout
}

// A follower is a mycr that goes on and prints lines.
type follower struct {
	cmd   *exec.Cmd
	lines chan string // closed at the end of its output
}

func (b *box) follow(args ...string) *follower {
	b.t.Helper()
	f := &follower{cmd: exec.Command(mycr, args...), lines: make(chan string)}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := testbed.Start(f.cmd); err != nil {
		b.t.Fatal(err)
	}
	go func() {
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			f.lines <- scanner.Text()
		}
		close(f.lines)
	}()
	b.t.Cleanup(func() { f.cmd.Process.Kill() })
	return f
}

// next is the next line, "" at the end.
func (f *follower) next(t testing.TB) string {
	t.Helper()
	select {
	case line := <-f.lines:
		return line
	case <-time.After(testbed.Hang):
		t.Fatalf("%s: no line", strings.Join(f.cmd.Args, " "))
		return ""
	}
}

// end reads what is left and gives the exit status.
func (f *follower) end(t testing.TB) int {
	t.Helper()
	for f.next(t) != "" {
	}
	testbed.Finish(f.cmd)
	return testbed.ExitStatus(f.cmd.ProcessState)
}
