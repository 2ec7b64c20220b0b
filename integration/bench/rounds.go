// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A row is one command of both runtimes, and of the floor where it has one.
type row struct {
	name              string
	target            float64 // the ratio that is asked for; 0: none
	mycr, crun, floor series
}

// A cost is a part of what a command takes, measured for itself.
type cost struct {
	name   string
	series series
}

// atOnce is how many containers the last row runs at the same time.
const atOnce = 8

// patience is how long a container may take to start or to end.
const patience = 20 * time.Second

func (b *bench) row(name string, target float64) *row {
	for _, r := range b.rows {
		if r.name == name {
			return r
		}
	}
	r := &row{name: name, target: target}
	b.rows = append(b.rows, r)
	return r
}

func (b *bench) cost(name string) *series {
	for _, c := range b.costs {
		if c.name == name {
			return &c.series
		}
	}
	c := &cost{name: name}
	b.costs = append(b.costs, c)
	return &c.series
}

// forget drops what was measured so far.
func (b *bench) forget() {
	b.rows, b.costs = nil, nil
}

// A step is something to measure and where that goes.
type step struct {
	into     *series
	commands [][]string
}

// turns measures the steps one after another, beginning with another one each
// round, so that none is always the one that comes after an expensive one.
func (b *bench) turns(round int, steps ...step) error {
	for i := range steps {
		s := steps[(i+round)%len(steps)]
		took, err := b.measure(s.commands...)
		if err != nil {
			return err
		}
		*s.into = append(*s.into, took)
	}
	return nil
}

// round measures everything once.
func (b *bench) round(i int) error {
	for _, one := range []struct {
		row   *row
		name  string
		count int
	}{
		{b.row("run, full id map", 0.70), "full", 1},
		{b.row("run, single id", 0.70), "single", 1},
	} {
		if err := b.runs(i, one.row, one.name, one.count); err != nil {
			return err
		}
	}
	if err := b.life(i); err != nil {
		return err
	}
	if err := b.runs(i, b.row(fmt.Sprintf("%d runs at once", atOnce), 0.50), "full", atOnce); err != nil {
		return err
	}
	return b.parts(i)
}

// runs measures `run`, count of them at the same time.
func (b *bench) runs(round int, r *row, bundle string, count int) error {
	steps := []step{{into: &r.mycr}, {into: &r.crun}, {into: &r.floor}}
	for n := range count {
		id := "r" + strconv.Itoa(n)
		steps[0].commands = append(steps[0].commands, b.mycr.command("run", "--bundle", b.bundle(&b.mycr, bundle), id))
		steps[1].commands = append(steps[1].commands, b.crun.command("run", "--bundle", b.bundle(&b.crun, bundle), id))
		steps[2].commands = append(steps[2].commands, b.floor(bundle == "single", "true"))
	}
	if !b.hasFloor {
		steps = steps[:2]
	}
	return b.turns(round, steps...)
}

// life measures the commands of a container's life, as an engine would give
// them: the program stays until it is killed.
func (b *bench) life(round int) error {
	const id = "life"
	both := [2]*runtime{&b.mycr, &b.crun}
	pidfds, pids := [2]int{-1, -1}, [2]int{}
	defer func() {
		for _, fd := range pidfds {
			if fd >= 0 {
				unix.Close(fd)
			}
		}
	}()
	for _, one := range []struct {
		row    *row
		words  func(*runtime) []string
		beyond func(which int) error // what follows, unmeasured
	}{
		{b.row("create", 0), func(r *runtime) []string {
			return []string{"create", "--bundle", b.bundle(r, "job"), "--pid-file", b.bundle(r, "pid"), id}
		}, func(which int) (err error) {
			pids[which], pidfds[which], err = openInit(b.bundle(both[which], "pid"))
			return err
		}},
		{b.row("start", 0), func(*runtime) []string { return []string{"start", id} }, func(which int) error {
			return waitForProgram(pids[which], pidfds[which])
		}},
		{b.row("exec", 0.50), func(*runtime) []string { return []string{"exec", id, "true"} }, nil},
		{b.row("state", 0.40), func(*runtime) []string { return []string{"state", id} }, nil},
		{b.row("kill", 0), func(*runtime) []string { return []string{"kill", id, "KILL"} }, func(which int) error {
			return waitFor(pidfds[which])
		}},
		{b.row("delete", 0), func(*runtime) []string { return []string{"delete", id} }, nil},
	} {
		steps := []step{
			{&one.row.mycr, [][]string{b.mycr.command(one.words(&b.mycr)...)}},
			{&one.row.crun, [][]string{b.crun.command(one.words(&b.crun)...)}},
		}
		if err := b.turns(round, steps...); err != nil {
			return err
		}
		for which := range both {
			if one.beyond == nil {
				break
			}
			if err := one.beyond(which); err != nil {
				return err
			}
		}
	}
	return nil
}

func openInit(pidFile string) (pid, pidfd int, err error) {
	text, err := os.ReadFile(pidFile)
	if err != nil {
		return 0, -1, err
	}
	if pid, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
		return 0, -1, fmt.Errorf("%s: %w", pidFile, err)
	}
	pidfd, err = unix.PidfdOpen(pid, 0)
	return pid, pidfd, err
}

