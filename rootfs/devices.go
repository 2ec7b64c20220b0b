// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// devices makes the nodes and links. /dev is opened once, through no symbolic link: the image
// could have made it one to a directory of the host (CVE-2026-41579).
func (t *Tree) devices() error {
	p := t.plan
	if len(p.Devices) == 0 && len(p.Links) == 0 {
		return nil
	}
	if p.Dev {
		if _, err := t.openDev(); err != nil {
			return err
		}
	}
	// Nodes get the mode that is asked for, whatever the caller's umask is.
	defer unix.Umask(unix.Umask(0))
	for i := range p.Devices {
		d := &p.Devices[i]
		if err := t.device(d); err != nil {
			place := d.Path
			if d.Index >= 0 {
				place = fmt.Sprintf("linux.devices[%d] (%s)", d.Index, clip(d.Path))
			}
			return step(place, err)
		}
	}
	for _, l := range p.Links {
		if err := t.link(l); err != nil {
			return step("/dev/"+l.Name, err)
		}
	}
	return nil
}

// openDev opens /dev, until leaveDev.
func (t *Tree) openDev() (int, error) {
	if t.dev >= 0 {
		return t.dev, nil
	}
	fd, err := t.open("/dev", unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
	if errors.Is(err, unix.ENOENT) {
		fd, err = t.create("/dev", true, unix.RESOLVE_NO_SYMLINKS)
	}
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
		return -1, fmt.Errorf("devices must be made in an ordinary directory /dev: %w", err)
	}
	if err != nil {
		return -1, step("/dev", err)
	}
	if t.plan.OwnDev {
		// Names in it are taken to be ours, so it must be the tmpfs that we have mounted, not
		// what somebody has put in the place of its mount point.
		var st unix.Statx_t
		if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, 0, &st); err != nil || st.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 {
			closeFD(fd)
			return -1, errors.New("/dev: the tmpfs that was mounted there is gone")
		}
	}
	t.dev = fd
	return fd, nil
}

func (t *Tree) leaveDev() {
	closeFD(t.dev)
	t.dev, t.inDev = -1, false
}

// link makes a default link. What the bundle has put there by itself stays.
func (t *Tree) link(l Link) error {
	dev := t.dev
	err := makeLink(dev, l.Name, l.Target)
	if !errors.Is(err, unix.EEXIST) || l.Name != "ptmx" {
		if errors.Is(err, unix.EEXIST) {
			return nil
		}
		return err
	}
	// The image's ptmx would open the terminals of another devpts.
	if err := unix.Unlinkat(dev, l.Name, 0); err != nil {
		if errors.Is(err, unix.EBUSY) {
			return nil // a mount of the bundle
		}
		return err
	}
	return makeLink(dev, l.Name, l.Target)
}

func (t *Tree) device(d *Device) error {
	at, name := t.dev, ""
	if i := strings.LastIndexByte(d.Path, '/'); i > 0 && d.Path[:i] == "/dev" && at >= 0 {
		name = d.Path[i+1:]
		if t.plan.OwnDev && d.Bind && !d.Verify {
			if done, err := t.bindInDev(d, name); done {
				return err
			}
		}
	} else {
		var err error
		if at, err = t.deviceDirectory(d, d.Path[:i]); err != nil {
			return err
		}
		defer closeFD(at)
		name = d.Path[i+1:]
	}
	switch {
	case d.Verify:
		return d.matches(at, name)
	case d.Bind:
		return d.bind(at, name)
	}
	number := uint64(0)
	if d.Type != unix.S_IFIFO {
		number = unix.Mkdev(d.Major, d.Minor)
	}
	err := unix.Mknodat(at, name, d.Type|d.Mode, int(number))
	if errors.Is(err, unix.EEXIST) {
		return d.matches(at, name) // config-linux.md: else it is an error
	}
	if err != nil {
		return step("mknod", err)
	}
	if d.UID != 0 || d.GID != 0 {
		err = unix.Fchownat(at, name, int(d.UID), int(d.GID), unix.AT_SYMLINK_NOFOLLOW)
	}
	return step2("chown", err)
}

