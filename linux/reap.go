// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// reap is a reaping init: it hands on to the process main the signals that it
// gets, waits for all that is reparented to it, and exits as main exits. Split
// has blocked all signals, which are taken by sigtimedwait.
//
//go:nosplit
//go:norace
//go:nocheckptr
func reap(main uintptr) {
	all := ^uint64(0)
	for {
		if status, ended := reapAll(main); ended {
			code := uintptr(status>>8) & 0xff
			if signal := status & 0x7f; signal != 0 {
				code = 128 + uintptr(signal)
			}
			unix.RawSyscall6(unix.SYS_EXIT_GROUP, code, 0, 0, 0, 0, 0)
		}
		signal, _, e := unix.RawSyscall6(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&all)), 0, 0, 8, 0, 0)
		if e == 0 && unix.Signal(signal) != unix.SIGCHLD {
			unix.RawSyscall6(unix.SYS_KILL, main, signal, 0, 0, 0, 0)
		}
	}
}

// reapAll waits for every child that has ended and tells whether main has.
//
//go:nosplit
//go:norace
//go:nocheckptr
func reapAll(main uintptr) (status uint32, ended bool) {
	for {
		pid, _, e := unix.RawSyscall6(unix.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&status)), unix.WNOHANG|unix.WALL, 0, 0, 0)
		if e != 0 || pid == 0 {
			return 0, false
		}
		if pid == main {
			return status, true
		}
	}
}
