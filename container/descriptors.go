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
