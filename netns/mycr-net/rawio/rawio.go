// SPDX-License-Identifier: Apache-2.0

// Package rawio reads and writes descriptors that do not block, without telling
// Go's scheduler: such a call takes microseconds, and the scheduler would give
// the processor to another thread meanwhile.
package rawio

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Read is read(2).
func Read(fd int, p []byte) (int, error) { return plain(unix.SYS_READ, fd, p) }

// Write is write(2).
func Write(fd int, p []byte) (int, error) { return plain(unix.SYS_WRITE, fd, p) }

// Readv is readv(2).
func Readv(fd int, vectors []unix.Iovec) (int, error) { return vector(unix.SYS_READV, fd, vectors) }

// Writev is writev(2).
func Writev(fd int, vectors []unix.Iovec) (int, error) { return vector(unix.SYS_WRITEV, fd, vectors) }

// Recvmsg is recvmsg(2).
func Recvmsg(fd int, message *unix.Msghdr) (int, error) {
	n, err := again(unix.SYS_RECVMSG, fd, unsafe.Pointer(message), 0)
	runtime.KeepAlive(message)
	return n, err
}

// Settime is timerfd_settime(2) with a time from now.
func Settime(fd int, timer *unix.ItimerSpec) error {
	_, _, errno := syscall.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(fd), 0, uintptr(unsafe.Pointer(timer)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func plain(call uintptr, fd int, p []byte) (int, error) {
	n, err := again(call, fd, unsafe.Pointer(unsafe.SliceData(p)), len(p))
	runtime.KeepAlive(p)
	return n, err
}

func vector(call uintptr, fd int, vectors []unix.Iovec) (int, error) {
	n, err := again(call, fd, unsafe.Pointer(unsafe.SliceData(vectors)), len(vectors))
	runtime.KeepAlive(vectors)
	return n, err
}

func again(call uintptr, fd int, p unsafe.Pointer, size int) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(p), uintptr(size))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
