// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Pts opens the root of the devpts on /dev/pts, for a terminal that is made in it.
func (t *Tree) Pts() (int, error) {
	pts, err := t.open("/dev/pts", unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return -1, fmt.Errorf("process.terminal: open /dev/pts: %w", err)
	}
	return pts, nil
}

// Console binds a terminal on /dev/console. slave is its descriptor, so that no path of the
// image is followed on either side (CVE-2025-52565).
func (t *Tree) Console(slave int) error {
	err := t.console(slave)
	return step2("process.terminal: /dev/console", err)
}

func (t *Tree) console(slave int) error {
	var st unix.Stat_t
	if err := unix.Fstat(slave, &st); err != nil {
		return err
	}
	if major := unix.Major(uint64(st.Rdev)); st.Mode&unix.S_IFMT != unix.S_IFCHR || major < 136 || major > 143 {
		return errors.New("what is to be bound on it is not the slave of a terminal")
	}
	dev, err := t.openDev()
	if err != nil {
		return err
	}
	defer t.leaveDev()
	point, err := unix.Openat(dev, "console", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EEXIST) {
		if point, err = unix.Openat(dev, "console", unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		if kind := kindOf(point); kind != unix.S_IFREG && kind != unix.S_IFCHR {
			closeFD(point)
			return errors.New("it is neither a file nor a device")
		}
	}
	if err != nil {
		return err
	}
	defer closeFD(point)
	tree, err := unix.OpenTree(slave, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return step("clone the terminal", err)
	}
	defer closeFD(tree)
	return unix.MoveMount(tree, "", point, "", attach)
}
