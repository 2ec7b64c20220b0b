// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/process"
)

// order is what a test asks of the process that makes a container's file system.
type order struct {
	Spec   specs.Spec
	Bundle string
	Facts  Facts
	Hook   string // shell command between Mount and Pivot, in the namespaces of the container
	Script string // shell command inside
	Go     string // name of a step of childStep between Pivot and Finish
	Given  int    // descriptors from 4 on, of OpenInParent
}

// childStep is what a test runs in the child between Pivot and Finish, by name.
func childStep(name string, tree *Tree) error {
	switch name {
	case "sysctl":
		return writeSysctl(tree)
	case "terminal":
		return terminal(tree)
	}
	return fmt.Errorf("no step %q", name)
}

func TestMain(m *testing.M) {
	if os.Getenv("MYCR_ROOTFS_CHILD") == "" {
		os.Exit(m.Run())
	}
	os.Unsetenv("MYCR_ROOTFS_CHILD")
	runtime.LockOSThread()
	var o order
	err := json.NewDecoder(os.NewFile(3, "order")).Decode(&o)
	if err == nil {
		err = child(&o)
	}
	fmt.Fprintf(os.Stderr, "FAULT %v\n", err)
	var hint interface{ Hint() string }
	if errors.As(err, &hint) {
		fmt.Fprintf(os.Stderr, "HINT %s\n", hint.Hint())
	}
	os.Exit(1)
}

func child(o *order) error {
	plan, err := Resolve(&o.Spec, o.Bundle, o.Facts)
	if err != nil {
		return err
	}
	tree := plan.Tree()
	if o.Given > 0 {
		fds := make([]int, o.Given)
		for i := range fds {
			fds[i] = 4 + i
		}
		tree.FromParent(fds)
	}
	start := time.Now()
	var took [5]time.Duration
	lap := func(i int) { took[i] = time.Since(start); start = time.Now() }
	if err := tree.Prepare(); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	lap(0)
	if err := tree.Mount(); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	lap(1)
	if o.Hook != "" {
		cmd := exec.Command("/bin/sh", "-ec", o.Hook)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.Dir = o.Bundle
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("hook: %w", err)
		}
	}
	start = time.Now()
	if err := tree.Pivot(); err != nil {
		return fmt.Errorf("pivot: %w", err)
	}
	lap(2)
	if o.Go != "" {
		if err := childStep(o.Go, tree); err != nil {
			return err
		}
	}
	start = time.Now()
	if err := tree.Finish(); err != nil {
		return fmt.Errorf("finish: %w", err)
	}
	lap(3)
	if o.Script == "TIMES" {
		fmt.Printf("%d %d %d %d\n", took[0].Microseconds(), took[1].Microseconds(), took[2].Microseconds(), took[3].Microseconds())
		os.Exit(0)
	}
	for _, n := range append(plan.Notes, tree.Notes...) {
		fmt.Fprintln(os.Stderr, "NOTE", n)
	}
	tree.Close()
	return unix.Exec("/bin/busybox", []string{"sh", "-c", o.Script}, []string{"PATH=/bin", "TERM=xterm"})
}

// namespaces of runc's default bundle.
const allNamespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUTS | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP

// facts gives those that belong to a set of CLONE_NEW* flags.
func facts(flags uintptr) Facts {
	user := flags&unix.CLONE_NEWUSER != 0
	f := Facts{
		UserNamespace: user, NewUserNamespace: user, Privileged: os.Geteuid() == 0 && os.Getenv("MYCR_ROOTFS_OUTER") == "",
		OwnNetwork: flags&unix.CLONE_NEWNET != 0, OwnCgroup: flags&unix.CLONE_NEWCGROUP != 0,
		OwnIPC: flags&unix.CLONE_NEWIPC != 0, OwnPID: flags&unix.CLONE_NEWPID != 0, OwnMount: true,
		Kcore: true,
	}
	if user {
		f.MappedUIDs, f.MappedGIDs = []Map{{0, uint32(os.Getuid()), 1}}, []Map{{0, uint32(os.Getgid()), 1}}
	}
	return f
}

// run makes the container in new namespaces, and gives what it printed on both streams.
func run(t testing.TB, flags uintptr, o order) (string, error) {
	t.Helper()
	var files []*os.File
	if plan, err := Resolve(&o.Spec, o.Bundle, o.Facts); err == nil && plan.InParent > 0 {
		fds, err := plan.OpenInParent(-1)
		if err != nil {
			return "FAULT " + err.Error(), err
		}
		for _, fd := range fds {
			file := os.NewFile(uintptr(fd), "mount")
			defer file.Close()
			files = append(files, file)
		}
		o.Given = len(fds)
	}
	dir := t.TempDir()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "order")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "MYCR_ROOTFS_CHILD=1")
	cmd.ExtraFiles = append([]*os.File{file}, files...)
	runtime.LockOSThread() // whose end is the child's
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	if flags&unix.CLONE_NEWUSER != 0 {
		f := o.Facts
		cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = sysMaps(f.MappedUIDs), sysMaps(f.MappedGIDs)
		cmd.SysProcAttr.Credential = &syscall.Credential{NoSetGroups: true}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

// needNamespaces skips where the machine has no user namespaces.
func needNamespaces(t testing.TB) {
	t.Helper()
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS}
	if err := cmd.Run(); err != nil {
		t.Skipf("no user namespaces: %v", err)
	}
	if _, err := os.Stat("/bin/busybox"); err != nil {
		t.Skip("no busybox")
	}
}

// bundle makes a directory with a rootfs of busybox.
func bundle(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"bin", "proc", "sys", "dev", "etc", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, "rootfs", d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Skip("no busybox")
	}
	if err := os.WriteFile(filepath.Join(dir, "rootfs/bin/busybox"), text, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, applet := range strings.Fields("sh ls cat stat mount mkdir touch echo readlink grep wc umount head sort id df") {
		if err := os.Symlink("busybox", filepath.Join(dir, "rootfs/bin", applet)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// captured reads a config.json of testdata.
func captured(t testing.TB, name string) specs.Spec {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var spec specs.Spec
	if err := json.Unmarshal(text, &spec); err != nil {
		t.Fatal(err)
	}
	return spec
}

func writeSysctl(tree *Tree) error {
	proc, err := tree.OpenProc()
	if err != nil {
		return err
	}
	defer closeFD(proc)
	fd, err := OpenBelow(proc, "sys/net/ipv4/ip_forward", unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	_, err = unix.Write(fd, []byte("1"))
	return err
}

func terminal(tree *Tree) error {
	pts, err := tree.Pts()
	if err != nil {
		return err
	}
	defer closeFD(pts)
	t, err := process.OpenTerminal(pts, nil, 0)
	if err != nil {
		return err
	}
	fmt.Printf("terminal /dev/pts/%d\n", t.Number)
	if err := tree.Console(t.Slave); err != nil {
		return err
	}
	_, err = unix.Write(t.Master, []byte("x"))
	return err
}
