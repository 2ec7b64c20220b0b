// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"mycr/coldjson"
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
	data, err := coldjson.Marshal(v)
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
	f.fds = nil
}

// program is the beginning of a process that shares nothing with the caller but its
// cgroup, its namespaces and these files: in a session of its own, in /, with
// /dev/null as standard streams (but stderr, if it is given); it gains no privileges.
func (f *files) program(stderr int) (*linux.Program, error) {
	if err := f.add(-1); err != nil {
		return nil, err
	}
	null := f.fds[len(f.fds)-1]
	p := linux.NewProgram()
	p.Call("start a session", unix.SYS_SETSID)
	p.Call("go to /", unix.SYS_CHDIR, "/")
	p.Call("gain no privileges", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	p.Call("clear the file mode mask", unix.SYS_UMASK, 0o077)
	for fd := range 3 {
		p.Call("open /dev/null", unix.SYS_DUP3, null, fd, 0)
	}
	if stderr >= 0 {
		p.Call("pass stderr", unix.SYS_DUP3, stderr, 2, 0)
	}
	for i, fd := range f.fds[:len(f.fds)-1] {
		p.Call("pass a descriptor", unix.SYS_DUP3, fd, 3+i, 0)
	}
	return p, nil
}

// launch executes a program of Go's so, without environment but for its runtime: it has one processor from the beginning
// (see mycr-net's main).
func launch(path string, argv []string, f *files, stderr int) (linux.Child, error) {
	passed := len(f.fds)
	p, err := f.program(stderr)
	if err != nil {
		return linux.Child{}, err
	}
	p.Call("close the caller's descriptors", unix.SYS_CLOSE_RANGE, 3+passed, ^uint32(0), unix.CLOSE_RANGE_CLOEXEC)
	p.Call("execute it", unix.SYS_EXECVE, path, p.Strings(argv), p.Strings([]string{"GOMAXPROCS=1"}))
	status, err := f.socket()
	if err != nil {
		return linux.Child{}, err
	}
	defer unix.Close(status[0])
	child, err := linux.Clone(0, -1, p, status[1])
	f.close() // our copy of the socket's other end is among them
	if err != nil {
		return child, err
	}
	fault, err := linux.ReadReport(status[0])
	if err != nil { // the end of the socket, which is execve's success
		return child, nil
	}
	unix.Close(child.PidFD)
	_, werr := linux.Wait(child.PID)
	return linux.Child{}, errors.Join(fmt.Errorf("%s: %w", p.What(fault.Step), fault.Errno), werr)
}

// socket makes a status socket, of which the other end is one of the files, so that it is above the numbers which the
// child gives to those.
func (f *files) socket() (status [2]int, err error) {
	if status, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0); err != nil {
		return status, fmt.Errorf("make a socket pair: %w", err)
	}
	err = f.add(status[1])
	unix.Close(status[1])
	if err != nil {
		unix.Close(status[0])
		return status, err
	}
	status[1] = f.fds[len(f.fds)-1]
	return status, nil
}
