// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strconv"

	"golang.org/x/sys/unix"

	"mycr/cgroupdelegate"
	"mycr/linux"
)

// The container's processes are those in its cgroup; without one they are those in a namespace that was
// made for it: its pid namespace, else its user namespace, else its mount
// namespace.

// mark returns the kind and inode of the namespace that tells its members.
func (r *Record) mark() (kind string, inode uint64) {
	for _, kind := range [3]string{"pid", "user", "mnt"} {
		if r.Made[kind] != 0 {
			return kind, r.Made[kind]
		}
	}
	return "", 0
}

// Pids returns the container's processes, init first, as this process has them.
func (c *Container) Pids() ([]int, error) {
	cgroup, err := c.cgroup()
	if err != nil {
		return nil, err
	}
	var pids []int
	if cgroup != nil {
		defer cgroup.Close()
		if pids, err = cgroup.Pids(); err != nil {
			return nil, err
		}
		pids = slices.DeleteFunc(pids, func(pid int) bool { return pid == 0 }) // of a pid namespace that we do not see
	} else if pids, err = c.namespacePids(); err != nil {
		return nil, err
	}
	sort.SliceStable(pids, func(i, j int) bool { return pids[i] == c.record.PID && pids[j] != c.record.PID })
	return pids, nil
}

// namespacePids finds the processes by the namespace that was made for them.
func (c *Container) namespacePids() ([]int, error) {
	if !c.record.alive() && !c.record.SharedPID {
		return nil, nil
	}
	kind, inode := c.record.mark()
	if kind == "" || c.record.BootID != bootID() {
		if c.record.alive() {
			return []int{c.record.PID}, nil
		}
		return nil, nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("read /proc: %w", err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if isMember(pid, kind, inode) {
			pids = append(pids, pid)
		}
	}
	if !c.record.alive() {
		return c.ours(pids), nil
	}
	return pids, nil
}

func isMember(pid int, kind string, inode uint64) bool {
	return namespaceInode(pid, kind) == inode // which is not 0
}

// has tells whether a process is the container's.
func (c *Container) has(pid int) bool {
	if upper := c.record.Cgroup.Limits; upper != "" {
		now, err := cgroupdelegate.OfProcess(strconv.Itoa(pid))
		return err == nil && cgroupdelegate.Within(now, upper)
	}
	kind, inode := c.record.mark()
	return kind == "" || isMember(pid, kind, inode)
}

// signalMember sends a signal to a process that still is a member when its
// pidfd has pinned it.
func (c *Container) signalMember(pid int, signal unix.Signal) error {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(pidfd)
	if !c.has(pid) {
		return nil
	}
	if err := unix.PidfdSendSignal(pidfd, signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("send %s to process %d: %w", unix.SignalName(signal), pid, err)
	}
	return nil
}

// end kills the container's processes, waits until none is left, and removes
// their cgroup. Without one, the end of a pid namespace's init is the end of all in it; where the pid namespace
// is another's, members are killed until two scans find none.
func (c *Container) end() error {
	pidfd, err := c.record.open()
	if err == nil {
		err = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
		if err == nil || errors.Is(err, unix.ESRCH) {
			err = waitPidfd(pidfd)
		}
		unix.Close(pidfd)
	} else if errors.Is(err, ErrNotRunning) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("kill process %d: %w", c.record.PID, err)
	}
	if n := c.record.Network; n != nil && c.record.BootID == bootID() {
		if err := n.End(); err != nil {
			return err
		}
	}
	if c.record.Cgroup.HasCgroup() {
		return c.record.Cgroup.Remove(removeForeign)
	}
	if !c.record.SharedPID {
		return nil
	}
	for empty := 0; empty < 2; {
		pids, err := c.Pids()
		if err != nil {
			return err
		}
		if len(pids) == 0 {
			empty++
			continue
		}
		empty = 0
		for _, pid := range pids {
			if err := c.endMember(pid); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Container) endMember(pid int) error {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil // gone
	}
	defer unix.Close(pidfd)
	if err := c.signalMember(pid, unix.SIGKILL); err != nil {
		return err
	}
	return waitPidfd(pidfd)
}

// patience is how long a killed process may take to end, in milliseconds; runc
// waits as long. The first process of a pid namespace ends after all others in
// it have been reaped, also those that exec started and its caller has not.
const patience = 10_000

// waitPidfd waits until a killed process has ended.
func waitPidfd(pidfd int) error {
	n, err := linux.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, patience)
	if err == nil && n == 0 {
		return fmt.Errorf("killed, but not gone after %d s: is there a process of `exec` that its parent does not wait for, or a device or file system that hangs?", patience/1000)
	}
	return err
}

// dropped tells whether the kernel drops a signal because the process is the
// first of its pid namespace and has no handler for it (pid_namespaces(7)).
func dropped(pid int, signal unix.Signal) bool {
	if signal == unix.SIGKILL || signal == unix.SIGSTOP || signal <= 0 {
		return false
	}
	b, err := linux.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	first, caught := false, false
	for line := range bytes.SplitSeq(b, []byte{'\n'}) {
		key, value, _ := bytes.Cut(line, []byte(":\t"))
		switch string(key) {
		case "NSpid":
			fields := bytes.Fields(value)
			first = len(fields) > 1 && string(fields[len(fields)-1]) == "1"
		case "SigCgt", "SigBlk": // a blocked one waits, whether it will be caught or not
			mask, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 16, 64)
			caught = caught || err != nil || mask&(1<<(signal-1)) != 0
		}
	}
	return first && !caught && !waitsForSignals(pid)
}

// waitsForSignals tells whether a process is in sigtimedwait(2), as small inits
// are: the kernel shows the signals that it waits for as not blocked then.
func waitsForSignals(pid int) bool {
	b, err := linux.ReadFile(fmt.Sprintf("/proc/%d/wchan", pid))
	return err == nil && bytes.Contains(b, []byte("sigtimedwait"))
}

// recover finds the container's init where state.json cannot be read: what
// exec needs says who it is as well.
func (c *Container) recover() {
	b, err := c.dir.read(execName)
	if err != nil {
		return
	}
	var base execBase
	if unmarshal(b, &base) == nil && base.Version == recordVersion {
		c.record = base.Init
	}
}