// deviceDirectory opens the directory of a device that is not directly in /dev.
func (t *Tree) deviceDirectory(d *Device, dir string) (int, error) {
	at, err := t.open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if errors.Is(err, unix.ENOENT) && !d.Verify {
		at, err = t.create(dir, true, 0)
	}
	if err != nil {
		return -1, err
	}
	if fs, err := magic(at); err != nil || fs == unix.PROC_SUPER_MAGIC {
		closeFD(at)
		return -1, errors.New("no device is made inside /proc")
	}
	return at, nil
}

// is tells whether a file is this device.
func (d *Device) is(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == d.Type && (d.Type == unix.S_IFIFO || uint64(st.Rdev) == unix.Mkdev(d.Major, d.Minor))
}

func (d *Device) matches(at int, name string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(at, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if !d.is(&st) {
		return fmt.Errorf("a file that is not the device %s is there", d.number())
	}
	return nil
}

func (d *Device) number() string {
	kind := "c"
	switch d.Type {
	case unix.S_IFBLK:
		kind = "b"
	case unix.S_IFIFO:
		return "p"
	}
	return fmt.Sprintf("%s %d:%d", kind, d.Major, d.Minor)
}

// bind puts the host's node on an empty file.
func (d *Device) bind(at int, name string) error {
	tree, err := d.onHost()
	if err != nil {
		return err
	}
	defer closeFD(tree)
	point, err := unix.Openat(at, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o666)
	if errors.Is(err, unix.EEXIST) {
		point, err = unix.Openat(at, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == nil {
			// An empty file is what an earlier container of this root has left.
			var st unix.Stat_t
			err = unix.Fstat(point, &st)
			if err == nil && !d.is(&st) && (st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != 0) {
				err = fmt.Errorf("a file that is not the device %s is there", d.number())
			}
			if err != nil {
				closeFD(point)
			}
		}
	}
	if err != nil {
		return err
	}
	defer closeFD(point)
	return step2("bind the host's node", unix.MoveMount(tree, "", point, "", attach))
}

// bindInDev does the same in our own /dev, where a new name cannot be anything else, in half of
// the calls. It tells whether it was a new name, and the host's node where it usually is.
func (t *Tree) bindInDev(d *Device, name string) (bool, error) {
	if unix.Mknodat(t.dev, name, unix.S_IFREG|0o666, 0) != nil {
		return false, nil
	}
	if err := t.enter(t.dev); err != nil {
		return true, err
	}
	err := unix.Mount(d.Path, name, "", unix.MS_BIND, "")
	if missing(err) {
		return false, nil
	}
	if err != nil {
		return true, step("bind the host's node", err)
	}
	var st unix.Stat_t
	if err := unix.Fstatat(t.dev, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return true, err
	}
	if !d.is(&st) {
		if err := unix.Unmount(name, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH); err != nil {
			return true, step("take away what is not the device "+d.number(), err)
		}
		return false, nil
	}
	return true, nil
}

// onHost clones the host's node, and makes sure that it is the one that is meant.
func (d *Device) onHost() (int, error) {
	kind := "char"
	if d.Type == unix.S_IFBLK {
		kind = "block"
	}
	places := [2]string{d.Path, ""}
	for i := range places {
		if i == 1 {
			places[i] = fmt.Sprintf("/dev/%s/%d:%d", kind, d.Major, d.Minor)
		}
		tree, err := unix.OpenTree(unix.AT_FDCWD, places[i], unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			if missing(err) {
				continue
			}
			return -1, step("open "+places[i]+" on the host", err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(tree, &st); err == nil && d.is(&st) {
			return tree, nil
		}
		closeFD(tree)
	}
	return -1, fmt.Errorf("the host has no node for %s at %s, and a user namespace may not make one: %w", d.number(), clip(d.Path), unix.ENODEV)
}
