// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOptions(t *testing.T) {
	const ro, nosuid, nodev = unix.MOUNT_ATTR_RDONLY, unix.MOUNT_ATTR_NOSUID, unix.MOUNT_ATTR_NODEV
	flag := func(key string) []Param { return []Param{{Key: key, Flag: true}} }
	for _, c := range []struct {
		words string
		want  options
	}{
		{"", options{}},
		{"defaults", options{}},
		{"x-systemd.automount,X-mount.mkdir", options{}},
		{"ro", options{set: ro}},
		{"ro,rw", options{clear: ro}},
		{"rw,ro", options{set: ro}},
		{"nosuid,nodev,suid", options{set: nodev, clear: nosuid}},
		{"rro", options{treeSet: ro}},
		{"rrw", options{treeClear: ro}},
		{"rnosuid,rsuid,rnodev", options{treeSet: nodev, treeClear: nosuid}},
		{"rexec", options{treeClear: unix.MOUNT_ATTR_NOEXEC}},
		{"rnosymfollow", options{treeSet: unix.MOUNT_ATTR_NOSYMFOLLOW}},
		{"symfollow", options{clear: unix.MOUNT_ATTR_NOSYMFOLLOW}},
		{"relatime", options{clear: atime}},
		{"relatime,norelatime", options{}},
		{"noatime", options{set: unix.MOUNT_ATTR_NOATIME, clear: atime}},
		{"noatime,strictatime", options{set: unix.MOUNT_ATTR_STRICTATIME, clear: atime}},
		{"noatime,atime", options{clear: atime}},
		{"rnoatime", options{treeSet: unix.MOUNT_ATTR_NOATIME, treeClear: atime}},
		{"ratime", options{treeClear: atime}},
		{"rrelatime", options{treeClear: atime}},
		{"rnostrictatime", options{treeClear: atime}},
		{"nodiratime", options{set: unix.MOUNT_ATTR_NODIRATIME}},
		{"rdiratime", options{treeClear: unix.MOUNT_ATTR_NODIRATIME}},
		{"bind", options{bind: true}},
		{"rbind", options{bind: true, recursive: true}},
		{"rprivate,rslave", options{propagation: unix.MS_SLAVE | unix.MS_REC}},
		{"unbindable", options{propagation: unix.MS_UNBINDABLE}},
		{"sync,async", options{}},
		{"dirsync", options{super: flag("dirsync"), superBit: unix.MS_DIRSYNC}},
		{"lazytime,mand,nolazytime", options{super: flag("mand"), superBit: unix.MS_MANDLOCK}},
		{"silent,loud", options{}},
		{"iversion", options{super: flag("iversion"), superBit: unix.MS_I_VERSION, legacy: true}},
		{"iversion,noiversion", options{}},
		{"mode=755,newinstance", options{params: []Param{{Key: "mode", Value: "755"}, {Key: "newinstance", Flag: true}}, unknown: []string{"mode=755", "newinstance"}}},
		{"idmap", options{idmap: true}},
		{"ridmap=uids=0-1-2;gids=0-1-2", options{idmap: true, idmapRecursive: true, idmapText: "uids=0-1-2;gids=0-1-2"}},
		{"tmpcopyup,copy-symlink,src-nofollow,dest-nofollow,remount", options{copyUp: true, copySymlink: true, noFollowSource: true, noFollowDestination: true, remount: true}},
	} {
		got, err := parseOptions(strings.Split(c.words, ","))
		if err != nil {
			t.Errorf("%s: %v", c.words, err)
			continue
		}
		if len(got.super) == 0 {
			got.super = nil
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n have %+v\n want %+v", c.words, got, c.want)
		}
	}
	for _, words := range []string{"=x", "idmap=", "a\x00b"} {
		if _, err := parseOptions([]string{words}); err == nil {
			t.Errorf("%q is accepted", words)
		}
	}
}

// Every option that `features` promises is one of mycr's, not passed on to a file system.
func TestEveryMountOptionIsKnown(t *testing.T) {
	for _, word := range strings.Fields(`async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev
		nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime
		relatime remount rexec rnoatime rnodev rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime
		rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent slave strictatime suid symfollow sync tmpcopyup
		unbindable idmap ridmap copy-symlink src-nofollow dest-nofollow`) {
		o, err := parseOptions([]string{word})
		if err != nil || len(o.params) != 0 {
			t.Errorf("%s: %v %v", word, o.params, err)
		}
	}
}

// Whatever the words are, no attribute is both set and cleared, and nothing panics.
func FuzzOptions(f *testing.F) {
	for _, s := range []string{"ro,rw,noatime", "idmap=uids=0-1-2#@3-4-5;gids=1-2-3", "rro,rrw", "mode=755,size=1m", "sync,sync,async"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, words string) {
		o, err := parseOptions(strings.Split(words, ","))
		if err != nil {
			return
		}
		if o.set&o.clear&^atime != 0 || o.treeSet&o.treeClear&^atime != 0 {
			t.Fatalf("%+v", o)
		}
		r := resolver{facts: Facts{MappedUIDs: []Map{{0, 1000, 10}}}}
		var m IDMap
		_ = r.parseIDMap(o.idmapText, &m)
		for _, a := range []Attr{o.set, o.clear} {
			_ = fmt.Sprint(a, o.propagation)
		}
	})
}
