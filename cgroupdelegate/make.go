// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mycr/linux"
)

// Making is a plan being carried out. Its verbs come in the order Begin, Move
// (when the pid of the container's init is known), Settle; Undo takes all back.
type Making struct {
	plan  *Plan
	group Group
	cgrp  *Cgroup // of the processes, from Begin or Settle on

	dialled chan struct{} // closed when bus or refused is there
	bus     *bus
	refused error
	job     *job
}

// patience is how long systemd may take to answer a call and to end a job; runc waits as long.
const patience = 30 * time.Second

// Begin makes a cgroup that mycr makes by itself; a manager is called in the
// background meanwhile. With an error comes what is to be undone.
func (p *Plan) Begin() (*Making, error) {
	m := &Making{plan: p, group: Group{Manager: p.Mode, Devices: p.Devices, Exposed: p.Exposed}}
	switch p.Mode {
	case Systemd:
		m.dial()
	case Delegated, Cgroupfs:
		return m, m.makeDirectories()
	}
	return m, nil
}

// Group is what the record has of a plan before it is carried out: what delete
// has to look for after a mycr that died on the way. Its init died with it, so
// that there are directories at most; a scope without processes goes by itself.
func (p *Plan) Group() Group {
	g := Group{Manager: p.Mode}
	if p.Path != "" {
		g.Made = []string{p.Path}
		if p.Below != "" {
			g.Made = append(g.Made, path.Join(p.Path, p.Below))
		}
	}
	return g
}

// Group is what is to be stored, after Settle.
func (m *Making) Group() Group { return m.group }

// FD is the cgroup for CLONE_INTO_CGROUP, or -1.
func (m *Making) FD() int {
	if m.cgrp == nil {
		return -1
	}
	return m.cgrp.FD()
}

// Moves tells whether a manager moves the process when it is there.
func (m *Making) Moves() bool { return m.plan.Mode == Systemd }

// makeDirectories makes Path and Below with the limits in them.
func (m *Making) makeDirectories() error {
	if m.plan.Mode == Delegated {
		if err := stepAside(path.Dir(m.plan.Path)); err != nil {
			return err
		}
	}
	top, err := Open("/")
	if err != nil {
		return err
	}
	at, name := top, ""
	for _, part := range strings.Split(strings.Trim(m.plan.Path, "/"), "/") {
		name += "/" + part
		if err := at.enable(m.plan.Limits.Controllers); err != nil {
			return err
		}
		next, made, err := at.make(part)
		at.Close()
		if err != nil {
			return err
		}
		if made {
			m.group.Made = append(m.group.Made, name)
		}
		at = next
	}
	defer at.Close()
	if !slices.Contains(m.group.Made, m.plan.Path) {
		if busy, err := at.populated(); err != nil || busy {
			return errors.Join(err, fmt.Errorf("cgroup %s has processes already: container with given ID already exists", m.plan.Path))
		}
		m.group.Made = append(m.group.Made, m.plan.Path) // an empty one is taken over, and removed by delete
	}
	m.group.Limits, m.group.Path = m.plan.Path, path.Join(m.plan.Path, m.plan.Below)
	return m.inhabit(at)
}

// inhabit limits a cgroup and makes the one for the processes in it.
func (m *Making) inhabit(at *Cgroup) (err error) {
	if err := at.Apply(m.plan.Limits.Files); err != nil {
		return err
	}
	if m.plan.Filter {
		err := at.filterDevices(m.plan.Devices)
		if err != nil && !(m.plan.FilterMayFail && cannotFilter(err)) {
			return err
		}
		m.group.Exposed = m.plan.Exposed && err != nil
	}
	if m.plan.Below == "" {
		m.cgrp, err = at.Open("/")
		return err
	}
	m.cgrp, _, err = at.make(m.plan.Below)
	return err
}

// repeat writes the limits of the upper cgroup into the one of the processes,
// so that they can be read there. The upper one has no processes by then.
func (m *Making) repeat(at *Cgroup) error {
	if m.plan.Below == "" {
		return nil
	}
	if err := at.enable(m.plan.Limits.Controllers); err != nil {
		return err
	}
	return m.cgrp.Apply(m.plan.Limits.Files)
}

// make opens a cgroup below c, and makes it where it is missing.
func (c *Cgroup) make(name string) (below *Cgroup, made bool, err error) {
	err = unix.Mkdirat(c.fd, name, 0o755)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, false, fmt.Errorf("make cgroup %s: %w", path.Join(c.Path, name), err)
	}
	made = err == nil
	below, err = c.Open(name)
	return below, made, err
}

// enable gives the children of c all controllers that c has: those that no
// limit needs give the statistics, so one that cannot be given is only an error
// where it is needed.
func (c *Cgroup) enable(needed []string) error {
	have, err := c.controllers()
	if err != nil {
		return err
	}
	given, err := c.Read("cgroup.subtree_control")
	if err != nil {
		return err
	}
	var words []string
	for _, name := range have {
		if !slices.Contains(strings.Fields(given), name) {
			words = append(words, "+"+name)
		}
	}
	if len(words) == 0 {
		return nil
	}
	if err := c.Write("cgroup.subtree_control", strings.Join(words, " ")); err == nil {
		return nil
	}
	for _, word := range words {
		if err := c.Write("cgroup.subtree_control", word); err != nil && slices.Contains(needed, word[1:]) {
			return err
		}
	}
	return nil
}

