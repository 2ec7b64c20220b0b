// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Gather fills in Facts.Host as far as this bundle needs it, and finds the device nodes that the container will
// have. root is Host.Root; ID and Manager are set.
func Gather(spec *specs.Spec, f *Facts, root bool) error {
	r, err := ask(spec, f.Manager, f.ID)
	if err != nil {
		return err
	}
	if f.Host, err = gatherHost(r, root); err != nil {
		return err
	}
	return f.gatherNodes(spec.Linux, spec.Mounts)
}

// gatherNodes finds the device nodes besides the default ones: linux.devices, binds of nodes, and binds of
// directories with nodes in them. It looks at nothing where the rules deny nothing.
func (f *Facts) gatherNodes(l *specs.Linux, mounts []specs.Mount) error {
	if l == nil || l.Resources == nil || allowsAll(l.Resources.Devices) {
		return nil
	}
	for i, d := range l.Devices {
		kind := d.Type
		if kind == "u" {
			kind = "c"
		}
		if kind != "c" && kind != "b" {
			continue
		}
		f.Nodes = append(f.Nodes, Node{fmt.Sprintf("linux.devices[%d] %s", i, d.Path), kind, d.Major, d.Minor, access(d.Path)})
	}
	for i, m := range mounts {
		recursive := m.Type == "rbind" || slices.Contains(m.Options, "rbind")
		if !recursive && m.Type != "bind" && !slices.Contains(m.Options, "bind") {
			continue
		}
		top, all := nodev(m.Options)
		if all || (top && !recursive) {
			continue
		}
		if err := f.bind(i, m.Source, recursive, top); err != nil {
			return fmt.Errorf("mounts[%d]: look for devices in %s: %w", i, m.Source, err)
		}
	}
	return nil
}

// nodev tells whether the mount itself, and whether all that is mounted below it, too, gives no access to devices.
// Of opposite options the last one counts, as in mount(8).
func nodev(options []string) (top, all bool) {
	for _, o := range options {
		switch o {
		case "nodev":
			top = true
		case "dev", "defaults":
			top = false
		case "rnodev":
			all = true
		case "rdev":
			all = false
		}
	}
	return top || all, all
}

// access is what the caller may do with a node: nobody in a user namespace may do more.
func access(path string) string {
	if os.Geteuid() == 0 {
		return "rw"
	}
	var a string
	if err := unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK, unix.AT_EACCESS); err == nil {
		a = "r"
	}
	if err := unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS); err == nil {
		a += "w"
	}
	return a
}

// bind looks at the source of a bind mount. A missing one is for the room that mounts to tell.
func (f *Facts) bind(index int, source string, recursive, nodev bool) error {
	var st unix.Stat_t
	if err := unix.Stat(source, &st); err != nil {
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOTDIR) {
			return nil
		}
		return err
	}
	var kind string
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR:
		kind = "c"
	case unix.S_IFBLK:
		kind = "b"
	case unix.S_IFDIR:
	default:
		return nil
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(source, &fs); err != nil {
		return err
	}
	nodev = nodev || fs.Flags&unix.ST_NODEV != 0 // a bind keeps the flag
	if nodev && (kind != "" || !recursive) {
		return nil
	}
	if kind != "" {
		f.Nodes = append(f.Nodes, Node{fmt.Sprintf("mounts[%d] %s", index, source), kind,
			int64(unix.Major(uint64(st.Rdev))), int64(unix.Minor(uint64(st.Rdev))), access(source)})
		return nil
	}
	has, err := hasDevices(source, &fs, nodev)
	if has {
		f.Trees = append(f.Trees, Tree{index, source})
	}
	return err
}

// hasDevices tells whether a directory has device nodes where device nodes usually are: it is /dev (which gains
// nodes at any time), it lists some itself, or it is a system's root with a dev/ that does.
// Only root of the host can have put nodes elsewhere, and whole trees are not searched.
func hasDevices(dir string, fs *unix.Statfs_t, nodev bool) (bool, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false, err
	}
	if fs.Type == unix.DEVPTS_SUPER_MAGIC || fs.Type == unix.PROC_SUPER_MAGIC || fs.Type == unix.SYSFS_MAGIC {
		return false, nil // terminals are default nodes; the others have no nodes
	}
	sub := filepath.Join(real, "dev")
	if nodev { // then only what is mounted below counts
		var top, below unix.Stat_t
		if unix.Stat(real, &top) != nil || unix.Stat(sub, &below) != nil || top.Dev == below.Dev {
			return false, nil
		}
		return lists(sub)
	}
	if real == "/dev" {
		return true, nil
	}
	if found, err := lists(real); found || err != nil {
		return found, err
	}
	return lists(sub)
}

// lists tells whether a directory has a device node other than a default one, or, below /dev, a folder of them.
func lists(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EPERM) {
			return false, nil
		}
		return false, err
	}
	for _, e := range entries {
		if e.Type()&os.ModeDevice == 0 {
			if e.IsDir() && strings.HasPrefix(dir, "/dev/") {
				if found, err := lists(dir + "/" + e.Name()); found || err != nil {
					return found, err
				}
			}
			continue
		}
		var st unix.Stat_t
		if unix.Lstat(dir+"/"+e.Name(), &st) != nil {
			continue
		}
		n := Node{Type: "c", Major: int64(unix.Major(uint64(st.Rdev))), Minor: int64(unix.Minor(uint64(st.Rdev)))}
		if st.Mode&unix.S_IFMT == unix.S_IFBLK {
			n.Type = "b"
		}
		whiteout := n.Type == "c" && n.Major == 0 && n.Minor == 0 // of an overlay; it cannot be opened
		if !whiteout && !defaultNode(n) {
			return true, nil
		}
	}
	return false, nil
}
