// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// OpenTerminal makes a terminal in the container's own devpts. name is the slave's path there.
// The slave is opened through the master (TIOCGPTPEER, Linux 4.13), not by that path.
func (t *Tree) OpenTerminal() (master, slave int, name string, err error) {
	master, err = t.open("/dev/pts/ptmx", unix.O_RDWR|unix.O_NOCTTY, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return -1, -1, "", fmt.Errorf("process.terminal: open /dev/pts/ptmx: %w", err)
	}
	number := 0
	if fs, fsErr := magic(master); fsErr != nil || fs != unix.DEVPTS_SUPER_MAGIC {
		err = errors.New("/dev/pts is not a devpts")
	} else if err = unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err == nil {
		if number, err = unix.IoctlGetInt(master, unix.TIOCGPTN); err == nil {
			slave, err = peer(master)
		}
	}
	if err != nil {
		closeFD(master)
		return -1, -1, "", fmt.Errorf("process.terminal: %w", err)
	}
	return master, slave, "/dev/pts/" + strconv.Itoa(number), nil
}

// peer opens the other side of a terminal. x/sys has no ioctl that takes a number and gives one.
func peer(master int) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
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
