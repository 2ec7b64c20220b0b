// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"errors"
	"os"
	"path"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The host's /sys, for a container whose user namespace may not mount a sysfs: that takes a network
// namespace of its own.
//
// A recursive bind of /sys would bring all that is mounted in it, and of that some files belong to the
// user who runs the container, so that its root may write to them: the user's cgroups, and what aborts
// his FUSE file systems. To be read-only or covered keeps them only as long as that root has no
// CAP_SYS_ADMIN, for then it may take both away again. So what is bound are the directories of /sys one
// by one, on a tmpfs, without those.

const hostSys = "/sys"

// isHostSys tells whether a source is it, however it is written.
func isHostSys(source string) bool { return path.Clean(source) == hostSys }

// usersOwn are the directories of /sys/fs in which file systems have files of an ordinary user: cgroup2
// those that are delegated to him, fusectl those of his mounts (fs/fuse/control.c).
var usersOwn = []string{"cgroup", "fuse"}

// gatherSys lists the directories of the host's /sys that a container without a sysfs of its own sees,
// relative to it. What may not be read is not there.
func gatherSys() (entries []string, err error) {
	names, err := directory(hostSys)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if name != "fs" {
			entries = append(entries, name)
		}
	}
	if names, err = directory(hostSys + "/fs"); err != nil {
		return nil, err
	}
	var here, there unix.Stat_t
	if err := unix.Lstat(hostSys, &here); err != nil {
		return nil, step("stat "+hostSys, err)
	}
	for _, name := range names {
		if slices.Contains(usersOwn, name) {
			continue
		}
		// Another device is another file system, of which nobody here knows whose files are in it.
		if err := unix.Lstat(hostSys+"/fs/"+name, &there); err == nil && there.Dev == here.Dev {
			entries = append(entries, "fs/"+name)
		}
	}
	return entries, nil
}

// directory lists the directories in one, in order.
func directory(name string) (names []string, err error) {
	list, err := os.ReadDir(name)
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EACCES) {
		return nil, err
	}
	for _, entry := range list {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// wantsHostSys tells whether a bundle may come to see the host's /sys.
func wantsHostSys(spec *specs.Spec, f *Facts) bool {
	return f.UserNamespace && slices.ContainsFunc(spec.Mounts, func(m specs.Mount) bool {
		return isHostSys(m.Source) || m.Type == "sysfs" && !f.OwnNetwork
	})
}

// sys decides a sysfs: a user namespace mounts it only with a network namespace of its own.
func (r *resolver) sys(m *Mount) {
	m.Ordinary = true
	if !r.facts.UserNamespace || r.facts.OwnNetwork {
		return
	}
	r.note("%s: the network namespace is not the container's own, so the directories of the host's /sys are bound, read-only", m.words())
	m.Set, m.Clear = 0, 0
	r.bindSys(m)
}

// bindsHostSys tells whether m binds the host's /sys on the container's with all that is below it:
// runc spec --rootless does it.
func (r *resolver) bindsHostSys(m *Mount) bool {
	return m.Kind == KindBind && m.Recursive && isHostSys(m.Source) && m.Destination == hostSys && r.facts.UserNamespace
}

// bindSys makes m the host's /sys, read-only as deep as it goes, whatever the options say.
func (r *resolver) bindSys(m *Mount) {
	m.Kind, m.Source, m.Recursive, m.Entries = KindHostSys, hostSys, true, r.facts.SysEntries
	m.TreeSet, m.TreeClear = m.TreeSet|noExec|unix.MOUNT_ATTR_RDONLY, m.TreeClear&^(noExec|unix.MOUNT_ATTR_RDONLY)
	m.Clear &^= noExec | unix.MOUNT_ATTR_RDONLY
}

// hostSys mounts the tmpfs and the directories on it. All is attached before it becomes read-only, which
// nobody sees: the container does not run yet.
func (t *Tree) hostSys(m *Mount) error {
	point, err := t.mountPoint(m, -1)
	if err != nil {
		return err
	}
	defer closeFD(point)
	base := Mount{Type: "tmpfs", Set: noExec, Params: []Param{{Key: "source", Value: "tmpfs"}, {Key: "mode", Value: "755"}}}
	tmpfs, err := newFilesystem(&base, -1)
	if err != nil {
		return err
	}
	defer closeFD(tmpfs)
	if err := unix.MoveMount(tmpfs, "", point, "", attach); err != nil {
		return err
	}
	sys, err := unix.Open(m.Source, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return step("open the source", err)
	}
	defer closeFD(sys)
	for _, name := range [...]string{"fs", "fs/cgroup"} { // the latter for the container's own
		if err := unix.Mkdirat(tmpfs, name, 0o755); err != nil {
			return step("make "+name, err)
		}
	}
	for _, name := range m.Entries {
		if err := bindEntry(sys, tmpfs, name); err != nil {
			return step(name, err)
		}
	}
	return m.setAttributes(tmpfs)
}

// bindEntry binds the directory name of sys on one that it makes in tmpfs.
func bindEntry(sys, tmpfs int, name string) error {
	tree, err := unix.OpenTree(sys, name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if errors.Is(err, unix.ENOENT) {
		return nil // a module has gone meanwhile
	}
	if err != nil {
		return step("open the source", err)
	}
	defer closeFD(tree)
	if err := unix.Mkdirat(tmpfs, name, 0o755); err != nil {
		return step("mount point", err)
	}
	return step2("mount", unix.MoveMount(tree, "", tmpfs, name, unix.MOVE_MOUNT_F_EMPTY_PATH))
}
