// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"errors"
	"fmt"
	"path"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const noExec = Attr(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC)

// mount decides one entry of mounts.
func (r *resolver) mount(spec *specs.Mount) error {
	m, o, err := r.begin(spec)
	if err != nil {
		return fmt.Errorf("mounts[%d]: %w", r.index, err)
	}
	if err := r.kind(&m, &o, spec); err != nil {
		return fmt.Errorf("%s: %w", m.words(), err)
	}
	if m.Kind == "" { // --proc none
		return nil
	}
	if r.bindsHostSys(&m) {
		if m.TreeSet&unix.MOUNT_ATTR_RDONLY == 0 {
			r.note("%s: read-only as deep as it goes", m.words())
		}
		r.bindSys(&m)
	}
	if err := r.finish(&m, &o, spec); err != nil {
		return fmt.Errorf("%s: %w", m.words(), err)
	}
	switch m.Destination {
	case "/sys":
		r.sysfs = len(r.plan.Mounts) + 1
		r.cgroupGiven = false
	case "/sys/fs/cgroup":
		r.cgroupGiven = true
	case "/proc":
		r.plan.Proc = true
	case "/dev":
		r.plan.Dev = m.Kind != KindBind
	}
	r.plan.Mounts = append(r.plan.Mounts, m)
	return nil
}

// begin reads the fields that all kinds have.
func (r *resolver) begin(spec *specs.Mount) (Mount, options, error) {
	m := Mount{Index: r.index, Type: spec.Type, Source: spec.Source}
	for _, s := range [...]string{spec.Destination, spec.Source, spec.Type} {
		if strings.IndexByte(s, 0) >= 0 {
			return m, options{}, fmt.Errorf("%q contains a NUL byte", s)
		}
	}
	if spec.Destination == "" {
		return m, options{}, errors.New("destination: missing")
	}
	// A relative destination is meant from "/": config.md.
	m.Destination = path.Clean("/" + spec.Destination)
	if m.Destination == "/" {
		return m, options{}, fmt.Errorf("destination: %q is the root itself", spec.Destination)
	}
	o, err := parseOptions(spec.Options)
	if err != nil {
		return m, o, fmt.Errorf("options: %w", err)
	}
	m.Set, m.Clear, m.TreeSet, m.TreeClear = o.set, o.clear, o.treeSet, o.treeClear
	m.NoFollowSource, m.NoFollowDestination = o.noFollowSource, o.noFollowDestination
	if m.Destination == "/proc" || m.Destination == "/sys" || m.Destination == "/dev" {
		m.Ordinary = true
	}
	return m, o, nil
}

// kind decides what is mounted.
func (r *resolver) kind(m *Mount, o *options, spec *specs.Mount) error {
	if o.remount {
		return r.remount(m, o)
	}
	if o.bind || spec.Type == "bind" || spec.Type == "rbind" {
		if spec.Type == "rbind" {
			o.recursive = true
		}
		return r.bind(m, o, spec)
	}
	if o.copySymlink || o.noFollowSource {
		return errors.New("options: copy-symlink and src-nofollow are for bind mounts")
	}
	m.Kind = KindFilesystem
	switch spec.Type {
	case "":
		return errors.New("type: missing, and no option says bind")
	case "proc":
		return r.proc(m)
	case "sysfs":
		r.sys(m)
	case "cgroup", "cgroup2":
		if err := r.cgroup(m); err != nil {
			return err
		}
	case "mqueue":
		if r.facts.UserNamespace && !r.facts.OwnIPC {
			return refuse(`add {"type": "ipc"} to linux.namespaces, or bind /dev/mqueue`,
				"a user namespace cannot mount the message queues of an ipc namespace that is not its own")
		}
		m.Label = r.label
	case "devpts":
		r.devpts(o)
	case "tmpfs":
		m.PointMode = !o.has("mode")
	case "overlay":
		if r.facts.UserNamespace && !o.has("userxattr") {
			o.params = append(o.params, Param{Key: "userxattr", Flag: true}) // Linux 5.11
		}
	}
	if o.copyUp && m.Type != "tmpfs" {
		return errors.New("options: tmpcopyup is for tmpfs")
	}
	m.CopyUp = o.copyUp
	return nil
}

// remount decides a change of something that an earlier entry, or the root, has there.
func (r *resolver) remount(m *Mount, o *options) error {
	m.Kind = KindRemount
	if o.idmap || o.copyUp || o.copySymlink {
		return errors.New("options: idmap, tmpcopyup and copy-symlink cannot go with remount")
	}
	if o.bind && (len(o.params) != 0 || len(o.super) != 0) {
		return fmt.Errorf("options: %s: a bind mount has no options of a file system", firstWord(o))
	}
	if m.Set == 0 && m.Clear == 0 && m.TreeSet == 0 && m.TreeClear == 0 && o.propagation == 0 && len(o.params) == 0 && len(o.super) == 0 {
		return errors.New("options: remount says nothing to change")
	}
	return nil
}

