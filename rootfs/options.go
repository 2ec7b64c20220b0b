// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// options is what mounts[].options say. Where two contradict each other the last one wins,
// as in mount(8).
type options struct {
	bind, recursive, remount bool

	set, clear         Attr
	treeSet, treeClear Attr
	propagation        Propagation

	params   []Param  // known to the file system only
	super    []Param  // of every file system: fsconfig(2) takes them as flags
	superBit uintptr  // the same as MS_* of mount(2)
	legacy   bool     // one of super exists in mount(2) only
	unknown  []string // the options behind params

	idmap          bool
	idmapRecursive bool
	idmapText      string // what follows idmap=

	copyUp, copySymlink, noFollowSource, noFollowDestination bool
}

// parseOptions reads the options of one mount. Every word is known, or is the file system's.
func parseOptions(list []string) (options, error) {
	var o options
	for _, word := range list {
		if word == "" {
			continue
		}
		if strings.IndexByte(word, 0) >= 0 {
			return o, fmt.Errorf("option %q contains a NUL byte", word)
		}
		switch {
		case o.placing(word), o.super1(word):
			continue
		case attribute(word, &o.set, &o.clear):
			continue
		case word[0] == 'r' && attribute(word[1:], &o.treeSet, &o.treeClear):
			continue
		case strings.HasPrefix(word, "x-"), strings.HasPrefix(word, "X-"):
			continue // comments, see mount(8)
		}
		if p := propagation(word); p != 0 {
			o.propagation = p
			continue
		}
		key, value, valued := strings.Cut(word, "=")
		if key == "" {
			return o, fmt.Errorf("option %q has no name", word)
		}
		if key == "idmap" || key == "ridmap" {
			o.idmap, o.idmapRecursive, o.idmapText = true, key == "ridmap", value
			if valued && value == "" {
				return o, fmt.Errorf("option %q names no mapping", word)
			}
			continue
		}
		o.params = append(o.params, Param{Key: key, Value: value, Flag: !valued})
		o.unknown = append(o.unknown, word)
	}
	return o, nil
}

// placing reads the options that say how, not with which attributes, something is mounted.
func (o *options) placing(word string) bool {
	switch word {
	case "bind":
		o.bind, o.recursive = true, false
	case "rbind":
		o.bind, o.recursive = true, true
	case "remount":
		o.remount = true
	case "tmpcopyup":
		o.copyUp = true
	case "copy-symlink": // crun's
		o.copySymlink = true
	case "src-nofollow": // crun's
		o.noFollowSource = true
	case "dest-nofollow": // crun's
		o.noFollowDestination = true
	case "defaults", "auto", "noauto", "_netdev":
	default:
		return false
	}
	return true
}

// attribute reads an option that mount_setattr(2) knows.
func attribute(word string, set, clear *Attr) bool {
	on := func(a Attr) { *set |= a; *clear &^= a }
	off := func(a Attr) { *set &^= a; *clear |= a }
	mode := func(a Attr) { *set = *set&^atime | a; *clear |= atime }
	switch word {
	case "ro":
		on(unix.MOUNT_ATTR_RDONLY)
	case "rw":
		off(unix.MOUNT_ATTR_RDONLY)
	case "nosuid":
		on(unix.MOUNT_ATTR_NOSUID)
	case "suid":
		off(unix.MOUNT_ATTR_NOSUID)
	case "nodev":
		on(unix.MOUNT_ATTR_NODEV)
	case "dev":
		off(unix.MOUNT_ATTR_NODEV)
	case "noexec":
		on(unix.MOUNT_ATTR_NOEXEC)
	case "exec":
		off(unix.MOUNT_ATTR_NOEXEC)
	case "nosymfollow":
		on(unix.MOUNT_ATTR_NOSYMFOLLOW)
	case "symfollow":
		off(unix.MOUNT_ATTR_NOSYMFOLLOW)
	case "nodiratime":
		on(unix.MOUNT_ATTR_NODIRATIME)
	case "diratime":
		off(unix.MOUNT_ATTR_NODIRATIME)
	case "noatime":
		mode(unix.MOUNT_ATTR_NOATIME)
	case "strictatime":
		mode(unix.MOUNT_ATTR_STRICTATIME)
	case "relatime", "atime", "nostrictatime":
		// relatime is what the kernel does when told neither (Linux 2.6.30).
		mode(unix.MOUNT_ATTR_RELATIME)
	case "norelatime":
		// As in mount(8) this only takes back an earlier relatime.
		if *clear&atime != 0 && *set&atime == unix.MOUNT_ATTR_RELATIME {
			*clear &^= atime
		}
	default:
		return false
	}
	return true
}

// super1 reads an option of the superblock.
func (o *options) super1(word string) bool {
	on := func(bit uintptr, opposite string) {
		o.dropSuper(opposite)
		o.superBit |= bit
		o.super = append(o.super, Param{Key: word, Flag: true})
	}
	off := func(bit uintptr, opposite string) {
		o.dropSuper(opposite)
		o.superBit &^= bit
	}
	switch word {
	case "sync":
		on(unix.MS_SYNCHRONOUS, word)
	case "async":
		off(unix.MS_SYNCHRONOUS, "sync")
	case "dirsync":
		on(unix.MS_DIRSYNC, word)
	case "lazytime":
		on(unix.MS_LAZYTIME, word)
	case "nolazytime":
		off(unix.MS_LAZYTIME, "lazytime")
	case "mand":
		on(unix.MS_MANDLOCK, word)
	case "nomand":
		off(unix.MS_MANDLOCK, "mand")
	case "iversion":
		on(unix.MS_I_VERSION, word)
	case "noiversion":
		off(unix.MS_I_VERSION, "iversion")
	case "silent":
		o.superBit |= unix.MS_SILENT // mount(2) only; fsopen(2) logs to its own descriptor
	case "loud":
		o.superBit &^= unix.MS_SILENT
	default:
		return false
	}
	o.legacy = o.superBit&unix.MS_I_VERSION != 0
	return true
}

func (o *options) dropSuper(word string) {
	for i, p := range o.super {
		if p.Key == word {
			o.super = append(o.super[:i:i], o.super[i+1:]...)
			return
		}
	}
}

// has tells whether a parameter of the file system was given.
func (o *options) has(key string) bool {
	for _, p := range o.params {
		if p.Key == key {
			return true
		}
	}
	return false
}
