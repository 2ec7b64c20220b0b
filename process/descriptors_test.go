// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// PollerFDs returns the descriptors of this Go program's network poller, its
// epoll and its eventfd, for ProgramOptions.KeepFDs: other threads may use them
// until the moment of execve, and the runtime aborts where they are gone.
// procFD is a procfs of this process's own pid namespace or one above.
func PollerFDs(procFD int) ([]int, error) {
	dir, err := unix.Openat(procFD, "self/fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /proc/self/fd: %w", err)
	}
	defer unix.Close(dir)
	var found []int
	buf := make([]byte, 4096)
	link := make([]byte, 64)
	for {
		n, err := unix.ReadDirent(dir, buf)
		if err != nil {
			return nil, fmt.Errorf("read /proc/self/fd: %w", err)
		}
		if n <= 0 {
			return found, nil
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			fd, err := strconv.Atoi(name)
			if err != nil {
				continue
			}
			n, err := unix.Readlinkat(dir, name, link)
			if err != nil {
				continue
			}
			if to := string(link[:n]); to == "anon_inode:[eventpoll]" || to == "anon_inode:[eventfd]" {
				found = append(found, fd)
			}
		}
	}
}
