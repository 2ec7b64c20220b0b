// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// copyUp copies what the directory from holds into the new, still detached file system to:
// names, contents, links, modes, owners, times and extended attributes.
func copyUp(from, to int) error {
	src, err := unix.Openat(from, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer closeFD(src)
	dst, err := unix.Openat(to, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer closeFD(dst)
	return copyDirectory(src, dst, 0)
}

// copyDirectory copies the entries of one directory.
func copyDirectory(src, dst, depth int) error {
	if depth > 256 { // a descriptor each
		return errors.New("more than 256 directories are within each other")
	}
	buf := make([]byte, 16<<10)
	for {
		n, err := unix.Getdents(src, buf)
		if err != nil {
			return step("list a directory", err)
		}
		if n == 0 {
			return nil
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if err := copyEntry(src, dst, name, depth); err != nil {
				return fmt.Errorf("%s: %w", clip(name), err)
			}
		}
	}
}

func copyEntry(src, dst int, name string, depth int) error {
	var st unix.Stat_t
	if err := unix.Fstatat(src, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	mode := st.Mode & 0o7777
	var err error
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		if err = unix.Mkdirat(dst, name, 0o700); err == nil {
			err = withBoth(src, dst, name, unix.O_RDONLY|unix.O_DIRECTORY, func(a, b int) error {
				if err := copyDirectory(a, b, depth+1); err != nil {
					return err
				}
				return copyAttributes(a, b, &st)
			})
		}
	case unix.S_IFREG:
		var made int
		made, err = unix.Openat(dst, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err == nil {
			closeFD(made)
			err = withBoth(src, dst, name, unix.O_RDWR, func(a, b int) error {
				if err := copyContents(a, b); err != nil {
					return err
				}
				return copyAttributes(a, b, &st)
			})
		}
	case unix.S_IFLNK:
		buf := make([]byte, unix.PathMax)
		var n int
		if n, err = unix.Readlinkat(src, name, buf); err == nil {
			err = unix.Symlinkat(string(buf[:n]), dst, name)
		}
		if err == nil {
			err = unix.Fchownat(dst, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW)
		}
		return ownerError(err, &st)
	default:
		if err = unix.Mknodat(dst, name, st.Mode&unix.S_IFMT|mode, int(st.Rdev)); err == nil {
			err = ownerError(unix.Fchownat(dst, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW), &st)
		}
		if err == nil {
			err = unix.Fchmodat(dst, name, mode, 0)
		}
		return err
	}
	if err != nil {
		return err
	}
	times := []unix.Timespec{st.Atim, st.Mtim}
	return unix.UtimesNanoAt(dst, name, times, unix.AT_SYMLINK_NOFOLLOW)
}

// withBoth opens the same name in both directories. The source is only read.
func withBoth(src, dst int, name string, flags int, do func(a, b int) error) error {
	a, err := unix.Openat(src, name, flags&^unix.O_RDWR|unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer closeFD(a)
	b, err := unix.Openat(dst, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer closeFD(b)
	return do(a, b)
}

func copyContents(a, b int) error {
	for {
		n, err := unix.Sendfile(b, a, nil, 1<<30)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return step("copy", err)
		case n == 0:
			return nil
		}
	}
}

// copyAttributes copies owner, mode and extended attributes, the mode last since a change of
// owner takes setuid away.
func copyAttributes(a, b int, st *unix.Stat_t) error {
	if err := ownerError(unix.Fchown(b, int(st.Uid), int(st.Gid)), st); err != nil {
		return err
	}
	list := make([]byte, 64<<10)
	n, err := unix.Flistxattr(a, list)
	if err != nil && !errors.Is(err, unix.ENOTSUP) {
		return step("list extended attributes", err)
	}
	value := make([]byte, 64<<10)
	for _, name := range strings.Split(string(list[:max(n, 0)]), "\x00") {
		// The label of the new file system is the mount's; overlay's are not for anybody else.
		if name == "" || name == "security.selinux" || strings.Contains(name, ".overlay.") {
			continue
		}
		size, err := unix.Fgetxattr(a, name, value)
		if err == nil {
			err = unix.Fsetxattr(b, name, value[:size], 0)
		}
		if err != nil && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.ENODATA) {
			return step("extended attribute "+name, err)
		}
	}
	return step2("chmod", unix.Fchmod(b, st.Mode&0o7777))
}

// ownerError says what a user namespace cannot: give a file to an id that it does not have.
func ownerError(err error, st *unix.Stat_t) error {
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) {
		return fmt.Errorf("its owner %d:%d is not mapped in this user namespace: %w", st.Uid, st.Gid, err)
	}
	return err
}
