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

// Gather finds out what Resolve asks of the host besides what the caller knows; it looks
// only at what this bundle needs.
func Gather(spec *specs.Spec, f *Facts) (err error) {
	if wantsHostSys(spec, f) {
		if f.SysEntries, err = gatherSys(); err != nil {
			return err
		}
	}
	f.Kcore = unix.Access("/proc/kcore", unix.F_OK) == nil
	if spec.Linux != nil && spec.Linux.MountLabel != "" {
		f.SELinux = unix.Access("/sys/fs/selinux/enforce", unix.F_OK) == nil
	}
	return nil
}

// Resolve decides how the file system of spec is made. bundle is the absolute path that the
// relative paths of spec are relative to.
func Resolve(spec *specs.Spec, bundle string, f Facts) (Plan, error) {
	linux := spec.Linux
	if linux == nil {
		linux = &specs.Linux{}
	}
	p := Plan{NoPivot: f.NoPivot, ProcMasks: f.ProcMasks, Dev: true}
	p.Terminal = spec.Process != nil && spec.Process.Terminal
	if !f.OwnMount {
		return p, refuse("add {\"type\": \"mount\"} to linux.namespaces",
			"linux.namespaces: without a mount namespace of its own a container's mounts would be the host's")
	}
	if err := p.resolveRoot(spec.Root, bundle); err != nil {
		return p, err
	}
	r := resolver{plan: &p, bundle: bundle, facts: f, label: linux.MountLabel}
	if err := r.labels(spec); err != nil {
		return p, err
	}
	if err := r.propagation(linux.RootfsPropagation, spec.Mounts); err != nil {
		return p, err
	}
	for i := range spec.Mounts {
		r.index = i
		if err := r.mount(&spec.Mounts[i]); err != nil {
			return p, err
		}
	}
	r.implyCgroup(spec.Mounts)
	r.mountPoints(linux.Devices)
	if err := r.devices(linux.Devices); err != nil {
		return p, err
	}
	return p, p.resolvePaths(linux)
}

func (p *Plan) resolveRoot(root *specs.Root, bundle string) error {
	if root == nil {
		return errors.New("root: missing, a container needs a root file system")
	}
	switch {
	case root.Path == "":
		return errors.New("root.path: empty")
	case strings.IndexByte(root.Path, 0) >= 0:
		return fmt.Errorf("root.path: %q contains a NUL byte", root.Path)
	case path.IsAbs(root.Path):
		p.Root = path.Clean(root.Path)
	default:
		p.Root = path.Join(bundle, root.Path)
	}
	p.HostRoot = p.Root == "/"
	p.Readonly = root.Readonly
	return nil
}

const rprivate = Propagation(unix.MS_PRIVATE | unix.MS_REC)

// resolver is what the decisions about single mounts share.
type resolver struct {
	plan   *Plan
	bundle string
	facts  Facts
	index  int

	label     string // linux.mountLabel
	labelWord string // the option that carries it

	// fallback is the propagation of a bind mount that asks for none, fallbackNew that of a new
	// file system; zero where that is what the mount gets anyway.
	fallback, fallbackNew Propagation

	sysfs       int  // 1 + index into Plan.Mounts of what is mounted on /sys
	cgroupGiven bool // something is mounted on /sys/fs/cgroup
}

// labels reads linux.mountLabel and podman's word on how it is given.
func (r *resolver) labels(spec *specs.Spec) error {
	if r.label == "" {
		return nil
	}
	if !r.facts.SELinux {
		return fmt.Errorf("linux.mountLabel: %q, but SELinux is not enabled on this host", r.label)
	}
	r.labelWord = "context"
	// man crun(1), run.oci.mount_context_type; podman sends it.
	if word, ok := spec.Annotations["run.oci.mount_context_type"]; ok {
		switch word {
		case "context", "fscontext", "defcontext", "rootcontext":
			r.labelWord = word
		default:
			return fmt.Errorf("annotations[run.oci.mount_context_type]: %q is none of context, fscontext, defcontext, rootcontext", word)
		}
	}
	return nil
}

// propagation decides what becomes of the mounts that were copied from the host.
//
// Nothing that the host mounts later appears in a container unless the bundle says so: runc
// makes everything a slave where rootfsPropagation is empty, crun makes it private, as here.
// A bundle that wants a volume to follow the host asks for slave or shared at the mount, and
// engines set rootfsPropagation besides.
func (r *resolver) propagation(word string, mounts []specs.Mount) error {
	p := r.plan
	root := Propagation(unix.MS_PRIVATE)
	if word != "" {
		if root = propagation(word); root == 0 {
			return fmt.Errorf("linux.rootfsPropagation: %q is none of shared, slave, private, unbindable and their r forms", word)
		}
	}
	base, deep := root&^unix.MS_REC, root&unix.MS_REC != 0
	shared, slave := base == unix.MS_SHARED, base == unix.MS_SLAVE
	for i := range mounts {
		for _, o := range mounts[i].Options {
			switch propagation(o) &^ unix.MS_REC {
			case unix.MS_SHARED:
				shared = true
			case unix.MS_SLAVE:
				slave = true
			}
		}
	}
	switch {
	case shared && !r.facts.NewUserNamespace:
		p.ParentPrivate = true
	case shared, slave:
		if !r.facts.NewUserNamespace {
			p.NamespacePropagation = unix.MS_SLAVE | unix.MS_REC
		}
	default:
		p.NamespacePropagation = rprivate
	}
	private := p.NamespacePropagation == rprivate
	if !private {
		p.RootPropagation, r.fallback, r.fallbackNew = rprivate, rprivate, 0
	}
	switch base {
	case unix.MS_PRIVATE:
	case unix.MS_SLAVE:
		p.RootPropagation = 0
		if p.ParentPrivate {
			p.RootPropagation = unix.MS_SLAVE | unix.MS_REC
		}
		if deep {
			r.fallback = root
		}
	default: // a new peer group, without the host
		p.FinalPropagation = base
		if deep {
			p.TreePropagation = root
		}
		if deep && base == unix.MS_SHARED {
			r.fallbackNew = root
		}
	}
	return nil
}

// resolvePaths reads maskedPaths and readonlyPaths.
func (p *Plan) resolvePaths(linux *specs.Linux) error {
	clean := func(field string, list []string, whole string) ([]string, error) {
		out := make([]string, 0, len(list))
		for i, s := range list {
			switch {
			case !path.IsAbs(s):
				return nil, fmt.Errorf("linux.%s[%d]: %q is not an absolute path", field, i, s)
			case strings.IndexByte(s, 0) >= 0:
				return nil, fmt.Errorf("linux.%s[%d]: %q contains a NUL byte", field, i, s)
			}
			if s = path.Clean(s); s == "/" {
				return nil, fmt.Errorf("linux.%s[%d]: / is the whole root%s", field, i, whole)
			}
			out = append(out, s)
		}
		return out, nil
	}
	var err error
	if p.MaskedPaths, err = clean("maskedPaths", linux.MaskedPaths, ""); err != nil {
		return err
	}
	p.ReadonlyPaths, err = clean("readonlyPaths", linux.ReadonlyPaths, "; root.readonly makes that read-only")
	return err
}
