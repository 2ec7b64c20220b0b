// SPDX-License-Identifier: Apache-2.0

//go:build !amd64 && !arm64

package linux

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// canVfork says that rawVfork can share the memory with its child.
const canVfork = false

//go:nosplit
//go:norace
func rawVfork(args unsafe.Pointer, size uintptr) (r int) {
	pid, _, e := unix.RawSyscall6(unix.SYS_CLONE3, uintptr(args), size, 0, 0, 0, 0)
	if e != 0 {
		return -int(e)
	}
	return int(pid)
}
