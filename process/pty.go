// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"mycr/linux"
)

// Terminal is a pseudoterminal of the container's devpts. See pty(7).
type Terminal struct {
	Master int // descriptor, close-on-exec
	Slave  int // descriptor, close-on-exec
	Number int // N of /dev/pts/N
}

// The device of ptmx, of which /dev/ptmx and each devpts have a node.
const (
	ptmxMajor = 5
	ptmxMinor = 2
)

// OpenTerminal makes a terminal in the devpts whose root directory is pts. The
// slave comes by TIOCGPTPEER (Linux 4.13), never by its path, which the
// container's root filesystem could have made to mean something else
// (CVE-2025-52565).
func OpenTerminal(pts int, size *Size, uid uint32) (Terminal, error) {
	master, err := unix.Openat(pts, "ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return Terminal{}, fmt.Errorf("open ptmx of the container's devpts: %w", err)
	}
	t, err := openPeer(master, size, uid)
	if err != nil {
		unix.Close(master)
	}
	return t, err
}

func openPeer(master int, size *Size, uid uint32) (Terminal, error) {
	var st unix.Stat_t
	var fs unix.Statfs_t
	if err := unix.Fstat(master, &st); err != nil {
		return Terminal{}, fmt.Errorf("stat ptmx: %w", err)
	}
	if err := unix.Fstatfs(master, &fs); err != nil {
		return Terminal{}, fmt.Errorf("statfs ptmx: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(ptmxMajor, ptmxMinor) || uint32(fs.Type) != unix.DEVPTS_SUPER_MAGIC {
		return Terminal{}, fmt.Errorf("ptmx in the container is not that of a devpts: device %d:%d, filesystem %#x",
			unix.Major(st.Rdev), unix.Minor(st.Rdev), uint32(fs.Type))
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return Terminal{}, fmt.Errorf("unlock the terminal: %w", err)
	}
	number, err := unix.IoctlGetUint32(master, unix.TIOCGPTN)
	if err != nil {
		return Terminal{}, fmt.Errorf("number of the terminal: %w", err)
	}
	if err := SetSize(master, size); err != nil {
		return Terminal{}, err
	}
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return Terminal{}, fmt.Errorf("open the terminal's peer: %w", errno)
	}
	if err := unix.Fchown(int(fd), int(uid), -1); err != nil {
		unix.Close(int(fd))
		return Terminal{}, fmt.Errorf("give the terminal to uid %d: %w", uid, err)
	}
	return Terminal{Master: master, Slave: int(fd), Number: int(number)}, nil
}

// SetSize sets a terminal's size; nil leaves it. See TIOCSWINSZ in ioctl_tty(2).
func SetSize(fd int, size *Size) error {
	if size == nil {
		return nil
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Columns}); err != nil {
		return fmt.Errorf("set the terminal's size to %d by %d: %w", size.Rows, size.Columns, err)
	}
	return nil
}

// AddTerminal adds the steps that do the same in a process that has joined a
// container, for its /dev/pts: the slave, which uid owns, becomes descriptors
// 0, 1, 2 and the session's terminal, the master is sent over the socket. The
// message's bytes are what runc sends: engines' receivers take them as a name.
func AddTerminal(p *linux.Program, socket int, size *Size, uid uint32) {
	master := p.Call("open /dev/pts/ptmx of the container", unix.SYS_OPENAT, unix.AT_FDCWD, "/dev/pts/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NOFOLLOW)
	const what = "the container's /dev/pts/ptmx, which is not that of a devpts"
	st := &unix.Stat_t{}
	p.Call("stat "+what, unix.SYS_FSTAT, master, unsafe.Pointer(st))
	must := unix.Mkdev(ptmxMajor, ptmxMinor)
	expectEqual(p, "use "+what, &st.Rdev, &must)
	expectFilesystem(p, what, master, unix.DEVPTS_SUPER_MAGIC)

	p.Call("unlock the terminal", unix.SYS_IOCTL, master, unix.TIOCSPTLCK, unsafe.Pointer(new(int32)))
	slave := p.Call("open the terminal's peer", unix.SYS_IOCTL, master, unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	p.Call("give the terminal to the user", unix.SYS_FCHOWN, slave, uid, -1)
	if size != nil {
		p.Call("set the terminal's size", unix.SYS_IOCTL, master, unix.TIOCSWINSZ, unsafe.Pointer(&unix.Winsize{Row: size.Rows, Col: size.Columns}))
	}
	addSendFD(p, "send the terminal over the console socket", socket, master, "/dev/ptmx")
	for fd := 0; fd <= 2; fd++ {
		p.Call("make the terminal a standard stream", unix.SYS_DUP3, slave, fd, 0)
	}
	p.Call("make the terminal the controlling one", unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0)
	p.Call("close the terminal's peer", unix.SYS_CLOSE, slave)
	p.Call("close the terminal's master", unix.SYS_CLOSE, master)
}

// addSendFD sends a descriptor that an earlier step returned.
func addSendFD(p *linux.Program, what string, socket int, fd linux.Result, text string) {
	rights := unix.UnixRights(-1)
	payload := []byte(text)
	message := &unix.Msghdr{Iov: &unix.Iovec{Base: &payload[0]}, Iovlen: 1, Control: &rights[0]}
	message.Iov.SetLen(len(payload))
	message.SetControllen(len(rights))
	p.StoreInt32((*int32)(unsafe.Pointer(&rights[unix.CmsgLen(0)])), fd)
	p.Call(what, unix.SYS_SENDMSG, socket, unsafe.Pointer(message), unix.MSG_NOSIGNAL)
}
