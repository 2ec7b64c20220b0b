// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// mountPoint opens where m goes, and makes it where nothing is there: a directory, or a file
// where tree, the detached mount, is not one. tree may be -1 for a directory.
func (t *Tree) mountPoint(m *Mount, tree int) (int, error) {
	flags := unix.O_PATH
	if m.Ordinary {
		flags |= unix.O_DIRECTORY
	}
	if m.NoFollowDestination {
		flags |= unix.O_NOFOLLOW
	}
	// Without symbolic links the words of Destination are where it is, and Resolve has judged them.
	fd, err := t.open(m.Destination, flags, unix.RESOLVE_NO_SYMLINKS)
	if err == nil {
		return fd, nil
	}
	resolve, links := uint64(unix.RESOLVE_NO_SYMLINKS), errors.Is(err, unix.ELOOP)
	if links && !m.Ordinary && !m.InProc {
		resolve = 0
		fd, err = t.open(m.Destination, flags, 0)
	}
	if errors.Is(err, unix.ENOENT) {
		if !m.MayCreate {
			return -1, fmt.Errorf("there is no such mount point, and mycr makes none on the host: %w", err)
		}
		if !m.Ordinary && !m.InProc {
			resolve, links = 0, true // whoever shares the directory may put one there meanwhile
		}
		dir := tree < 0 || m.Kind == KindFilesystem || kindOf(tree) == unix.S_IFDIR
		name := m.Destination
		if resolve == 0 && !m.NoFollowDestination {
			name = t.withoutLinks(name)
		}
		fd, err = t.create(name, dir, resolve)
	}
	if err != nil {
		if m.Ordinary && (errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR)) {
			// A symbolic link of the image would have it mounted elsewhere: CVE-2019-19921,
			// CVE-2023-27561, CVE-2026-41579.
			return -1, fmt.Errorf("%q must be mounted on ordinary directory: %w", m.Destination, err)
		}
		return -1, step("mount point", err)
	}
	if !links {
		return fd, nil
	}
	// A symbolic link may lead into /proc although the destination's words do not.
	fs, err := magic(fd)
	if err == nil && fs == unix.PROC_SUPER_MAGIC {
		err = errors.New("it cannot be mounted there because that is inside /proc")
	}
	if err != nil {
		closeFD(fd)
		return -1, err
	}
	return fd, nil
}

// withoutLinks is where a path leads through symbolic links of which the last points to nothing,
// as /etc/resolv.conf of a distribution does: what is missing is made there, inside the root. It
// only proposes: create follows no link that somebody puts in meanwhile.
func (t *Tree) withoutLinks(name string) string {
	parts := strings.Split(strings.Trim(name, "/"), "/")
	for i, links := 0, 0; i < len(parts) && links < 40; i++ {
		fd, err := t.open(strings.Join(parts[:i+1], "/"), unix.O_PATH|unix.O_NOFOLLOW, 0)
		if err != nil {
			break
		}
		var target string
		if kindOf(fd) == unix.S_IFLNK {
			target, err = readLink(fd)
		}
		closeFD(fd)
		if err != nil || target == "" {
			continue
		}
		links++
		if target[0] != '/' {
			target = strings.Join(parts[:i], "/") + "/" + target
		}
		parts = strings.Split(strings.Trim(path.Clean("/"+target+"/"+strings.Join(parts[i+1:], "/")), "/"), "/")
		i = -1
	}
	return "/" + strings.Join(parts, "/")
}

// readLink reads a symbolic link that is open (readlinkat(2) with an empty path).
func readLink(fd int) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// create makes a directory or an empty file with all directories that lead to it. Only what
// exists already is resolved through symbolic links, below the root; below that each component
// is made and opened by itself (CVE-2024-45310).
func (t *Tree) create(name string, dir bool, resolve uint64) (int, error) {
	parts := strings.Split(strings.TrimLeft(name, "/"), "/")
	at, n := -1, len(parts)-1
	for ; ; n-- {
		var err error
		if at, err = t.open(strings.Join(parts[:n], "/"), unix.O_PATH|unix.O_DIRECTORY, resolve); err == nil {
			break
		}
		if n == 0 || !errors.Is(err, unix.ENOENT) {
			return -1, err
		}
	}
	for ; n < len(parts)-1; n++ {
		next, err := makeDirectory(at, parts[n])
		closeFD(at)
		if err != nil {
			return -1, err
		}
		at = next
	}
	defer closeFD(at)
	if dir {
		return makeDirectory(at, parts[n])
	}
	return makeFile(at, parts[n])
}

// makeDirectory makes name in at, or takes the directory that is there.
func makeDirectory(at int, name string) (int, error) {
	if err := unix.Mkdirat(at, name, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, step("make directory "+clip(name), err)
	}
	fd, err := unix.Openat(at, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		err = fmt.Errorf("%s is a dangling symbolic link or no directory: %w", clip(name), err)
	}
	return fd, err
}

// makeFile makes the empty file name in at.
func makeFile(at int, name string) (int, error) {
	fd, err := unix.Openat(at, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if errors.Is(err, unix.EEXIST) {
		fd, err = unix.Openat(at, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == nil && kindOf(fd) != unix.S_IFREG {
			closeFD(fd)
			return -1, fmt.Errorf("%s is a dangling symbolic link or no file: %w", clip(name), unix.EEXIST)
		}
	}
	return fd, step2("make file "+clip(name), err)
}

// copyLink makes the symbolic link that Source is again in the container (crun(1),
// copy-symlink). It is not done where Source is no link.
func (t *Tree) copyLink(m *Mount) (done bool, err error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlink(m.Source, buf)
	if errors.Is(err, unix.EINVAL) {
		return false, nil
	}
	if err != nil {
		return false, step("read the link", err)
	}
	target := string(buf[:n])
	i := strings.LastIndexByte(m.Destination, '/')
	dir, name := m.Destination[:i], m.Destination[i+1:]
	at, err := t.open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if errors.Is(err, unix.ENOENT) && m.MayCreate {
		at, err = t.create(dir, true, 0)
	}
	if err != nil {
		return false, err
	}
	defer closeFD(at)
	if fs, err := magic(at); err != nil || fs == unix.PROC_SUPER_MAGIC {
		return false, errors.New("no link is made inside /proc")
	}
	return true, makeLink(at, name, target)
}

// makeLink makes a symbolic link, or takes the same one.
func makeLink(at int, name, target string) error {
	err := unix.Symlinkat(target, at, name)
	if !errors.Is(err, unix.EEXIST) {
		return step2("make link "+name, err)
	}
	buf := make([]byte, unix.PathMax)
	if n, readErr := unix.Readlinkat(at, name, buf); readErr == nil && string(buf[:n]) == target {
		return nil
	}
	return step("make link "+name, err)
}
