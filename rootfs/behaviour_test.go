// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestBehaviour(t *testing.T) {
	for where, flags := range situations(t) {
		for _, b := range behaviours {
			if b.only == "" || b.only == where {
				t.Run(where+"/"+b.name, func(t *testing.T) { b.run(t, flags) })
			}
		}
	}
}

func (b *behaviour) run(t *testing.T, flags uintptr) {
	dir := bundle(t)
	if b.prepare != nil {
		b.prepare(t, dir)
	}
	if b.flags != nil {
		flags = b.flags(flags)
	}
	spec := captured(t, "runc")
	spec.Process.Terminal = false
	if b.spec != nil {
		b.spec(&spec, dir)
	}
	f := facts(flags)
	var err error
	if f.SysEntries, err = gatherSys(); err != nil {
		t.Fatal(err)
	}
	if b.facts != nil {
		b.facts(&f)
	}
	out, err := run(t, flags, order{Spec: spec, Bundle: dir, Facts: f, Hook: b.hook, Script: b.script + "\necho END"})
	if b.fails {
		if err == nil || !strings.Contains(out, "FAULT") {
			t.Errorf("it works: %s", out)
		}
	} else if err != nil || !strings.Contains(out, "END\n") {
		t.Errorf("%v: %s", err, out)
	}
	for _, w := range b.want {
		if !strings.Contains(out, w) {
			t.Errorf("no %q in %s", w, out)
		}
	}
	for _, n := range b.never {
		if before, _, _ := strings.Cut(out, "END"); strings.Contains(before, n) {
			t.Errorf("%q in %s", n, out)
		}
	}
}

// The same tests as a user without any privilege.
func TestAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	if _, err := exec.Command("/usr/bin/id", "tester").Output(); err != nil {
		t.Skip("no user tester")
	}
	dir, err := os.MkdirTemp("", "rootfs")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/test", text, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir+"/testdata", os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir+"/tmp", 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir+"/tmp", 0o1777); err != nil {
		t.Fatal(err)
	}
	var id, gid int
	fmt.Sscan(output(t, "id", "-u", "tester"), &id)
	fmt.Sscan(output(t, "id", "-g", "tester"), &gid)
	cmd := exec.Command(filepath.Join(dir, "test"), "-test.run", "^(TestBehaviour|TestAttacks)$", "-test.v")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir + "/tmp"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(id), Gid: uint32(gid)}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("%v:\n%s", err, out)
	}
	if !strings.Contains(string(out), "--- PASS: TestBehaviour/user_namespace") {
		t.Errorf("nothing ran:\n%s", out)
	}
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
