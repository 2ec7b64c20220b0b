// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"mycr/linux"
)

// files are the descriptors from 3 on of a process that outlives us. What is
// missing is /dev/null, so that each has its number.
type files struct{ fds []int }

const firstHigh = 16 // copies are above all numbers of the child's

// add appends copies; -1 is /dev/null.
func (f *files) add(list ...int) error {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /dev/null: %w", err)
	}
	defer unix.Close(null)
	for _, fd := range list {
		if fd < 0 {
			fd = null
		}
		high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, firstHigh)
		if err != nil {
			return fmt.Errorf("duplicate descriptor %d: %w", fd, err)
		}
		f.fds = append(f.fds, high)
	}
	return nil
}

// config appends a sealed memfd with v.
func (f *files) config(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	fd, err := linux.SealedMemfd("mycr-network", data)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return f.add(fd)
}

func (f *files) close() {
	for _, fd := range f.fds {
		unix.Close(fd)
	}
}

// launch executes a program that shares nothing with the caller but its
// cgroup, its namespaces and these files: in a session of its own, in /, with
// /dev/null as standard streams (but stderr, if it is given) and without environment; it gains no privileges.
func launch(path string, argv []string, f *files, stderr int) (linux.Child, error) {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return linux.Child{}, fmt.Errorf("open /dev/null: %w", err)
	}
	defer unix.Close(null)
	p := linux.NewProgram()
	p.Call("start a session", unix.SYS_SETSID)
	p.Call("go to /", unix.SYS_CHDIR, "/")
	p.Call("gain no privileges", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	p.Call("clear the file mode mask", unix.SYS_UMASK, 0o077)
	for fd := range 3 {
		p.Call("open /dev/null", unix.SYS_DUP3, null, fd, 0)
		p.Tolerate(unix.EINVAL) // it is that one
	}
	if stderr >= 0 {
		p.Call("pass stderr", unix.SYS_DUP3, stderr, 2, 0)
	}
	for i, fd := range f.fds {
		p.Call("pass a descriptor", unix.SYS_DUP3, fd, 3+i, 0)
	}
	p.Call("close the caller's descriptors", unix.SYS_CLOSE_RANGE, 3+len(f.fds), ^uint32(0), unix.CLOSE_RANGE_CLOEXEC)
	p.Call("execute it", unix.SYS_EXECVE, path, p.Strings(argv), p.Strings(nil))
	return run(p)
}

// run clones a process for a program that ends in execve, and says why it does not.
func run(p *linux.Program) (linux.Child, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return linux.Child{}, fmt.Errorf("make a socket pair: %w", err)
	}
	defer unix.Close(pair[0])
	// The child's close_range must leave it open until execve: it is above the child's own numbers.
	status, err := unix.FcntlInt(uintptr(pair[1]), unix.F_DUPFD_CLOEXEC, firstHigh)
	unix.Close(pair[1])
	if err != nil {
		return linux.Child{}, err
	}
	child, err := linux.Clone(0, -1, p, status)
	unix.Close(status)
	if err != nil {
		return child, err
	}
	fault, err := linux.ReadReport(pair[0])
	if err != nil { // the end of the socket, which is execve's success
		return child, nil
	}
	unix.Close(child.PidFD)
	_, werr := linux.Wait(child.PID)
	return linux.Child{}, errors.Join(fmt.Errorf("%s: %w", p.What(fault.Step), fault.Errno), werr)
}
