// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"strings"

	"golang.org/x/sys/unix"
)

// Attr is a set of MOUNT_ATTR_* bits of mount_setattr(2).
type Attr uint64

// atime is the field of MOUNT_ATTR_NOATIME and its alternatives. It is a number, not bits:
// relatime is zero, and it can only be set by clearing the whole field (mount_setattr(2)).
const atime = Attr(unix.MOUNT_ATTR__ATIME)

// String gives the words of mount(8), comma-separated.
func (a Attr) String() string {
	var words []string
	for _, n := range [...]struct {
		bit  Attr
		word string
	}{
		{unix.MOUNT_ATTR_RDONLY, "ro"},
		{unix.MOUNT_ATTR_NOSUID, "nosuid"},
		{unix.MOUNT_ATTR_NODEV, "nodev"},
		{unix.MOUNT_ATTR_NOEXEC, "noexec"},
		{unix.MOUNT_ATTR_NODIRATIME, "nodiratime"},
		{unix.MOUNT_ATTR_NOSYMFOLLOW, "nosymfollow"},
	} {
		if a&n.bit != 0 {
			words = append(words, n.word)
		}
	}
	switch a & atime {
	case 0:
	case unix.MOUNT_ATTR_NOATIME:
		words = append(words, "noatime")
	case unix.MOUNT_ATTR_STRICTATIME:
		words = append(words, "strictatime")
	default:
		words = append(words, "atime")
	}
	return strings.Join(words, ",")
}

// MarshalText makes a printed Plan readable.
func (a Attr) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// statfsAttr gives the attributes that statfs(2) saw.
func statfsAttr(flags int64) Attr {
	var a Attr
	for _, n := range [...]struct {
		st   int64
		attr Attr
	}{
		{unix.ST_RDONLY, unix.MOUNT_ATTR_RDONLY},
		{unix.ST_NOSUID, unix.MOUNT_ATTR_NOSUID},
		{unix.ST_NODEV, unix.MOUNT_ATTR_NODEV},
		{unix.ST_NOEXEC, unix.MOUNT_ATTR_NOEXEC},
		{unix.ST_NODIRATIME, unix.MOUNT_ATTR_NODIRATIME},
		{0x2000 /* ST_NOSYMFOLLOW */, unix.MOUNT_ATTR_NOSYMFOLLOW},
	} {
		if flags&n.st != 0 {
			a |= n.attr
		}
	}
	switch {
	case flags&unix.ST_NOATIME != 0:
		a |= unix.MOUNT_ATTR_NOATIME
	case flags&unix.ST_RELATIME == 0:
		a |= unix.MOUNT_ATTR_STRICTATIME
	}
	return a
}

// Propagation is MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE, with MS_REC where it is
// meant for all that is mounted below as well.
type Propagation uint64

// String gives the word of config.json.
func (p Propagation) String() string {
	word := ""
	switch p &^ unix.MS_REC {
	case unix.MS_SHARED:
		word = "shared"
	case unix.MS_SLAVE:
		word = "slave"
	case unix.MS_PRIVATE:
		word = "private"
	case unix.MS_UNBINDABLE:
		word = "unbindable"
	}
	if p&unix.MS_REC != 0 {
		word = "r" + word
	}
	return word
}

// MarshalText makes a printed Plan readable.
func (p Propagation) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// propagation reads the word of config.json; zero where it is none.
func propagation(word string) Propagation {
	switch word {
	case "shared":
		return unix.MS_SHARED
	case "rshared":
		return unix.MS_SHARED | unix.MS_REC
	case "slave":
		return unix.MS_SLAVE
	case "rslave":
		return unix.MS_SLAVE | unix.MS_REC
	case "private":
		return unix.MS_PRIVATE
	case "rprivate":
		return unix.MS_PRIVATE | unix.MS_REC
	case "unbindable":
		return unix.MS_UNBINDABLE
	case "runbindable":
		return unix.MS_UNBINDABLE | unix.MS_REC
	}
	return 0
}