// firstWord is the option to name in an error: rather one without a value, which is what bind mounts refuse.
func firstWord(o *options) string {
	for i, p := range o.params {
		if p.Flag {
			return fmt.Sprintf("%q", o.unknown[i])
		}
	}
	if len(o.super) == 0 {
		return fmt.Sprintf("%q", o.unknown[0])
	}
	return fmt.Sprintf("%q", o.super[0].Key)
}

// bind decides a clone of something on the host.
func (r *resolver) bind(m *Mount, o *options, spec *specs.Mount) error {
	m.Kind, m.Recursive = KindBind, o.recursive
	switch {
	case spec.Source == "":
		return errors.New("source: missing, a bind mount needs one")
	case !path.IsAbs(spec.Source):
		m.Source = path.Join(r.bundle, spec.Source)
	}
	if err := r.bindParams(o); err != nil {
		return err
	}
	if o.copyUp {
		return errors.New("options: tmpcopyup is for tmpfs")
	}
	if m.Destination == "/proc" {
		m.SourceProc = true
	}
	if o.copySymlink {
		m.Kind = KindLink // becomes a bind where Source is no link
	}
	return nil
}

// bindParams decides about options that only a file system could have. The specification hands them to mount(2),
// which ignores them for a bind, so bundles carry such as mode=755 that have never done anything. A word without a
// value is more likely a misspelt option, nodevv, that the bundle's author counts on.
func (r *resolver) bindParams(o *options) error {
	words := len(o.super) != 0
	for _, p := range o.params {
		words = words || p.Flag
	}
	if words {
		return fmt.Errorf("options: %s: a bind mount has no options of a file system", firstWord(o))
	}
	for _, word := range o.unknown {
		r.note("mounts[%d].options: %q does nothing on a bind mount", r.index, word)
	}
	o.params, o.unknown = nil, nil
	return nil
}

// proc decides what is mounted for a procfs.
func (r *resolver) proc(m *Mount) error {
	m.Ordinary = true
	word := r.facts.Proc
	switch word {
	case "", "private":
		// A procfs shows a pid namespace, and mounting one takes CAP_SYS_ADMIN over that.
		// Where the container has the caller's pid namespace the caller's procfs is the same.
		if !r.facts.UserNamespace || r.facts.OwnPID {
			return nil
		}
		if word == "private" {
			return refuse(`add {"type": "pid"} to linux.namespaces`, "--proc private needs a pid namespace of the container's own")
		}
		r.note("%s: the container shares the caller's pid namespace, so /proc is a recursive bind of the caller's", m.words())
	case "host":
	case "none":
		m.Kind = ""
		return nil
	default:
		return fmt.Errorf("--proc %q is none of private, host, none", word)
	}
	m.Kind, m.Source, m.Recursive, m.SourceProc = KindBind, "/proc", true, true
	return nil
}

// cgroup decides a cgroup mount, which is always cgroup2. The cgroups of the host are never
// writable (CVE-2023-25809).
func (r *resolver) cgroup(m *Mount) error {
	m.Type = "cgroup2"
	if r.facts.OwnCgroup && !r.facts.CallersCgroup {
		return nil
	}
	if r.facts.OwnCgroup && m.Set&unix.MOUNT_ATTR_RDONLY == 0 {
		r.note("%s: read-only, since the container has no cgroup of its own but that of who started it", m.words())
	}
	m.Set |= unix.MOUNT_ATTR_RDONLY
	m.Clear &^= unix.MOUNT_ATTR_RDONLY
	if r.facts.UserNamespace && !r.facts.OwnCgroup { // mounting takes CAP_SYS_ADMIN over the cgroup namespace
		if r.facts.SysAdmin {
			return refuse(`add {"type": "cgroup"} to linux.namespaces, or take CAP_SYS_ADMIN from process.capabilities`,
				"without a cgroup namespace it is a bind of the host's cgroups, which a root with CAP_SYS_ADMIN makes writable")
		}
		r.note("%s: no cgroup namespace, so it is a read-only bind of the host's", m.words())
		r.plan.HostCgroups = true
		m.Kind, m.Source, m.Recursive = KindBind, "/sys/fs/cgroup", true
		m.TreeSet, m.TreeClear = m.Set&^atime|noExec, 0
		m.Set, m.Clear = 0, 0
	}
	return nil
}

// devpts drops a gid that the user namespace has no id for: the kernel refuses it, and runc's
// and every engine's bundle has gid=5.
func (r *resolver) devpts(o *options) {
	if !r.facts.UserNamespace || len(r.facts.MappedGIDs) == 0 {
		return
	}
	for i, p := range o.params {
		if p.Key == "gid" && !mapped(r.facts.MappedGIDs, p.Value) {
			r.note("mounts[%d].options: gid=%s is not mapped, terminals keep the group of who opens them", r.index, p.Value)
			o.params = append(o.params[:i:i], o.params[i+1:]...)
			return
		}
	}
}

func (r *resolver) note(format string, args ...any) {
	r.plan.Notes = append(r.plan.Notes, fmt.Sprintf(format, args...))
}
