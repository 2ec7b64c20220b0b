// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// request is what a bundle and the command line ask for.
type request struct {
	manager     string
	path        string // linux.cgroupsPath
	id          string
	annotations map[string]string
	rules       []specs.LinuxDeviceCgroup
	limits      Limits
	old         []string // what only cgroup v1 has
	filter      bool     // the kernel is to filter devices by the rules
	needsFilter bool     // which the container would break without
	exposed     bool     // and so would a process that joins it; see Plan
}

// ask reads the request. The manager None is that of a container which gets a
// cgroup only where something needs one.
func ask(spec *specs.Spec, manager, id string) (*request, error) {
	r := &request{manager: manager, id: id, annotations: spec.Annotations}
	switch manager {
	case "", None, Systemd, Cgroupfs, Disabled:
	default:
		return nil, &Refusal{Cause: "--cgroup-manager " + manager + ": unknown", Remedy: "--cgroup-manager systemd, cgroupfs or disabled"}
	}
	if name := r.annotations[subgroupAnnotation]; name != "" && (strings.ContainsRune(name, '/') || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "cgroup.")) {
		return nil, &Refusal{Cause: fmt.Sprintf("annotation %s: %q is no name of a cgroup", subgroupAnnotation, name)}
	}
	if spec.Linux == nil {
		return r, nil
	}
	r.path = spec.Linux.CgroupsPath
	if strings.ContainsAny(r.path, "\n\x00") || len(r.path) > 4000 {
		return nil, &Refusal{Cause: fmt.Sprintf("linux.cgroupsPath: %.40q… is no path of a cgroup", r.path)}
	}
	if slices.Contains(strings.Split(r.path, "/"), "..") {
		return nil, &Refusal{Cause: fmt.Sprintf("linux.cgroupsPath: %q has .. in it", r.path)}
	}
	if spec.Linux.Resources == nil {
		return r, nil
	}
	r.rules = spec.Linux.Resources.Devices
	var err error
	r.limits, r.old, err = limitsOf(spec.Linux.Resources)
	if r.manager == None && r.asks() != "" {
		r.manager = ""
	}
	return r, err
}

// asks names what needs a cgroup, "" for nothing.
func (r *request) asks() string {
	words := r.limits.fields("")
	if len(words) == 0 && r.needsFilter {
		return "linux.resources.devices"
	}
	return strings.Join(words, "; ")
}

// fields are the words of config.json for the limits of one controller, or of all ("").
func (l *Limits) fields(controller string) []string {
	var words []string
	for _, f := range l.Files {
		if strings.HasPrefix(f.Name, controller) && !slices.Contains(words, f.Field) {
			words = append(words, f.Field)
		}
	}
	return words
}

// missing is the first controller that the limits need and have has not.
func (r *request) missing(have []string) string {
	for _, c := range r.limits.Controllers {
		if !slices.Contains(have, c) {
			return c
		}
	}
	return ""
}

// ladder gives the modes to try. A path or a manager that is asked for is
// taken at its word.
func (r *request) ladder() []string {
	switch {
	case r.manager == Systemd:
		return []string{Systemd}
	case r.manager == Cgroupfs && r.path != "":
		return []string{Cgroupfs}
	case r.manager == Cgroupfs:
		return []string{Delegated, Cgroupfs}
	case r.path == "":
		return []string{Delegated, Systemd, Cgroupfs}
	case isSystemdPath(r.path):
		return []string{Systemd}
	}
	return []string{Cgroupfs}
}

func (r *request) tries(mode string) bool { return slices.Contains(r.ladder(), mode) }

// isSystemdPath tells slice:prefix:name from a path of cgroupfs.
func isSystemdPath(p string) bool {
	return strings.Count(p, ":") == 2 && !strings.Contains(p, "/")
}

// cgroupfsPath is the cgroup that a directory is made for. A relative path is
// relative to the mount point, as runc has it.
func (r *request) cgroupfsPath() string {
	if r.path == "" {
		return "/mycr/" + r.id
	}
	if p := path.Clean("/" + r.path); p != "/" {
		return p
	}
	return ""
}
