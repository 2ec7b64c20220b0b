// SPDX-License-Identifier: Apache-2.0

package container

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// descriptors are those to be closed when the child has its own.
type descriptors []int

func (d descriptors) close() {
	for _, fd := range d {
		unix.Close(fd)
	}
}

// connect connects to a socket of somebody who waits for a descriptor.
func (d *descriptors) connect(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	*d = append(*d, fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return -1, fmt.Errorf("connect to %q: %w", path, err)
	}
	return fd, nil
}

// checkPreserved finds out whether the caller has passed n descriptors from 3
// on. Those that are ours, as the Go runtime's of its cgroup, have numbers like
// these too; but what came through execve(2) is not close-on-exec, and what is
// ours always is.
func checkPreserved(n int) error {
	for fd := 3; fd < 3+n; fd++ {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			return fmt.Errorf("--preserve-fds %d: descriptor %d is not open", n, fd)
		}
	}
	return nil
}
