// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// attach is how a detached mount is put on an open mount point.
const attach = unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH

// Mount makes all mounts, devices and links. The current directory is the root afterwards.
func (t *Tree) Mount() error {
	for i := range t.plan.Mounts {
		m := &t.plan.Mounts[i]
		if m.Type == "cgroup2" {
			if err := t.beforeCgroup(); err != nil {
				return err
			}
		}
		err := t.mount(m)
		if err != nil && m.Implied {
			err = t.cover(m, err)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m.words(), err)
		}
		if m.Destination == "/dev" {
			t.leaveDev() // another one is there now
		}
	}
	if err := t.devices(); err != nil {
		return err
	}
	if err := t.beforeCgroup(); err != nil {
		return err
	}
	t.leaveDev()
	return step2("enter the root", unix.Fchdir(t.root))
}

func (t *Tree) beforeCgroup() error {
	f := t.BeforeCgroup
	t.BeforeCgroup = nil
	if f == nil {
		return nil
	}
	return f()
}

func (t *Tree) mount(m *Mount) error {
	switch m.Kind {
	case KindLink:
		done, err := t.copyLink(m)
		if done || err != nil {
			return err
		}
	case KindRemount:
		return t.remount(m)
	case KindHostSys:
		return t.hostSys(m)
	}
	if m.ByMount && !m.Hold {
		// Where it fails, fsopen(2) does too, but has the kernel's own words for it.
		err := t.byMount(m)
		if err != nil && m.OnlyByMount {
			return fmt.Errorf("options %q: %w", clip(m.Data), err)
		}
		if err == nil {
			return nil
		}
	}
	point := -1
	defer func() { closeFD(point) }()
	var err error
	if m.PointMode || m.CopyUp {
		if point, err = t.mountPoint(m, -1); err != nil {
			return err
		}
	}
	var tree int
	if m.Kind == KindFilesystem {
		tree, err = newFilesystem(m, point)
	} else {
		tree, err = t.clone(m)
	}
	if err != nil {
		return t.explain(m, err)
	}
	keep := false
	defer func() {
		if !keep {
			closeFD(tree)
		}
	}()
	if point < 0 {
		if point, err = t.mountPoint(m, tree); err != nil {
			return err
		}
	}
	if m.CopyUp {
		if err := copyUp(point, tree); err != nil {
			return step("tmpcopyup", err)
		}
	}
	if m.Propagation != 0 && m.Kind == KindFilesystem {
		if err := setPropagation(tree, "", m.Propagation, unix.AT_EMPTY_PATH); err != nil {
			return step("make it "+m.Propagation.String(), err)
		}
	}
	if err := unix.MoveMount(tree, "", point, "", attach); err != nil {
		return placing(tree, point, err)
	}
	if m.Hold {
		t.held, keep = append(t.held, held{tree, m}), true
	}
	return nil
}

// placing gives mount(2)'s words to what move_mount(2) only calls invalid.
func placing(tree, point int, err error) error {
	if errors.Is(err, unix.EINVAL) && (kindOf(tree) == unix.S_IFDIR) != (kindOf(point) == unix.S_IFDIR) {
		return fmt.Errorf("a directory goes on a directory, a file on a file: %w", unix.ENOTDIR)
	}
	return err
}

// clone makes the detached copy of a bind mount's source, with its attributes already on.
func (t *Tree) clone(m *Mount) (int, error) {
	if m.FromParent && (m.IDMap != 0 || len(t.given) != 0) {
		return t.taken()
	}
	tree, err := openSource(m)
	if err != nil {
		return -1, err
	}
	if m.SourceProc {
		if fs, err := magic(tree); err != nil || fs != unix.PROC_SUPER_MAGIC {
			closeFD(tree)
			return -1, errors.New("only a procfs may be mounted on /proc")
		}
	}
	if err := m.setAttributes(tree); err != nil {
		closeFD(tree)
		return -1, err
	}
	return tree, nil
}

