// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// maxValue is the longest value that fsconfig(2) takes (vfs_fsconfig: strndup_user of 256).
const maxValue = 255

// finish decides what is left when it is known what kind of mount m is.
func (r *resolver) finish(m *Mount, o *options, spec *specs.Mount) error {
	if err := m.procRules(); err != nil {
		return err
	}
	m.Propagation = r.mountPropagation(m, o)
	if m.Kind == KindFilesystem || m.Kind == KindRemount {
		if err := r.params(m, o); err != nil {
			return err
		}
	}
	if m.Clear&m.Set&^atime != 0 || m.TreeClear&m.TreeSet&^atime != 0 {
		return errors.New("options: an attribute is both set and cleared")
	}
	return r.idmap(m, o, spec)
}

// mountPropagation drops what the mount is anyway.
func (r *resolver) mountPropagation(m *Mount, o *options) Propagation {
	p := o.propagation
	switch {
	case m.Kind == KindRemount:
		return p
	case m.Kind == KindFilesystem:
		if p == 0 {
			p = r.fallbackNew
		}
		if p &^= unix.MS_REC; p == unix.MS_PRIVATE || p == unix.MS_SLAVE {
			return 0 // it has no peers to be the slave of
		}
	case p == 0:
		p = r.fallback
	}
	if p&^unix.MS_REC == unix.MS_PRIVATE && r.plan.NamespacePropagation == rprivate {
		return 0
	}
	return p
}

// params decides what the file system is told.
func (r *resolver) params(m *Mount, o *options) error {
	if m.Kind == KindFilesystem && m.Source != "" {
		m.Params = append(m.Params, Param{Key: "source", Value: m.Source})
	}
	if m.Set&unix.MOUNT_ATTR_RDONLY != 0 && !virtual(m.Type) {
		m.Params = append(m.Params, Param{Key: "ro", Flag: true})
	}
	m.Params = append(append(m.Params, o.super...), o.params...)
	if m.Kind == KindFilesystem && r.label != "" {
		switch m.Type {
		case "proc", "sysfs", "cgroup2", "mqueue":
		default:
			m.Params = append(m.Params, Param{Key: r.labelWord, Value: r.label})
		}
	}
	if m.Kind == KindFilesystem {
		r.byMount(m, o)
	}
	if m.OnlyByMount && !m.ByMount {
		return fmt.Errorf("options: values above %d bytes and iversion cannot go with remount, recursive attributes, propagation, tmpcopyup or values with commas", maxValue)
	}
	return nil
}

// byMount decides whether one mount(2) does.
func (r *resolver) byMount(m *Mount, o *options) {
	m.MountFlags = mountFlags(m.Set) | o.superBit
	m.OnlyByMount = o.legacy
	var data []byte
	fits := true
	for _, p := range m.Params {
		m.OnlyByMount = m.OnlyByMount || len(p.Value) > maxValue || len(p.Key) > maxValue
		if p.Key == "source" || p.Flag && isSuper(p.Key) {
			continue
		}
		fits = fits && strings.IndexByte(p.Key, ',') < 0 && strings.IndexByte(p.Value, ',') < 0
		if len(data) > 0 {
			data = append(data, ',')
		}
		data = append(data, p.Key...)
		if !p.Flag {
			data = append(append(data, '='), p.Value...)
		}
	}
	m.Data = string(data)
	// mount(2) would make the one sysfs of a network namespace read-only for all who share it,
	// and say rw of their mounts nevertheless (tried, Linux 6.18).
	fits = fits && (m.Type != "sysfs" || m.Set&unix.MOUNT_ATTR_RDONLY == 0)
	// mount(2) takes a page of data; a page is 4096 bytes or more.
	m.ByMount = fits && len(data) < 4000 && !m.CopyUp && m.Label == "" && m.TreeSet == 0 && m.TreeClear == 0 && m.Propagation == 0
}

func isSuper(key string) bool {
	var o options
	return key == "ro" || o.super1(key)
}

// virtual file systems have one superblock that several mounts share, or are written to after
// they are mounted: read-only is the mount's, not theirs.
func virtual(fs string) bool {
	switch fs {
	case "proc", "sysfs", "cgroup2", "tmpfs", "devpts", "mqueue":
		return true
	}
	return false
}

// mountFlags gives the MS_* of mount(2).
func mountFlags(a Attr) uintptr {
	var flags uintptr
	for _, n := range [...]struct {
		attr Attr
		ms   uintptr
	}{
		{unix.MOUNT_ATTR_RDONLY, unix.MS_RDONLY},
		{unix.MOUNT_ATTR_NOSUID, unix.MS_NOSUID},
		{unix.MOUNT_ATTR_NODEV, unix.MS_NODEV},
		{unix.MOUNT_ATTR_NOEXEC, unix.MS_NOEXEC},
		{unix.MOUNT_ATTR_NODIRATIME, unix.MS_NODIRATIME},
		{unix.MOUNT_ATTR_NOSYMFOLLOW, unix.MS_NOSYMFOLLOW},
	} {
		if a&n.attr != 0 {
			flags |= n.ms
		}
	}
	switch a & atime {
	case unix.MOUNT_ATTR_NOATIME:
		flags |= unix.MS_NOATIME
	case unix.MOUNT_ATTR_STRICTATIME:
		flags |= unix.MS_STRICTATIME
	}
	return flags
}

