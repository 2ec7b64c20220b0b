// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Prepare cuts the mount namespace loose from the host's and mounts the root on its own path,
// so that it can become the root. The caller's directory is the container's root afterwards.
func (t *Tree) Prepare() error {
	p := t.plan
	if p.NamespacePropagation != 0 {
		if err := setPropagation(unix.AT_FDCWD, "/", p.NamespacePropagation, 0); err != nil {
			return kernel("make all mounts "+p.NamespacePropagation.String(), err)
		}
	}
	at, err := unix.Open(p.Root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return step("root.path "+p.Root, err)
	}
	defer closeFD(at)
	if p.ParentPrivate {
		if err := parentPrivate(at); err != nil {
			return step("make the mount that root.path "+p.Root+" lies on private", err)
		}
	}
	tree, err := unix.OpenTree(at, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE|unix.AT_EMPTY_PATH)
	if err != nil {
		return kernel("clone root.path "+p.Root, err)
	}
	if err := t.prepareTree(tree); err != nil {
		closeFD(tree)
		return step("root.path "+p.Root, err)
	}
	if err := unix.MoveMount(tree, "", at, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil {
		closeFD(tree)
		return step("mount root.path "+p.Root, err)
	}
	t.root = tree
	return step2("enter root.path "+p.Root, unix.Fchdir(tree))
}

// prepareTree sets what the root's mounts are before anybody can reach them.
func (t *Tree) prepareTree(tree int) error {
	p := t.plan
	for _, word := range [...]Propagation{p.RootPropagation, p.TreePropagation} {
		if word != 0 {
			if err := setPropagation(tree, "", word, unix.AT_EMPTY_PATH); err != nil {
				return step("make it "+word.String(), err)
			}
		}
	}
	if p.TreePropagation != 0 { // the root itself becomes so when it is the root
		if err := setPropagation(tree, "", unix.MS_PRIVATE, unix.AT_EMPTY_PATH); err != nil {
			return step("make it private", err)
		}
	}
	if !p.Readonly {
		return nil
	}
	// What was mounted below the root before is made read-only now, since nobody has to write
	// there; the root itself in Finish, when all mount points are made.
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return step("make it read-only", err)
	}
	if p.HostRoot {
		return nil
	}
	attr = unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
	err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr)
	if errors.Is(err, unix.EPERM) {
		return nil // it was read-only, and a user namespace must not change that
	}
	return err
}

func setPropagation(fd int, path string, p Propagation, flags uint) error {
	if p&unix.MS_REC != 0 {
		flags |= unix.AT_RECURSIVE
	}
	attr := unix.MountAttr{Propagation: uint64(p &^ unix.MS_REC)}
	return unix.MountSetattr(fd, path, flags, &attr)
}

// parentPrivate makes the mount that dir lies on private. Only the root of a mount can be given
// attributes, so that is looked for upwards; no path is parsed for it.
func parentPrivate(dir int) error {
	at, err := unix.FcntlInt(uintptr(dir), unix.F_DUPFD_CLOEXEC, 0)
	for err == nil {
		var st unix.Statx_t
		if err = unix.Statx(at, "", unix.AT_EMPTY_PATH, 0, &st); err != nil {
			break
		}
		if st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 {
			err = setPropagation(at, "", unix.MS_PRIVATE, unix.AT_EMPTY_PATH)
			break
		}
		var up int
		up, err = unix.Openat(at, "..", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		closeFD(at)
		at = up
	}
	closeFD(at)
	return err
}

// step2 is step for an error that may be none.
func step2(what string, err error) error {
	if err == nil {
		return nil
	}
	return step(what, err)
}

// kernel is step for the first calls that only newer kernels have.
func kernel(what string, err error) error {
	if errors.Is(err, unix.ENOSYS) {
		return refuse("Linux 5.12 or newer is needed; inside another container its seccomp profile has to allow mount_setattr, open_tree, move_mount and fsopen",
			"%s: %w", what, err)
	}
	return step(what, err)
}

// Pivot makes the container's root the root of this process and its mount namespace, and takes
// everything else away.
func (t *Tree) Pivot() error {
	if err := unix.Fchdir(t.root); err != nil {
		return step("enter the root", err)
	}
	if t.plan.NoPivot {
		if err := t.withoutPivot(); err != nil {
			return err
		}
		return step2("chdir /", unix.Chdir("/"))
	}
	old := -1
	if t.plan.ParentPrivate {
		// The old root's mounts may be shared with the host: they are made slaves before they
		// are taken away, else the host would lose them.
		var err error
		if old, err = unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			return step("open the old root", err)
		}
		defer closeFD(old)
	}
	// The old root ends up on top of the new one: pivot_root(2), "pivot_root(".", ".")".
	if err := unix.PivotRoot(".", "."); err != nil {
		if errors.Is(err, unix.EINVAL) {
			return refuse("where the host runs from an initramfs, use --no-pivot", "pivot_root: %w", err)
		}
		return step("pivot_root", err)
	}
	if old >= 0 {
		if err := setPropagation(old, "", unix.MS_SLAVE|unix.MS_REC, unix.AT_EMPTY_PATH); err != nil {
			return step("make the old root a slave", err)
		}
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return step("unmount the old root", err)
	}
	return step2("chdir /", unix.Chdir("/"))
}
