// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// newFilesystem makes a detached mount of a new file system. point is its mount point where
// the plan wants its mode, else -1.
func newFilesystem(m *Mount, point int) (int, error) {
	fs, err := unix.Fsopen(m.Type, unix.FSOPEN_CLOEXEC)
	if err != nil {
		if errors.Is(err, unix.ENODEV) {
			return -1, fmt.Errorf("this kernel has no file system of type %q: %w", m.Type, err)
		}
		return -1, step("fsopen", err)
	}
	defer closeFD(fs)
	if err := configure(fs, m.Params); err != nil {
		return -1, err
	}
	if m.PointMode && point >= 0 {
		var st unix.Stat_t
		if err := unix.Fstat(point, &st); err != nil {
			return -1, step("mode of the mount point", err)
		}
		if err := unix.FsconfigSetString(fs, "mode", strconv.FormatUint(uint64(st.Mode&0o7777), 8)); err != nil {
			return -1, configError(fs, "mode", err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, configError(fs, "", err)
	}
	set := m.Set
	if m.Hold {
		set &^= unix.MOUNT_ATTR_RDONLY
	}
	tree, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, int(set))
	if err != nil {
		return -1, configError(fs, "", err)
	}
	if m.Label != "" {
		if err := unix.Fsetxattr(tree, "security.selinux", []byte(m.Label), 0); err != nil && !errors.Is(err, unix.EBADF) {
			closeFD(tree)
			return -1, step("label it", err)
		}
	}
	if m.TreeSet != 0 || m.TreeClear != 0 {
		attr := unix.MountAttr{Attr_set: uint64(m.TreeSet), Attr_clr: uint64(m.TreeClear)}
		if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
			closeFD(tree)
			return -1, step("set its attributes", err)
		}
	}
	return tree, nil
}

func configure(fs int, params []Param) error {
	for _, p := range params {
		var err error
		if p.Flag {
			err = unix.FsconfigSetFlag(fs, p.Key)
		} else {
			err = unix.FsconfigSetString(fs, p.Key, p.Value)
		}
		if err != nil {
			return configError(fs, p.Key, err)
		}
	}
	return nil
}

// reconfigure changes the options of a file system that is mounted.
func reconfigure(fd int, params []Param) error {
	fs, err := unix.Fspick(fd, "", unix.FSPICK_EMPTY_PATH|unix.FSPICK_CLOEXEC)
	if err != nil {
		return step("fspick", err)
	}
	defer closeFD(fs)
	if err := configure(fs, params); err != nil {
		return err
	}
	if err := unix.FsconfigReconfigure(fs); err != nil {
		return configError(fs, "", err)
	}
	return nil
}

// configError adds the kernel's own words, which it leaves in the descriptor (fsopen(2)).
func configError(fs int, key string, err error) error {
	var words []string
	buf := make([]byte, 512)
	for range 8 {
		n, readErr := unix.Read(fs, buf)
		if readErr != nil || n <= 0 {
			break
		}
		words = append(words, strings.TrimLeft(strings.TrimSpace(string(buf[:n])), "ewi "))
	}
	if len(words) != 0 {
		err = fmt.Errorf("%s: %w", strings.Join(words, "; "), err)
	}
	if key != "" {
		return fmt.Errorf("option %q: %w", key, err)
	}
	return err
}

// byMount makes a new file system by one mount(2). The mount point is the current directory, as
// it was opened, or a name that was just made in our own tmpfs: no path is walked twice.
func (t *Tree) byMount(m *Mount) error {
	if m.InDev {
		if done, err := t.byMountInDev(m); done {
			return err
		}
	}
	point, err := t.mountPoint(m, -1)
	if err != nil {
		return err
	}
	defer closeFD(point)
	data := m.Data
	if m.PointMode {
		var st unix.Stat_t
		if err := unix.Fstat(point, &st); err != nil {
			return step("mode of the mount point", err)
		}
		data = withMode(data, st.Mode)
	}
	if err := t.enter(point); err != nil {
		return step("mount point", err)
	}
	return unix.Mount(m.Source, ".", m.Type, m.MountFlags, data)
}

// byMountInDev does the same for a new name in our own /dev, and tells whether it was one.
func (t *Tree) byMountInDev(m *Mount) (bool, error) {
	dev, err := t.openDev()
	if err != nil {
		return true, err
	}
	name := m.Destination[len("/dev/"):]
	if unix.Mkdirat(dev, name, 0o755) != nil {
		return false, nil
	}
	if err := t.enter(dev); err != nil {
		return true, err
	}
	data := m.Data
	if m.PointMode {
		data = withMode(data, 0o755)
	}
	return true, unix.Mount(m.Source, name, m.Type, m.MountFlags, data)
}

func withMode(data string, mode uint32) string {
	if data != "" {
		data += ","
	}
	return data + "mode=" + strconv.FormatUint(uint64(mode&0o7777), 8)
}

// enter makes an open directory the current one.
func (t *Tree) enter(fd int) error {
	if fd == t.dev && t.inDev {
		return nil
	}
	t.inDev = fd == t.dev
	return unix.Fchdir(fd)
}
