// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ioctl is ioctl(2) with the address of a number that it fills.
func Ioctl(fd int, request uint, value *uint64) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(unsafe.Pointer(value)))
	runtime.KeepAlive(value)
	if errno != 0 {
		return errno
	}
	return nil
}
