// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// CloneArgs is struct clone_args of clone(2).
type CloneArgs struct {
	Flags      uint64
	PidFD      uint64
	ChildTID   uint64
	ParentTID  uint64
	ExitSignal uint64
	Stack      uint64
	StackSize  uint64
	TLS        uint64
	SetTID     uint64
	SetTIDSize uint64
	Cgroup     uint64
}

// Child is a process that Clone made and nobody has waited for yet.
type Child struct {
	PID   int
	PidFD int
}

// Clone makes a child with clone3(2), in which program runs; flags are
// CLONE_NEW* and the like, CLONE_PIDFD and CLONE_CLEAR_SIGHAND are added.
// status is the descriptor to which the child writes its faults (see
// ReadReport); the program ends in execve, or the child exits with 0. It shares
// our memory until then, unless the program wants its own.
//
// The caller has locked its goroutine to a thread: the child's PDEATHSIG
// follows that thread.
func Clone(flags uint64, cgroup int, program *Program, status int) (Child, error) {
	pidfd := new(int32)
	args := &CloneArgs{
		Flags:      flags | unix.CLONE_PIDFD | unix.CLONE_CLEAR_SIGHAND,
		PidFD:      uint64(uintptr(unsafe.Pointer(pidfd))),
		ExitSignal: uint64(unix.SIGCHLD),
	}
	if cgroup >= 0 {
		args.Flags |= unix.CLONE_INTO_CGROUP
		args.Cgroup = uint64(cgroup)
	}
	if canVfork && !program.own && flags&unix.CLONE_NEWTIME == 0 {
		args.Flags |= unix.CLONE_VM | unix.CLONE_VFORK
		for _, f := range program.forks {
			f.Flags |= unix.CLONE_VM | unix.CLONE_VFORK
		}
	}
	ownTimerSlack()
	var first unsafe.Pointer
	if len(program.steps) > 0 {
		first = unsafe.Pointer(&program.steps[0])
	}
	pid, errno := rawClone(unsafe.Pointer(args), unsafe.Sizeof(*args), first, uintptr(len(program.steps)), uintptr(status))
	runtime.KeepAlive(pidfd)
	runtime.KeepAlive(program)
	if errno != 0 {
		return Child{}, unix.Errno(errno)
	}
	return Child{PID: int(pid), PidFD: int(*pidfd)}, nil
}

// rawClone blocks all signals around clone3, so that no handler of Go's
// runtime ever runs in the child; CLONE_CLEAR_SIGHAND then lets it unblock
// them. The steps run in the child; they must not return to Go.
//
//go:noinline
//go:norace
//go:nocheckptr
func rawClone(args unsafe.Pointer, size uintptr, first unsafe.Pointer, n, status uintptr) (pid, errno uintptr) {
	var all, old [1]uint64
	all[0] = ^uint64(0)
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&old)), 8, 0, 0)
	pid, errno = cloneAndRun(args, size, first, n, status)
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&old)), 0, 8, 0, 0)
	return pid, errno
}

//go:noinline
//go:nosplit
//go:norace
//go:nocheckptr
func cloneAndRun(args unsafe.Pointer, size uintptr, first unsafe.Pointer, n, status uintptr) (uintptr, uintptr) {
	r := rawVfork(args, size)
	if r > 0 {
		return uintptr(r), 0
	}
	if r < 0 {
		return 0, uintptr(-r)
	}
	var none [1]uint64
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&none)), 0, 8, 0, 0)
	at, errno := runSteps(first, n, status)
	exit(status, at, errno)
	return 0, 0
}

// exit ends a raw child: with 0, or, where a step failed, with 1 and a report.
//
//go:nosplit
//go:norace
//go:nocheckptr
func exit(status, at, errno uintptr) {
	code := uintptr(0)
	if errno != 0 {
		m := report{Word: wordFault, Value: int32(at), Errno: int32(errno)}
		unix.RawSyscall6(unix.SYS_WRITE, status, uintptr(unsafe.Pointer(&m)), unsafe.Sizeof(m), 0, 0, 0)
		code = 1
	}
	for {
		unix.RawSyscall6(unix.SYS_EXIT_GROUP, code, 0, 0, 0, 0, 0)
		*nowhere = 0 // a seccomp filter that denies exit_group does not deny SIGSEGV
	}
}

// nowhere is a nil pointer that the compiler does not know to be one.
var nowhere *byte

// Report is one message of a raw child on its status socket.
type Report struct {
	Forked int        // the pid that Program.Fork made, or 0
	Step   int        // the step that failed, where Errno is not 0
	Errno  unix.Errno // 0 for Forked
}

// ParseReport reads a message that a raw child wrote; ok is false for
// messages of other origin.
func ParseReport(b []byte) (r Report, ok bool) {
	if len(b) != int(unsafe.Sizeof(report{})) {
		return r, false
	}
	value := int(int32(binary.NativeEndian.Uint32(b[4:])))
	switch binary.NativeEndian.Uint32(b) {
	case wordForked:
		return Report{Forked: value}, true
	case wordFault:
		return Report{Step: value, Errno: unix.Errno(binary.NativeEndian.Uint32(b[8:]))}, true
	}
	return r, false
}

// Wait waits for a child of this process, however often it is interrupted.
func Wait(pid int) (unix.WaitStatus, error) {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, unix.WALL, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("wait for process %d: %w", pid, err)
		}
		return status, nil
	}
}

// ReadForked reads what a list with one Fork says: the pid of the sibling, 0
// where it came to none, and the step that failed, if one did. A sibling that
// shares the memory fails before its pid is told.
func ReadForked(fd int) (sibling int, fault *Report, err error) {
	for sibling == 0 {
		r, err := ReadReport(fd)
		switch {
		case err != nil && fault != nil:
			return 0, fault, nil // it failed before the fork
		case err != nil:
			return 0, nil, err
		case r.Forked != 0:
			sibling = r.Forked
		default:
			fault = &r
		}
	}
	return sibling, fault, nil
}

// ReadReport reads one message of a raw child from our end of its status
// socket. The message is an error where it is no report or the socket was closed.
func ReadReport(fd int) (Report, error) {
	var buf [64]byte
	for {
		n, err := unix.Read(fd, buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return Report{}, fmt.Errorf("read the status socket: %w", err)
		}
		r, ok := ParseReport(buf[:n])
		if !ok {
			return r, fmt.Errorf("the child said %d bytes that are no report", n)
		}
		return r, nil
	}
}
