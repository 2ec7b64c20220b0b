// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Entry is the way of a new process into a running container's cgroup.
type Entry struct {
	Path string // where the process is to be, "" where the container has no cgroup
	FD   int    // for CLONE_INTO_CGROUP, or -1
	// Unit is set where only the manager may move the process (see Attach), Below is the path in
	// its cgroup.
	Unit, Below string

	group *Group
}

// Words name the place, for an error.
func (e *Entry) Words() string {
	if e.Path == "" {
		return "the caller's cgroup"
	}
	return "cgroup " + e.Path
}

// Enter decides where a process that joins goes, and how it gets there. sub is
// a path below the container's cgroup, "" for none; init is the pid of the
// container's init. The caller closes FD.
func (g *Group) Enter(init int, sub string) (Entry, error) {
	e := Entry{FD: -1, group: g}
	if g.Path == "" {
		if sub != "" {
			return e, &Refusal{Cause: fmt.Sprintf("--cgroup %s: the container has no cgroup of its own (%s)", sub, g)}
		}
		return e, nil
	}
	var err error
	if e.Path, err = g.place(init, sub); err != nil {
		return e, err
	}
	own, err := OfProcess("self")
	if err != nil {
		return e, err
	}
	if !mayMove(own, e.Path) && g.Unit != "" {
		e.Unit, e.Below = g.Unit, strings.TrimPrefix(e.Path, g.Limits)
		return e, nil
	}
	c, err := Open(e.Path)
	if err != nil {
		return e, err
	}
	e.FD = c.fd // the Cgroup is given up, its descriptor is the caller's
	return e, nil
}

// place is the container's cgroup or the one that is asked for below it. A
// cgroup that has given controllers to its children takes no process; then it
// is the one in which init is now.
func (g *Group) place(init int, sub string) (string, error) {
	name := g.Path
	if sub != "" {
		name = path.Join(g.Path, path.Clean("/"+sub))
	}
	c, err := Open(name)
	if err != nil {
		if sub != "" {
			err = fmt.Errorf("--cgroup %s: %w", sub, err)
		}
		return "", err
	}
	defer c.Close()
	given, err := c.Read("cgroup.subtree_control")
	if err != nil || given == "" || sub != "" {
		return name, err
	}
	now, err := OfProcess(strconv.Itoa(init))
	if err != nil {
		return "", err
	}
	if !Within(now, g.Path) {
		return "", fmt.Errorf("the container's init is in cgroup %s, outside of %s", now, g.Path)
	}
	return now, nil
}

// mayMove tells whether the kernel lets the caller move a process from one
// cgroup to another: it takes write access to cgroup.procs of their common
// ancestor (cgroups(7), delegation containment).
func mayMove(from, to string) bool {
	for !Within(to, from) {
		from = path.Dir(from)
	}
	if strings.HasPrefix(from, "/..") {
		return false
	}
	return unix.Faccessat(unix.AT_FDCWD, path.Join(MountPoint, from, "cgroup.procs"), unix.W_OK, unix.AT_EACCESS) == nil
}

// Attach has the manager move a process of the caller's own uid to its place.
func (e *Entry) Attach(pid int) error {
	b, err := e.group.dial()
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.attach(context.Background(), e.Unit, e.Below, []int{pid}); err != nil {
		return err
	}
	now, err := OfProcess(strconv.Itoa(pid))
	if err == nil && now != e.Path {
		err = errors.New("systemd moved the process to cgroup " + now + ", not to " + e.Path)
	}
	return err
}
