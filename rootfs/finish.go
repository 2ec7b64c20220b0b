// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Finish masks paths and makes what is to be read-only so. Hooks of the bundle may have run
// since Mount, and what they did to the root is not trusted: everything is opened and looked
// at again (CVE-2025-31133, CVE-2025-52881).
func (t *Tree) Finish() error {
	p := t.plan
	if p.Proc {
		proc, err := t.mountedProc()
		if err != nil {
			return err
		}
		closeFD(proc)
	}
	if err := t.mask(); err != nil {
		return err
	}
	for i, name := range p.ReadonlyPaths {
		if err := t.readonly(name); err != nil {
			return fmt.Errorf("linux.readonlyPaths[%d] (%s): %w", i, clip(name), err)
		}
	}
	for _, h := range t.held {
		if err := setReadonly(h.fd, 0); err != nil {
			return fmt.Errorf("%s: make it read-only: %w", h.mount.words(), err)
		}
		closeFD(h.fd)
	}
	t.held = nil
	if p.Readonly {
		if err := setReadonly(t.root, 0); err != nil {
			return step("root.readonly", err)
		}
	}
	if p.FinalPropagation != 0 {
		flags := uint(unix.AT_EMPTY_PATH)
		if err := setPropagation(t.root, "", p.FinalPropagation, flags); err != nil {
			return step("linux.rootfsPropagation "+p.FinalPropagation.String(), err)
		}
	}
	return nil
}

func setReadonly(fd int, flags uint) error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	return unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|flags, &attr)
}

// mask hides paths: a file behind /dev/null, a directory behind an empty one. What is not there
// needs no mask; what is there and cannot be masked is an error.
func (t *Tree) mask() error {
	null, empty := -1, -1
	defer func() { closeFD(null); closeFD(empty) }()
	for i, name := range t.plan.MaskedPaths {
		fd, err := t.open(name, unix.O_PATH, 0)
		if missing(err) {
			continue
		}
		if err == nil {
			if kindOf(fd) == unix.S_IFDIR {
				err = maskDirectory(fd, &empty)
			} else {
				err = t.maskFile(fd, &null)
			}
			closeFD(fd)
		}
		if err != nil {
			return fmt.Errorf("linux.maskedPaths[%d] (%s): %w", i, clip(name), err)
		}
	}
	return nil
}

// maskDirectory puts one and the same empty tmpfs on all directories: clones are cheaper than
// new ones.
func maskDirectory(fd int, empty *int) error {
	if *empty < 0 {
		tree, err := emptyDirectory()
		if err != nil {
			return err
		}
		*empty = tree
		return unix.MoveMount(tree, "", fd, "", attach)
	}
	return cloneTo(*empty, fd)
}

func (t *Tree) maskFile(fd int, null *int) error {
	if *null < 0 {
		var err error
		if *null, err = t.openNull(); err != nil {
			return err
		}
	}
	return cloneTo(*null, fd)
}

// cloneTo mounts what is at from on to. from has to be mounted somewhere: a detached mount can
// be cloned since Linux 6.15 only.
func cloneTo(from, to int) error {
	tree, err := unix.OpenTree(from, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return step("clone the mask", err)
	}
	defer closeFD(tree)
	return unix.MoveMount(tree, "", to, "", attach)
}

// openNull opens the container's /dev/null and makes sure that it is the null device: a link to
// something writable would be bound over the masked path instead (CVE-2025-31133).
func (t *Tree) openNull() (int, error) {
	fd, err := t.open("/dev/null", unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return -1, fmt.Errorf("the container's /dev/null is invalid: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || uint64(st.Rdev) != unix.Mkdev(1, 3) {
		closeFD(fd)
		return -1, errors.New("the container's /dev/null is invalid: it is not the device c 1:3")
	}
	return fd, nil
}

// emptyDirectory is a detached tmpfs that stays empty.
func emptyDirectory() (int, error) {
	m := Mount{
		Kind: KindFilesystem, Type: "tmpfs", Set: noExec | unix.MOUNT_ATTR_RDONLY,
		Params: []Param{{Key: "source", Value: "tmpfs"}, {Key: "mode", Value: "755"}, {Key: "nr_inodes", Value: "1"}, {Key: "ro", Flag: true}},
	}
	tree, err := newFilesystem(&m, -1)
	return tree, step2("make an empty tmpfs", err)
}

// readonly binds a path on itself, read-only with all that is mounted below it. It is so from
// the first moment on, since attributes are set before the mount is attached.
func (t *Tree) readonly(name string) error {
	fd, err := t.open(name, unix.O_PATH, 0)
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer closeFD(fd)
	tree, err := unix.OpenTree(fd, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE|unix.AT_EMPTY_PATH)
	if err != nil {
		return step("clone it", err)
	}
	defer closeFD(tree)
	if err := setReadonly(tree, unix.AT_RECURSIVE); err != nil {
		return step("make it read-only", err)
	}
	return unix.MoveMount(tree, "", fd, "", attach)
}

// cover hides the place of an implied mount that failed.
func (t *Tree) cover(m *Mount, why error) error {
	t.Notes = append(t.Notes, fmt.Sprintf("%s: %v; an empty directory covers it", m.words(), why))
	empty, err := emptyDirectory()
	if err != nil {
		return err
	}
	defer closeFD(empty)
	point, err := t.mountPoint(m, -1)
	if err != nil {
		return err
	}
	defer closeFD(point)
	return unix.MoveMount(empty, "", point, "", attach)
}
