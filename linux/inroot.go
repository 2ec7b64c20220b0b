// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Openat2 is openat2(2). A lookup that stays below dir fails with EAGAIN where
// it meets a ".." while anything on the machine is renamed or mounted, and is
// done again then.
func Openat2(dir int, path string, how *unix.OpenHow) (fd int, err error) {
	for range 1000 {
		if fd, err = unix.Openat2(dir, path, how); err != unix.EAGAIN {
			break
		}
	}
	return fd, err
}

// OpenInRoot opens a regular file for reading with root as its "/", so that
// symbolic links of a container mean what they mean there. A FIFO or a device
// is refused, not waited for.
func OpenInRoot(root int, path string) (*os.File, error) {
	fd, err := Openat2(root, path, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, fmt.Errorf("open %s in the container: %w", path, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return nil, fmt.Errorf("%s in the container is not a regular file", path)
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}