// waitForProgram waits until init has become the job: `start` may end before,
// and crun's exec can fail until then.
func waitForProgram(pid, pidfd int) error {
	path := fmt.Sprintf("/proc/%d/comm", pid)
	for deadline := time.Now().Add(patience); ; {
		name, err := os.ReadFile(path)
		if err != nil || string(name) == "sleep\n" {
			return err
		}
		// Nothing tells of an execve; the end would be told.
		ended, err := ends(pidfd, time.Millisecond)
		switch {
		case err != nil:
			return err
		case ended:
			return errors.New("a container that was started has ended")
		case time.Now().After(deadline):
			return fmt.Errorf("a container that was started is still %q", strings.TrimSpace(string(name)))
		}
	}
}

func waitFor(pidfd int) error {
	ended, err := ends(pidfd, patience)
	if err == nil && !ended {
		err = errors.New("a container that was killed lives on")
	}
	return err
}

// ends waits for the end of a process, but no longer than limit.
func ends(pidfd int, limit time.Duration) (bool, error) {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(limit.Milliseconds()))
		if err != unix.EINTR {
			return n > 0, err
		}
	}
}

// parts measures what the commands are made of.
func (b *bench) parts(round int) error {
	var steps []step
	add := func(name string, commands ...[]string) {
		steps = append(steps, step{b.cost(name), commands})
	}
	if b.hasFloor {
		add("a C program that does nothing", []string{b.at("bare-c")})
	}
	add("a Go program that does nothing", []string{b.at("bare-go")})
	add("mycr --version", b.mycr.command("--version"))
	add("crun --version", b.crun.command("--version"))

	// The helpers write a map once for each user namespace.
	var holders [2]int
	for i := range holders {
		pid, err := b.holdNamespace()
		if err != nil {
			return fmt.Errorf("a user namespace to map: %w", err)
		}
		holders[i] = pid
		defer func() {
			syscall.Kill(pid, syscall.SIGKILL)
			wait(pid, new(syscall.WaitStatus), nil)
		}()
	}
	helper := func(program string, pid int) []string {
		own := strconv.Itoa(os.Getuid())
		return []string{"/usr/bin/" + program, strconv.Itoa(pid), "0", own, "1", "1", b.sub[0], b.sub[1]}
	}
	add("newuidmap", helper("newuidmap", holders[0]))
	add("newuidmap and newgidmap at once", helper("newuidmap", holders[1]), helper("newgidmap", holders[1]))
	return b.turns(round, steps...)
}

// holdNamespace starts a process in a user namespace without a map.
func (b *bench) holdNamespace() (int, error) {
	argv := []string{"/usr/bin/sleep", "1000"}
	null := b.null.Fd()
	return syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{Files: []uintptr{null, null, null},
		Sys: &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, Pdeathsig: syscall.SIGKILL}})
}

// compareWork fails where one of the programs does less than the others: its
// container has less mounts, or another map.
func (b *bench) compareWork() error {
	for _, bundle := range []string{"full", "single"} {
		seen := map[string]int{}
		var maps []string
		commands := map[string][]string{
			"mycr": b.mycr.command("run", "--bundle", b.bundle(&b.mycr, "look-"+bundle), "look"),
			"crun": b.crun.command("run", "--bundle", b.bundle(&b.crun, "look-"+bundle), "look"),
		}
		if b.hasFloor {
			commands["floor"] = b.floor(bundle == "single", look...)
		}
		for name, argv := range commands {
			out, err := b.output(argv...)
			if err != nil {
				return err
			}
			var mapped []string
			for line := range strings.Lines(out) {
				if fields := strings.Fields(line); len(fields) == 3 {
					mapped = append(mapped, strings.Join(fields, ":"))
				} else {
					seen[name]++
				}
			}
			maps = append(maps, strings.Join(mapped, " "))
		}
		if len(slices.Compact(slices.Clone(maps))) != 1 {
			return fmt.Errorf("not the same map in all: %q", maps)
		}
		fmt.Printf("%s: map %s; mounts in the container: mycr %d, crun %d", bundle, maps[0], seen["mycr"], seen["crun"])
		if b.hasFloor {
			fmt.Printf(", floor %d", seen["floor"])
		}
		fmt.Println()
	}
	return nil
}

// nothingLeft fails where a runtime left a container's state.
func (b *bench) nothingLeft() error {
	for _, r := range []*runtime{&b.mycr, &b.crun} {
		out, err := b.output(r.command("list", "-q")...)
		if err != nil {
			return err
		}
		if out != "" {
			return fmt.Errorf("%s left containers: %s", r.name, strings.Join(strings.Fields(out), " "))
		}
	}
	return nil
}

// clean ends what an error left behind.
func (b *bench) clean() {
	for _, r := range []*runtime{&b.mycr, &b.crun} {
		out, _ := b.output(r.command("list", "-q")...)
		for _, id := range strings.Fields(out) {
			b.output(r.command("delete", "--force", id)...)
		}
		os.RemoveAll(filepath.Join(b.home, r.name+"-pid"))
	}
}
