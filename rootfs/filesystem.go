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

// legacy mounts by mount(2), for options that fsconfig(2) has no way to say.
func (t *Tree) legacy(m *Mount) error {
	point, err := t.mountPoint(m, -1)
	if err != nil {
		return err
	}
	defer closeFD(point)
	var data []string
	for _, p := range m.Params {
		switch {
		case p.Key == "source" || p.Flag && isSuper(p.Key):
		case p.Flag:
			data = append(data, p.Key)
		default:
			data = append(data, p.Key+"="+p.Value)
		}
	}
	text := strings.Join(data, ",")
	if len(text) >= unix.Getpagesize() {
		return fmt.Errorf("options: %d bytes are more than mount(2) takes, %d", len(text), unix.Getpagesize()-1)
	}
	// "." is the open mount point itself, whatever its path has become.
	if err := unix.Fchdir(point); err != nil {
		return err
	}
	err = unix.Mount(m.Source, ".", m.Type, m.Legacy, text)
	if backErr := unix.Fchdir(t.root); err == nil {
		err = backErr
	}
	if err != nil {
		return fmt.Errorf("options %q: %w", clip(text), err)
	}
	if m.Propagation != 0 || m.TreeSet != 0 || m.TreeClear != 0 {
		top, err := t.open(m.Destination, unix.O_PATH, 0)
		if err != nil {
			return err
		}
		defer closeFD(top)
		after := *m
		after.Set, after.Clear = 0, 0
		return after.setAttributes(top)
	}
	return nil
}

func isSuper(key string) bool {
	var o options
	return key == "ro" || o.super1(key)
}
