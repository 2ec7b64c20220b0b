// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package sandbox

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A check limits a call by one argument, of which the lower half is looked at.
type check struct {
	argument int
	mask     uint32
	equal    []uint32 // after the mask
}

// checks are calls that are allowed with some arguments only.
func checks() map[uint32]check {
	const writing = unix.O_WRONLY | unix.O_RDWR | unix.O_CREAT | unix.O_TRUNC
	return map[uint32]check{
		unix.SYS_OPENAT: {2, writing, []uint32{0}},
		unix.SYS_SOCKET: {0, ^uint32(0), []uint32{unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK}},
		unix.SYS_IOCTL:  {1, ^uint32(0), []uint32{unix.SIOCINQ}},
		unix.SYS_CLONE:  {0, unix.CLONE_THREAD, []uint32{unix.CLONE_THREAD}}, // Go's threads
		unix.SYS_TGKILL: {0, ^uint32(0), []uint32{uint32(os.Getpid())}},      // Go's preemption
	}
}

// calls are those that Go's runtime and this program use.
var calls = []uint32{
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_LSEEK, unix.SYS_CLOSE,
	unix.SYS_FSTAT, unix.SYS_GETDENTS64, unix.SYS_READLINKAT, unix.SYS_FCNTL,
	unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_CREATE1, unix.SYS_EVENTFD2, unix.SYS_PIPE2, unix.SYS_PPOLL,
	unix.SYS_TIMERFD_SETTIME,
	unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT4, unix.SYS_SHUTDOWN,
	unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME, unix.SYS_SETSOCKOPT, unix.SYS_GETSOCKOPT,
	unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_RECVFROM, unix.SYS_RECVMSG,
	unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MPROTECT, unix.SYS_MADVISE, unix.SYS_MREMAP, unix.SYS_MINCORE, unix.SYS_BRK,
	unix.SYS_FUTEX, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_GETTIMEOFDAY,
	unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_RESTART_SYSCALL,
	unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
	unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID, unix.SYS_UNAME,
	unix.SYS_GETRANDOM, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
}

// filterCalls has every other call answered with EPERM, in all threads.
func filterCalls() error {
	program := assemble()
	fprog := &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(fprog)))
	if errno != 0 {
		return errno
	}
	if thread != 0 {
		return errors.New("a thread has another filter")
	}
	return nil
}

// Of struct seccomp_data, see seccomp(2).
const (
	offsetNumber       = 0
	offsetArchitecture = 4
	offsetArguments    = 16
	x32                = 0x40000000
)

func assemble() []unix.SockFilter {
	const (
		load    = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		atLeast = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		and     = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
		give    = unix.BPF_RET | unix.BPF_K
		no      = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	)
	program := []unix.SockFilter{
		{Code: load, K: offsetArchitecture},
		{Code: equal, K: auditArchitecture, Jt: 1},
		{Code: give, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: load, K: offsetNumber},
		{Code: atLeast, K: x32, Jf: 1},
		{Code: give, K: no},
	}
	// A filter cannot see clone3's flags; with this error the C library takes clone.
	program = append(program, unix.SockFilter{Code: equal, K: unix.SYS_CLONE3, Jf: 1},
		unix.SockFilter{Code: give, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)})
	for _, number := range append(calls, architectureCalls...) {
		program = append(program, unix.SockFilter{Code: equal, K: number, Jf: 1}, unix.SockFilter{Code: give, K: unix.SECCOMP_RET_ALLOW})
	}
	for number, c := range checks() {
		body := []unix.SockFilter{{Code: load, K: uint32(offsetArguments + 8*c.argument)}, {Code: and, K: c.mask}}
		for _, value := range c.equal {
			body = append(body, unix.SockFilter{Code: equal, K: value, Jf: 1}, unix.SockFilter{Code: give, K: unix.SECCOMP_RET_ALLOW})
		}
		body = append(body, unix.SockFilter{Code: give, K: no})
		program = append(program, unix.SockFilter{Code: equal, K: number, Jf: uint8(len(body))})
		program = append(program, body...)
	}
	return append(program, unix.SockFilter{Code: give, K: no})
}
