// SPDX-License-Identifier: Apache-2.0

// Package cgroupdelegate decides where a container's limits are enforced.
//
// So far it decides what passes without any cgroup, and refuses the rest by name.
package cgroupdelegate

import (
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Plan is the decision.
type Plan struct {
	// Mode is "none": nothing was asked that needs a cgroup, or "disabled": the user said so.
	Mode string
	// Notes are sentences for the user, one line each.
	Notes []string
}

// Modes of a Plan.
const (
	None     = "none"
	Disabled = "disabled"
)

// Facts is what Resolve needs to know beyond the bundle; Gather finds Nodes and Trees.
type Facts struct {
	Manager string // --cgroup-manager: "", systemd, cgroupfs or disabled

	// OwnDevices: the container can make a device node of its own, or mount a file system that has some.
	// That takes CAP_MKNOD or CAP_SYS_ADMIN over the first user namespace of the host, so it is
	// false in any other user namespace, whatever the capabilities there (mknod(2), and mounts made there
	// give no access to devices: SB_I_NODEV).
	OwnDevices bool
	Nodes      []Node // device nodes of the container other than the default ones
	Trees      []Tree // directories in the container with device nodes that are not in Nodes
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
type Refusal struct{ Cause, Remedy string }

func (r *Refusal) Error() string { return r.Cause }

// Hint is the one thing to type, for the line below the error.
func (r *Refusal) Hint() string { return r.Remedy }

// Resolve decides. cgroupsPath alone asks for no limit: every engine sets it.
func Resolve(l *specs.Linux, mounts []specs.Mount, f Facts) (Plan, error) {
	switch f.Manager {
	case "", "systemd", "cgroupfs", Disabled:
	default:
		return Plan{}, &Refusal{Cause: "--cgroup-manager " + f.Manager + ": unknown", Remedy: "--cgroup-manager systemd, cgroupfs or disabled"}
	}
	var r specs.LinuxResources
	if l != nil && l.Resources != nil {
		r = *l.Resources
	}
	if err := checkRules(r.Devices); err != nil {
		return Plan{}, err
	}
	lim, old, err := limitsOf(&r)
	if err != nil {
		return Plan{}, err
	}
	var limits []string
	for _, f := range lim.Files {
		limits = append(limits, f.Field)
	}
	devices := withoutCgroup(r.Devices, mounts, f)

	if f.Manager == Disabled {
		p := Plan{Mode: Disabled}
		words := append(append([]string{}, limits...), old...)
		if devices != nil {
			words = append(words, devices.Cause)
		}
		if len(words) > 0 {
			p.Notes = []string{"not enforced, by --cgroup-manager disabled: " + strings.Join(words, "; ")}
		}
		return p, nil
	}
	switch {
	case len(old) > 0:
		return Plan{}, &Refusal{
			Cause:  strings.Join(old, "; ") + ": only cgroup v1 can do that, and mycr uses cgroup v2",
			Remedy: withoutLimits,
		}
	case len(limits) > 0:
		return Plan{}, &Refusal{
			Cause:  strings.Join(limits, "; ") + ": this version of mycr cannot enforce limits yet",
			Remedy: withoutLimits,
		}
	case devices != nil:
		return Plan{}, devices
	}
	return Plan{Mode: None}, nil
}

const withoutLimits = "--cgroup-manager disabled runs the container without these limits"