// procRules refuse to put anything below /proc that a process would take for the kernel's word
// (CVE-2019-16884, CVE-2019-19921), but for the files that lxcfs and its like replace.
func (m *Mount) procRules() error {
	if m.Destination == "/proc" {
		if m.Kind == KindFilesystem && m.Type != "proc" {
			return errors.New("only a procfs may be mounted on /proc")
		}
		return nil
	}
	if !strings.HasPrefix(m.Destination, "/proc/") {
		return nil
	}
	switch m.Destination {
	case "/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps",
		"/proc/uptime", "/proc/loadavg", "/proc/slabinfo",
		"/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled":
		if m.Kind == KindBind {
			m.InProc = true
			return nil
		}
	}
	return fmt.Errorf("%q cannot be mounted because it is inside /proc", m.Destination)
}

// mountPoints says which mount points may be made, and which mounts may only become read-only
// at the end.
func (r *resolver) mountPoints(devices []specs.LinuxDevice) {
	p := r.plan
	at := make(map[string]int, len(p.Mounts)) // 1 + index of the last mount on a path
	above := func(dst string) int {
		for end := strings.LastIndexByte(dst, '/'); end > 0; end = strings.LastIndexByte(dst[:end], '/') {
			if i := at[dst[:end]]; i != 0 {
				return i
			}
		}
		return 0
	}
	for i := range p.Mounts {
		m := &p.Mounts[i]
		parent := above(m.Destination)
		m.MayCreate = !p.HostRoot || parent != 0 && p.Mounts[parent-1].Kind == KindFilesystem
		if parent != 0 {
			up := &p.Mounts[parent-1]
			up.Hold = up.holdable()
		}
		if m.Destination == "/dev" {
			m.Hold = m.holdable()
			p.OwnDev = m.Kind == KindFilesystem && m.Type == "tmpfs" && !m.CopyUp
		}
		name, inDev := strings.CutPrefix(m.Destination, "/dev/")
		m.InDev = p.OwnDev && inDev && strings.IndexByte(name, '/') < 0 && at[m.Destination] == 0 && m.Kind == KindFilesystem
		if m.Kind != KindRemount {
			at[m.Destination] = i + 1
		}
	}
	for i := range devices {
		if parent := above(path.Clean("/" + devices[i].Path)); parent != 0 {
			up := &p.Mounts[parent-1]
			up.Hold = up.holdable()
		}
	}
	r.fromParent()
	p.Dev = p.Dev && (!p.HostRoot || at["/dev"] != 0)
	p.OwnDev = p.OwnDev && p.Dev
}

// maxDescriptors is what one message on a socket carries, SCM_MAX_FD in the kernel.
const maxDescriptors = 253

// fromParent says which binds the parent opens. A container in a user namespace of its own has none
// of its caller's rights over the directories that lead to a source: Kubernetes' volumes are below
// directories of mode 0750, and with podman --userns=nomap the files that podman gives are below one
// of an id that the container does not have.
func (r *resolver) fromParent() {
	p := r.plan
	for i := range p.Mounts {
		if p.Mounts[i].FromParent {
			p.InParent++
		}
	}
	if !r.facts.Privileged && !r.facts.OwnsMounts || !r.facts.NewUserNamespace {
		return
	}
	for i := range p.Mounts {
		m := &p.Mounts[i]
		if m.Kind == KindBind && m.Index >= 0 && !m.FromParent && !m.SourceProc && m.Type != "sysfs" && m.Type != "cgroup2" && p.InParent < maxDescriptors {
			m.FromParent = true
			p.InParent++
		}
	}
}

// holdable tells whether m is something empty that is asked to be read-only.
func (m *Mount) holdable() bool {
	return m.Kind == KindFilesystem && m.Type == "tmpfs" && !m.OnlyByMount && m.Set&unix.MOUNT_ATTR_RDONLY != 0
}

// implyCgroup adds what the bundle does not say about /sys/fs/cgroup: with a cgroup namespace the
// container sees its own limits there, read-only. (Without one the directory is empty.)
func (r *resolver) implyCgroup(mounts []specs.Mount) {
	if r.sysfs == 0 || r.cgroupGiven || !r.facts.OwnCgroup {
		return
	}
	sys := &r.plan.Mounts[r.sysfs-1]
	if sys.Kind != KindHostSys && mounts[sys.Index].Type != "sysfs" {
		return // a bind of something else that the bundle asks for
	}
	m := Mount{
		Index: -1, Kind: KindFilesystem, Type: "cgroup2", Source: "cgroup", Destination: "/sys/fs/cgroup",
		Set: noExec | unix.MOUNT_ATTR_RDONLY, Implied: true,
		Params: []Param{{Key: "source", Value: "cgroup"}},
	}
	// Right behind /sys, so that what the bundle mounts later is on top.
	r.plan.Mounts = slices.Insert(r.plan.Mounts, r.sysfs, m)
}

// mapped tells whether the user namespace has an id.
func mapped(maps []Map, id string) bool {
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return true // the kernel says what is wrong with it
	}
	for _, m := range maps {
		if uint32(n) >= m.ContainerID && uint32(n)-m.ContainerID < m.Size {
			return true
		}
	}
	return false
}
