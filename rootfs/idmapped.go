// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// OpenIDMapped makes the id-mapped mounts of p, detached, in the order of p.Mounts. It is for
// the parent, who has CAP_SYS_ADMIN over the file systems. user is the container's user
// namespace, or -1. The descriptors are the caller's to close, and Tree.SetIDMapFDs wants them.
func (p *Plan) OpenIDMapped(user int) (fds []int, err error) {
	names := make([]int, len(p.IDMaps))
	for i := range names {
		names[i] = -1
	}
	defer func() {
		for _, fd := range names {
			closeFD(fd)
		}
		if err != nil {
			for _, fd := range fds {
				closeFD(fd)
			}
			fds = nil
		}
	}()
	for i := range p.Mounts {
		m := &p.Mounts[i]
		if m.IDMap == 0 {
			continue
		}
		which := m.IDMap - 1
		if names[which] < 0 {
			if names[which], err = p.IDMaps[which].namespace(user); err != nil {
				return fds, fmt.Errorf("%s: a user namespace with its mapping: %w", m.words(), err)
			}
		}
		tree, err := openSource(m)
		if err != nil {
			return fds, fmt.Errorf("%s: %w", m.words(), err)
		}
		fds = append(fds, tree)
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(names[which])}
		flags := uint(unix.AT_EMPTY_PATH)
		if m.IDMapRecursive {
			flags |= unix.AT_RECURSIVE
		}
		if err := unix.MountSetattr(tree, "", flags, &attr); err != nil {
			if errors.Is(err, unix.EINVAL) {
				err = fmt.Errorf("its file system knows no id-mapped mounts: %w", err)
			}
			return fds, fmt.Errorf("%s: %w", m.words(), err)
		}
	}
	return fds, nil
}

// idMapped takes the mount that the parent has made for m.
func (t *Tree) idMapped(m *Mount) (int, error) {
	if len(t.idmaps) == 0 {
		return -1, errors.New("the parent has made no id-mapped mount for it")
	}
	tree := t.idmaps[0]
	t.idmaps = t.idmaps[1:]
	if err := m.setAttributes(tree); err != nil {
		closeFD(tree)
		return -1, err
	}
	return tree, nil
}

// namespace gives a user namespace with the mapping: the container's own, or that of a child
// which exists for this only. The child is stopped at its execve, by ptrace(2), before it does
// anything.
func (d *IDMap) namespace(user int) (int, error) {
	if d.Container && user >= 0 {
		return unix.FcntlInt(uintptr(user), unix.F_DUPFD_CLOEXEC, 0)
	}
	runtime.LockOSThread() // the tracer is a thread
	defer runtime.UnlockOSThread()
	child, err := os.StartProcess("/proc/self/exe", []string{"mycr"}, &os.ProcAttr{
		Sys: &syscall.SysProcAttr{
			Ptrace: true, Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWUSER,
			UidMappings: sysMaps(d.UIDs), GidMappings: sysMaps(d.GIDs), GidMappingsEnableSetgroups: true,
		},
	})
	if err != nil {
		return -1, err
	}
	fd, err := unix.Open("/proc/"+strconv.Itoa(child.Pid)+"/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	_ = child.Kill()
	_, _ = child.Wait()
	return fd, err
}

func sysMaps(maps []Map) []syscall.SysProcIDMap {
	out := make([]syscall.SysProcIDMap, len(maps))
	for i, m := range maps {
		out[i] = syscall.SysProcIDMap{ContainerID: int(m.ContainerID), HostID: int(m.HostID), Size: int(m.Size)}
	}
	return out
}
