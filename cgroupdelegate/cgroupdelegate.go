// SPDX-License-Identifier: Apache-2.0

// Package cgroupdelegate decides where a container's limits are enforced, makes
// that cgroup and is its later life: limits, freeze, kill, statistics, events.
//
// The ladder, in order: the caller's own cgroup where it is delegated to it; a
// transient scope from systemd; cgroupfs where the path is writable; an error
// that says what is missing and what to type.
package cgroupdelegate

import (
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Plan is the decision.
type Plan struct {
	Mode string
	// Path is the cgroup that carries the limits, as /proc/self/cgroup would have it. Of
	// systemd's it is known when the scope is there.
	Path string `json:",omitempty"`
	// Below is the cgroup in Path where the processes are; "" is Path itself. Files of limits are
	// never given away: who may write to Below, or mounts a cgroup2 with Below as its root, gains
	// nothing by raising the limits that it repeats.
	Below string `json:",omitempty"`
	// Scope and Manager are for systemd.
	Scope   scope   `json:",omitzero"`
	Manager manager `json:",omitzero"`

	Limits  Limits                    `json:",omitzero"`
	Devices []specs.LinuxDeviceCgroup `json:",omitempty"`
	Filter  bool                      `json:",omitempty"` // the kernel filters by Devices
	// FilterMayFail: what the container has is no more than Devices allow, so that it can be without the filter, which
	// takes a power that not every root has.
	FilterMayFail bool `json:",omitempty"`
	// Exposed: Devices deny something, and a process in the container with CAP_MKNOD or CAP_SYS_ADMIN could get at it but for
	// the filter.
	Exposed bool `json:",omitempty"`
	// Give: Below belongs to process.user, as runtime-spec has it for a cgroup namespace with
	// a writable mount.
	Give bool `json:",omitempty"`
	// Optional: nothing was asked that needs a cgroup, neither a limit nor a writable mount of it, so that
	// where the manager refuses, the container runs without one, and state says so.
	Optional bool `json:",omitempty"`
	// Notes are sentences for the user, one line each.
	Notes []string
}

// Modes of a Plan.
const (
	None      = "none"      // nothing was asked that needs a cgroup, and there was none to be had
	Disabled  = "disabled"  // the user said so
	Delegated = "delegated" // in the caller's own cgroup, which is delegated to it
	Systemd   = "systemd"   // a scope
	Cgroupfs  = "cgroupfs"  // a directory made by mycr
)

// HasCgroup tells whether a container of this plan is to get a cgroup of its own.
func (p *Plan) HasCgroup() bool { return p.Mode != None && p.Mode != Disabled }

// Facts is what Resolve needs to know beyond the bundle; Gather finds Host, Nodes and Trees.
type Facts struct {
	ID      string
	Manager string // --cgroup-manager: "", systemd, cgroupfs or disabled; None: a cgroup only for limits
	Trusted bool   // --trust-annotations
	Host    Host

	// OwnNamespace: the container has a cgroup namespace of its own.
	OwnNamespace bool

	// OwnDevices: the container can make a device node of its own, or mount a file system that has some.
	// That takes CAP_MKNOD or CAP_SYS_ADMIN over the first user namespace of the host, so it is
	// false in any other user namespace, whatever the capabilities there (mknod(2), and mounts made there
	// give no access to devices: SB_I_NODEV).
	OwnDevices bool
	// HostUserNamespace: the container is in that first one, so that a process which joins it can.
	HostUserNamespace bool
	Nodes             []Node // device nodes of the container other than the default ones
	Trees             []Tree // directories in the container with device nodes that are not in Nodes
}

// Node is a device node that the container has.
type Node struct {
	Path         string // what names it in config.json: linux.devices[0] /dev/fuse
	Type         string // "b" or "c"
	Major, Minor int64
	Access       string // of "rw", what its mode lets the caller do; a read-only mount does not matter to devices
}

// Tree is a bind of a directory with device nodes, without nodev.
type Tree struct {
	Mount  int // index in mounts
	Source string
}

// Refusal is an error that knows what to type against it.
type Refusal struct {
	Cause, Remedy string
	controller    string // the one that is missing
}

func (r *Refusal) Error() string { return r.Cause }

// Hint is the one thing to type, for the line below the error.
func (r *Refusal) Hint() string { return r.Remedy }

// Resolve decides. cgroupsPath alone asks for no limit: every engine sets it.
func Resolve(spec *specs.Spec, f Facts) (Plan, error) {
	r, err := ask(spec, f.Manager, f.ID)
	if err != nil {
		return Plan{}, err
	}
	if err := checkRules(r.rules); err != nil {
		return Plan{}, err
	}
	devices := withoutCgroup(r.rules, spec.Mounts, f)
	if f.Manager == Disabled {
		return r.disabled(devices), nil
	}
	if len(r.old) > 0 {
		return Plan{}, &Refusal{
			Cause:  strings.Join(r.old, "; ") + ": only cgroup v1 can do that, and mycr uses cgroup v2",
			Remedy: withoutLimits,
		}
	}
	if devices != nil && !f.Host.Root { // no filter of devices without CAP_BPF and CAP_SYS_ADMIN in the initial user namespace
		return Plan{}, devices
	}
	// What the container has is no more than the rules allow, or the filter is what is asked. A root filters in both
	// cases: a process that joins later can have more (exec --cap CAP_MKNOD).
	r.filter, r.needsFilter = f.Host.Root && !allowsAll(r.rules), devices != nil
	r.exposed = r.filter && f.HostUserNamespace
	none := Plan{Mode: None, Exposed: r.exposed}
	if r.manager == None {
		return none, nil
	}
	p, refusal, err := r.climb(&f)
	switch {
	case err != nil:
		return Plan{}, err
	case refusal == nil:
		r.finish(&p, spec, &f)
		return p, nil
	case r.asks() == "" && r.manager == "":
		return none, nil
	case devices != nil && len(r.limits.Files) == 0:
		return Plan{}, &Refusal{Cause: devices.Cause + ", and there is no cgroup: " + refusal.Cause, Remedy: devices.Remedy}
	}
	return Plan{}, refusal
}

const withoutLimits = "--cgroup-manager disabled runs the container without these limits"

// climb goes up the ladder until a rung holds. The refusal is that of the rung that a remedy is for.
func (r *request) climb(f *Facts) (p Plan, refusal *Refusal, err error) {
	if f.Host.Layout != Unified {
		return p, r.refuse(notUnified(f.Host.Layout)), nil
	}
	for _, mode := range r.ladder() {
		var why *Refusal
		switch mode {
		case Delegated:
			p, why = r.delegated(f)
		case Systemd:
			p, why, err = r.systemd(f)
		case Cgroupfs:
			p, why = r.cgroupfs(f)
		}
		if err != nil || why == nil {
			return p, nil, err
		}
		if refusal == nil || mode == Systemd {
			refusal = why
		}
	}
	return p, r.refuse(refusal), nil
}

// refuse says before a cause which limit is not to be had because of it.
func (r *request) refuse(why *Refusal) *Refusal {
	what := strings.Join(r.limits.fields(why.controller), "; ")
	if what == "" {
		what = "--cgroup-manager " + r.manager
	}
	return &Refusal{Cause: what + ": " + why.Cause, Remedy: why.Remedy}
}

func notUnified(layout string) *Refusal {
	if layout == Absent {
		return &Refusal{Cause: "no cgroup2 is mounted on " + MountPoint, Remedy: "mount -t cgroup2 cgroup2 " + MountPoint + " (as root)"}
	}
	return &Refusal{
		Cause:  "this host has cgroup v1 (or v1 and v2 side by side) on " + MountPoint + ", and mycr uses cgroup v2 only",
		Remedy: "boot the host with systemd.unified_cgroup_hierarchy=1 on the kernel's command line; " + withoutLimits,
	}
}

// delegated is rung 1: only where nothing else was asked, in the caller's own cgroup.
func (r *request) delegated(f *Facts) (Plan, *Refusal) {
	h := &f.Host
	switch {
	case h.Delegated == "":
		return Plan{}, &Refusal{Cause: "the cgroup " + h.Own + " is not delegated to the caller", Remedy: scopeRemedy}
	case len(h.Foreign) > 0:
		return Plan{}, &Refusal{Cause: fmt.Sprintf("in the delegated cgroup %s there is a process of somebody else, %d", h.Delegated, h.Foreign[0]), Remedy: scopeRemedy}
	}
	if c := r.missing(h.DelegatedControllers); c != "" {
		return Plan{}, notDelegated(c, h.Delegated, h.DelegatedControllers, h)
	}
	return Plan{Mode: Delegated, Path: path.Join(h.Delegated, "mycr-"+r.id)}, nil
}

const scopeRemedy = "systemd-run --user --scope -p Delegate=yes mycr …"

// systemd is rung 2.
func (r *request) systemd(f *Facts) (Plan, *Refusal, error) {
	h := &f.Host
	if h.NoManager != nil {
		return Plan{}, h.NoManager, nil
	}
	u, err := parseCgroupsPath(r.path, r.id, h.Manager.System)
	if err != nil {
		return Plan{}, nil, err
	}
	if c := r.missing(h.ManagerControllers); c != "" && h.ManagerCgroup != "" {
		return Plan{}, notDelegated(c, h.ManagerCgroup, h.ManagerControllers, h), nil
	}
	s := scope{Unit: u.Unit, Slice: u.Slice, Description: "mycr container " + r.id, Limits: r.limits.Properties}
	if s.Properties, err = annotationProperties(r.annotations, f.Trusted); err != nil {
		return Plan{}, nil, err
	}
	return Plan{Mode: Systemd, Scope: s, Manager: h.Manager}, nil, nil
}

// cgroupfs is rung 3.
func (r *request) cgroupfs(f *Facts) (Plan, *Refusal) {
	h, name := &f.Host, r.cgroupfsPath()
	if name == "" || !h.Root && r.path == "" {
		return Plan{}, &Refusal{
			Cause:  "linux.cgroupsPath is empty, and the caller's cgroup " + h.Own + " is not delegated to it",
			Remedy: scopeRemedy,
		}
	}
	if !h.NearestWritable {
		return Plan{}, &Refusal{
			Cause:  fmt.Sprintf("linux.cgroupsPath: %s: the caller may not make a cgroup in %s", name, h.Nearest),
			Remedy: "--cgroup-manager systemd with linux.cgroupsPath slice:prefix:name, or none",
		}
	}
	if c := r.missing(h.NearestControllers); c != "" {
		return Plan{}, notDelegated(c, h.Nearest, h.NearestControllers, h)
	}
	return Plan{Mode: Cgroupfs, Path: name}, nil
}

// notDelegated tells which controller is not there, in which file, and the remedy.
func notDelegated(controller, in string, have []string, h *Host) *Refusal {
	cause := fmt.Sprintf("the controller %s is not in %s (%s)", controller,
		path.Join(MountPoint, in, "cgroup.controllers"), strings.Join(have, " "))
	if h.Root {
		return &Refusal{cause, fmt.Sprintf("echo +%s > %s", controller, path.Join(MountPoint, path.Dir(in), "cgroup.subtree_control")), controller}
	}
	return &Refusal{cause, dropIn(h.Manager.UID), controller}
}

// dropIn is what makes systemd delegate all controllers to users; the restart of the manager
// makes it count for sessions that are there already.
func dropIn(uid uint32) string {
	return fmt.Sprintf(`sudo mkdir -p /etc/systemd/system/user@.service.d && `+
		`printf '[Service]\nDelegate=cpu cpuset io memory pids\n' | sudo tee /etc/systemd/system/user@.service.d/delegate.conf && `+
		`sudo systemctl daemon-reload && sudo systemctl restart user@%d.service`, uid)
}

// disabled is the plan of an explicit word, which says what it gives up.
func (r *request) disabled(devices *Refusal) Plan {
	p := Plan{Mode: Disabled}
	words := append(r.limits.fields(""), r.old...)
	if devices != nil {
		words = append(words, devices.Cause)
	}
	if len(words) > 0 {
		p.Notes = []string{"not enforced, by --cgroup-manager disabled: " + strings.Join(words, "; ")}
	}
	return p
}

// finish adds what every rung has in common.
func (r *request) finish(p *Plan, spec *specs.Spec, f *Facts) {
	p.Limits = r.limits
	p.Devices, p.Filter, p.Exposed = r.rules, r.filter, r.exposed
	p.FilterMayFail = r.filter && !r.needsFilter
	p.Give = f.OwnNamespace && writableMount(spec.Mounts)
	// A mount that is writable in a cgroup of its own must never show the caller's.
	p.Optional = r.asks() == "" && r.manager == "" && !p.Give
	if p.Give || !f.Host.Root {
		p.Below = "container"
	}
	if name, given := r.annotations[subgroupAnnotation]; given {
		if name != "" || p.Below == "" {
			p.Below = name
		} else {
			p.Notes = append(p.Notes, fmt.Sprintf("%s is empty, but the container's processes are in %q, since the files of their limits would be theirs", subgroupAnnotation, p.Below))
		}
	}
}

// subgroupAnnotation is crun's, for the cgroup in the scope that holds the processes.
const subgroupAnnotation = "run.oci.systemd.subgroup"

// writableMount tells whether the bundle wants to write to the container's cgroups.
func writableMount(mounts []specs.Mount) bool {
	for _, m := range mounts {
		if m.Type != "cgroup" && m.Type != "cgroup2" {
			continue
		}
		readOnly := false
		for _, o := range m.Options {
			switch o {
			case "ro":
				readOnly = true
			case "rw", "defaults":
				readOnly = false
			}
		}
		if !readOnly {
			return true
		}
	}
	return false
}
