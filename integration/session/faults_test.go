// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"mycr/integration/testbed"
)

// Of two creates of one id one wins, whoever it is, and the other says what runc says.
func TestTwoCreatesOfOneID(t *testing.T) {
	b := newBox(t)
	dir, id := b.lab2(testbed.Args("sleep", "1000")), b.id("race")
	var results [2]testbed.Result
	var both sync.WaitGroup
	for i := range results {
		both.Go(func() { results[i] = b.run(mycr, "create", "-b", dir, id) })
	}
	both.Wait()
	if results[0].Status > results[1].Status {
		results[0], results[1] = results[1], results[0]
	}
	if results[0].Status != 0 || results[1].Status != 1 || !strings.Contains(results[1].Stderr, "container with given ID already exists") {
		t.Errorf("%v\n%v", results[0], results[1])
	}
	if got := b.status(id); got != "created" {
		t.Errorf("status %q", got)
	}
	b.must(mycr, "delete", "--force", id)
	b.nothingLeft()
}

// A scope of the name that is another's is neither joined nor stopped.
func TestScopeOfAnotherStateDirectory(t *testing.T) {
	b := newBox(t)
	dir, id := b.lab2(testbed.Args("sleep", "1000")), b.id("same")
	first, second := filepath.Join(b.dir, "first"), filepath.Join(b.dir, "second")
	b.must(mycr, "--root", first, "run", "-d", "-b", dir, id)
	b.refused(1, "mycr-"+id+".scope exists already", "--root", second, "create", "-b", dir, id)
	b.must(mycr, "--root", first, "exec", id, "true")
	if out := b.must(mycr, "--root", second, "list", "-q").Stdout; out != "" {
		t.Errorf("left: %s", out)
	}
	b.must(mycr, "--root", first, "delete", "--force", id)
	b.nothingLeft()
}

func TestManyAtOnce(t *testing.T) {
	b := newBox(t)
	dir, prefix := b.lab2(testbed.Args("sleep", "1000")), b.id("many")
	n := 20 // 50 where there is time
	if os.Getenv("MYCR_ALL") != "" {
		n = 50
	}
	each := func(do func(id string) testbed.Result) {
		t.Helper()
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				if r := do(fmt.Sprintf("%s-%d", prefix, i)); r.Status != 0 {
					t.Errorf("%d: %v", i, r)
				}
			})
		}
		all.Wait()
	}
	each(func(id string) testbed.Result { return b.run(mycr, "run", "-d", "-b", dir, id) })
	found := map[string]bool{}
	for _, scope := range scopes() {
		if strings.HasPrefix(scope, "mycr-"+prefix) {
			found[scope] = true
		}
	}
	if len(found) != n {
		t.Errorf("%d containers have %d scopes", n, len(found))
	}
	each(func(id string) testbed.Result { return b.run(mycr, "delete", "--force", id) })
	b.nothingLeft()
}

// What goes away under a container is no error for delete.
func TestScopeStoppedByOthers(t *testing.T) {
	b := newBox(t)
	id := b.start("stopped", testbed.Args("sleep", "1000"))
	scope := b.scope(id)
	systemctl("kill", "-s", "KILL", scope) // sleep, as process 1, has no handler for what stop sends first
	if out, err := systemctl("stop", scope); err != nil && !strings.Contains(out, "not loaded") {
		t.Fatalf("%v: %s", err, out)
	}
	if got := b.status(id); got != "stopped" {
		t.Errorf("status %q", got)
	}
	b.must(mycr, "delete", id)
	b.nothingLeft()
}

// systemd dies while it makes the scope. It takes a machine of its own, in which nobody else's services
// end with it.
func TestManagerKilledMidCreate(t *testing.T) {
	b := newBox(t)
	if machine == "" {
		t.Skip("not in a machine of the tests: it kills the user's systemd")
	}
	pid := strings.TrimSpace(b.must("systemctl", "--user", "show", "-p", "MainPID", "--value", "init.scope").Stdout)
	if pid == "" || pid == "0" {
		pid = strings.TrimSpace(b.must("pgrep", "-u", fmt.Sprint(os.Getuid()), "-x", "-o", "systemd").Stdout)
	}
	b.must("kill", "-STOP", pid)
	cmd := exec.Command(mycr, "create", "-b", b.lab2(testbed.Args("sleep", "1000")), "killed")
	cmd.Dir = b.dir
	done := make(chan testbed.Result)
	go func() {
		r, err := testbed.Run(cmd)
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	b.must("sudo", "sh", "-c", "sleep 2; systemctl kill -s KILL user@"+fmt.Sprint(os.Getuid())+".service")
	r := <-done
	if r.Status != 1 || !strings.Contains(r.Stderr, "the systemd user manager of uid ") {
		t.Errorf("%v", r)
	}
	if out := b.must(mycr, "list", "-q").Stdout; out != "" {
		t.Errorf("left: %s", out)
	}
	b.must("sudo", "sh", "-c", fmt.Sprintf("systemctl reset-failed user@%[1]d.service; systemctl start user@%[1]d.service", os.Getuid()))
	exec.Command("busctl", "--user", "--no-pager", "list").Run()
	if r := b.must(mycr, "run", "-b", b.lab2(), "again"); r.Stdout != lab2Output {
		t.Errorf("%v", r)
	}
}