func openSource(m *Mount) (int, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if m.Recursive {
		flags |= unix.AT_RECURSIVE
	}
	if m.NoFollowSource {
		flags |= unix.AT_SYMLINK_NOFOLLOW
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, m.Source, flags)
	if errors.Is(err, unix.EINVAL) && !m.Recursive {
		// In a user namespace what is mounted below belongs to it (mount_namespaces(7)).
		return -1, refuse("say rbind", "open the source: something is mounted below it that a user namespace may not leave out: %w", err)
	}
	return tree, step2("open the source", err)
}

// setAttributes gives a detached tree its attributes and propagation.
func (m *Mount) setAttributes(tree int) error {
	attr := unix.MountAttr{Attr_set: uint64(m.Set), Attr_clr: uint64(m.Clear)}
	all := unix.MountAttr{Attr_set: uint64(m.TreeSet), Attr_clr: uint64(m.TreeClear)}
	if m.Propagation != 0 {
		if m.Propagation&unix.MS_REC != 0 && m.Recursive {
			all.Propagation = uint64(m.Propagation &^ unix.MS_REC)
		} else {
			attr.Propagation = uint64(m.Propagation &^ unix.MS_REC)
		}
	}
	if attr != (unix.MountAttr{}) {
		if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
			return m.locked(tree, m.Set, m.Clear, err)
		}
	}
	if all != (unix.MountAttr{}) {
		if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &all); err != nil {
			return m.locked(tree, m.TreeSet, m.TreeClear, err)
		}
	}
	return nil
}

// locked says which attribute a user namespace may not change: those that a mount came with
// into it stay (mount_namespaces(7)). Attributes that nobody names are kept without a word.
func (m *Mount) locked(tree int, set, clear Attr, err error) error {
	var fs unix.Statfs_t
	if !errors.Is(err, unix.EPERM) || unix.Fstatfs(tree, &fs) != nil {
		return step("set its attributes", err)
	}
	has := statfsAttr(fs.Flags)
	if word := (has & clear &^ atime).String(); word != "" {
		return refuse("drop the option that takes "+word+" away", "the source is mounted %s, and a user namespace may not change that: %w", word, err)
	}
	if clear&atime != 0 && has&atime != set&atime {
		return refuse("drop the option on access times", "the source's access times are %s, and a user namespace may not change that: %w", atimeWord(has), err)
	}
	return step("set its attributes", err)
}

func atimeWord(a Attr) string {
	if word := (a & atime).String(); word != "" {
		return word
	}
	return "relatime"
}

// explain adds what is known about why the kernel refuses a file system.
func (t *Tree) explain(m *Mount, err error) error {
	if m.Kind != KindFilesystem || !errors.Is(err, unix.EPERM) {
		return err
	}
	switch m.Type {
	case "proc":
		masks := t.plan.ProcMasks
		if len(masks) == 0 {
			masks = procMasks()
		}
		if len(masks) != 0 {
			more := ""
			if len(masks) > 1 {
				more = fmt.Sprintf(" (+%d more)", len(masks)-1)
			}
			return refuse("use --proc=host (shows the outer container's processes), or start the outer one with `docker run --security-opt systempaths=unconfined`, `podman run --security-opt unmask=ALL`, or procMount: Unmasked in Kubernetes",
				"this container masks %s%s, so the kernel refuses a new procfs: %w", masks[0], more, err)
		}
	case "sysfs":
		return refuse("bind /sys instead", "the kernel refuses a new sysfs here, because the network namespace is another user namespace's or /sys is masked: %w", err)
	}
	return err
}

// remount changes the attributes of what is mounted on a path.
func (t *Tree) remount(m *Mount) error {
	fd, err := t.open(m.Destination, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	defer closeFD(fd)
	if len(m.Params) != 0 {
		if err := reconfigure(fd, m.Params); err != nil {
			return err
		}
	}
	err = m.setAttributes(fd)
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("nothing is mounted there: %w", err)
	}
	return err
}
