// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"mycr/linux"
)

// procRoot is the inode of the root of every procfs (PROC_ROOT_INO in the kernel).
const procRoot = 1

// OpenProc gives a descriptor of the root of a procfs that is the kernel's, for OpenBelow; it is
// the caller's to close. It is the one on /proc, else a new one that is mounted nowhere.
// sysctls are written between Pivot and Finish: linux.readonlyPaths covers /proc/sys, and
// OpenBelow refuses whatever is covered.
func (t *Tree) OpenProc() (int, error) {
	if t.plan.Proc {
		return t.mountedProc()
	}
	m := Mount{Kind: KindFilesystem, Type: "proc", Set: noExec}
	fd, err := newFilesystem(&m, -1)
	return fd, step2("no procfs is mounted on /proc, and a new one", err)
}

// mountedProc opens /proc, which may have been changed since Mount by a hook or by another
// container of the same root, and makes sure that it is the root of a procfs.
func (t *Tree) mountedProc() (int, error) {
	fd, err := t.open("/proc", unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return -1, step("/proc", err)
	}
	var st unix.Stat_t
	if fs, err := magic(fd); err != nil || fs != unix.PROC_SUPER_MAGIC || unix.Fstat(fd, &st) != nil || st.Ino != procRoot {
		closeFD(fd)
		return -1, errors.New("/proc: what is mounted there is not a procfs any more")
	}
	return fd, nil
}

// OpenBelow opens a file of the procfs whose root is proc, for writing a sysctl or an attribute:
// through no symbolic link and no mount, since one of either would redirect the write
// (CVE-2019-16884, CVE-2025-52881). name is relative; flags are of open(2).
func OpenBelow(proc int, name string, flags int) (int, error) {
	if fs, err := magic(proc); err != nil || fs != unix.PROC_SUPER_MAGIC {
		return -1, fmt.Errorf("/proc/%s: what it would be opened below is not a procfs", name)
	}
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	fd, err := linux.Openat2(proc, name, &how)
	if errors.Is(err, unix.EXDEV) {
		return -1, fmt.Errorf("/proc/%s: something is mounted over it: %w", name, err)
	}
	return fd, step2("/proc/"+name, err)
}

// procMasks lists what is mounted below /proc of this process. It is read for the words of an
// error only.
func procMasks() []string {
	text, err := linux.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return nil
	}
	var masks []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		// The mount point of binfmt_misc is a directory that is always empty, and does not
		// make a procfs count as masked (mnt_already_visible in the kernel).
		if len(fields) > 4 && strings.HasPrefix(fields[4], "/proc/") && !strings.HasPrefix(fields[4], "/proc/sys/fs/binfmt_misc") {
			masks = append(masks, fields[4])
		}
	}
	return masks
}