// stepAside moves mycr, and those that were there before it, out of a delegated
// cgroup, so that it can have controllers for its children.
func stepAside(name string) error {
	c, err := Open(name)
	if err != nil {
		return err
	}
	defer c.Close()
	ours, _, err := residents(c)
	if err != nil || len(ours) == 0 {
		return err
	}
	aside, _, err := c.make(supervisor)
	if err != nil {
		return err
	}
	defer aside.Close()
	for _, pid := range ours {
		if err := aside.Write("cgroup.procs", strconv.Itoa(pid)); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// Apply writes files. Errors name the field of config.json and its value.
func (c *Cgroup) Apply(files []File) error {
	for i := range files {
		f := &files[i]
		for f.Else != nil && !c.Has(f.Name) {
			f = f.Else
		}
		err := c.Write(f.Name, f.Value)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) && !c.Has(f.Name) {
			have, _ := c.controllers()
			return fmt.Errorf("%s: cgroup %s has no file %s (its controllers: %s)", f.Field, c.Path, f.Name, strings.Join(have, " "))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.Field, err)
		}
	}
	return nil
}

// dial reaches the manager in the background.
func (m *Making) dial() {
	m.dialled = make(chan struct{})
	go func() {
		defer close(m.dialled)
		m.bus, m.refused = m.plan.Manager.dial(context.Background())
	}()
}

// Move asks the manager for the scope with the process in it, and does not wait.
func (m *Making) Move(pid int) error {
	if !m.Moves() {
		return nil
	}
	<-m.dialled
	if m.refused != nil {
		return m.giveUp(m.refused)
	}
	var err error
	if m.job, err = m.bus.start(context.Background(), m.plan.Scope, []int{pid}); err != nil {
		return m.giveUp(err)
	}
	return nil
}

// giveUp is for a manager that refuses: only where nothing was asked that
// needs a cgroup, the container runs without one.
func (m *Making) giveUp(err error) error {
	if !m.plan.Optional {
		return err
	}
	m.group = Group{Manager: None, Why: err.Error(), Exposed: m.plan.Exposed}
	return nil
}

// Settle waits until the process is in its cgroup, has the limits written
// there, and makes sure of it.
func (m *Making) Settle(pid int) error {
	switch {
	case m.group.Manager == None || m.group.Manager == Disabled:
		return nil
	case m.Moves():
		if err := m.settleScope(pid); err != nil || m.group.Manager == None {
			return err
		}
	default:
		at, err := Open(m.group.Limits)
		if err != nil {
			return err
		}
		defer at.Close()
		if err := m.repeat(at); err != nil {
			return err
		}
	}
	now, err := OfProcess(strconv.Itoa(pid))
	if err == nil && now != m.group.Path {
		err = fmt.Errorf("process %d is in cgroup %s, not in %s", pid, now, m.group.Path)
	}
	return err
}

// settleScope waits for the scope and takes the process to its place in it.
func (m *Making) settleScope(pid int) error {
	if err := m.job.wait(context.Background()); err != nil {
		return m.giveUp(err)
	}
	m.group.Unit, m.group.System = m.plan.Scope.Unit, m.plan.Manager.System
	now, err := OfProcess(strconv.Itoa(pid))
	if err != nil {
		return err
	}
	if path.Base(now) != m.plan.Scope.Unit {
		return m.giveUp(fmt.Errorf("systemd says that %s is there, but process %d is in cgroup %s", m.plan.Scope.Unit, pid, now))
	}
	m.group.Limits, m.group.Path = now, path.Join(now, m.plan.Below)
	at, err := Open(now)
	if err != nil {
		return err
	}
	defer at.Close()
	if err := m.inhabit(at); err != nil {
		return err
	}
	if m.plan.Below == "" {
		return nil
	}
	if err := m.cgrp.Write("cgroup.procs", strconv.Itoa(pid)); err != nil {
		return err
	}
	return m.repeat(at)
}

// Close gives descriptors and the connection back.
func (m *Making) Close() {
	if m.cgrp != nil {
		m.cgrp.Close()
		m.cgrp = nil
	}
	if m.dialled != nil {
		<-m.dialled
		if m.bus != nil {
			m.bus.close()
			m.bus = nil
		}
	}
}

// Undo removes what was made; the processes in it are killed.
//
// A scope that systemd did not report is not touched: it may be another's of
// the same name, and without its process it goes by itself.
func (m *Making) Undo(foreign Foreign) error {
	defer m.Close()
	if m.dialled != nil {
		<-m.dialled
	}
	return m.group.remove(m.bus, foreign)
}

// Give makes the cgroup of the processes somebody's: chown gets the directory
// and the names of what runtime-spec says is to change its owner. The mark lets
// a runtime inside know that it may make cgroups there.
func (m *Making) Give(chown func(dir int, names []string) error) error {
	names := []string{"."}
	list, err := linux.ReadFile("/sys/kernel/cgroup/delegate")
	if err != nil { // before Linux 4.15
		list = []byte("cgroup.procs\ncgroup.threads\ncgroup.subtree_control\n")
	}
	for _, name := range strings.Fields(string(list)) {
		if m.cgrp.Has(name) {
			names = append(names, name)
		}
	}
	if err := unix.Fsetxattr(m.cgrp.FD(), "user.delegate", []byte("1"), 0); err != nil {
		return fmt.Errorf("mark cgroup %s as delegated: %w", m.group.Path, err)
	}
	return chown(m.cgrp.FD(), names)
}
