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

// OpenInParent makes the mounts of p with FromParent, detached, with all their attributes, in the
// order of p.Mounts. It is for the parent, who has root's rights over the file systems and the
// directories that lead there. user is the container's user namespace, or -1. The descriptors
// are the caller's to close, and Tree.FromParent wants them.
func (p *Plan) OpenInParent(user int) (fds []int, err error) {
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
	if p.InParent > maxDescriptors {
		return nil, fmt.Errorf("mounts: %d are id-mapped, more than the %d descriptors that one message takes", p.InParent, maxDescriptors)
	}
	for i := range p.Mounts {
		m := &p.Mounts[i]
		if !m.FromParent {
			continue
		}
		if m.IDMap != 0 && names[m.IDMap-1] < 0 {
			if names[m.IDMap-1], err = p.IDMaps[m.IDMap-1].namespace(user); err != nil {
				return fds, fmt.Errorf("%s: a user namespace with its mapping: %w", m.words(), err)
			}
		}
		tree, err := m.openInParent(names)
		if err != nil {
			return fds, fmt.Errorf("%s: %w", m.words(), err)
		}
		fds = append(fds, tree)
	}
	return fds, nil
}

// openInParent makes one mount. names are the user namespaces of Plan.IDMaps.
func (m *Mount) openInParent(names []int) (int, error) {
	tree, err := openSource(m)
	if err != nil {
		return -1, err
	}
	if m.IDMap != 0 {
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(names[m.IDMap-1])}
		flags := uint(unix.AT_EMPTY_PATH)
		if m.IDMapRecursive {
			flags |= unix.AT_RECURSIVE
		}
		if err := unix.MountSetattr(tree, "", flags, &attr); err != nil {
			closeFD(tree)
			if errors.Is(err, unix.EINVAL) {
				err = fmt.Errorf("its file system knows no id-mapped mounts: %w", err)
			}
			return -1, step("map its ids", err)
		}
	}
	// The clone is a peer of what is shared on the host. What a container gets is its slave at
	// most, as in a mount namespace that a new user namespace copies (mount_namespaces(7)); without
	// a word, private.
	first := Propagation(unix.MS_SLAVE | unix.MS_REC)
	if m.Propagation == 0 {
		first = rprivate
	}
	if err := setPropagation(tree, "", first, unix.AT_EMPTY_PATH); err != nil {
		closeFD(tree)
		return -1, step("make it "+first.String(), err)
	}
	if err := m.setAttributes(tree); err != nil {
		closeFD(tree)
		return -1, err
	}
	return tree, nil
}

// FromParent gives the mounts that OpenInParent made, in its order. The descriptors are the
// Tree's from then on.
func (t *Tree) FromParent(fds []int) { t.given = fds }

// taken is the next mount that the parent has made.
func (t *Tree) taken() (int, error) {
	if len(t.given) == 0 {
		return -1, errors.New("the parent has not made this mount")
	}
	tree := t.given[0]
	t.given = t.given[1:]
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
