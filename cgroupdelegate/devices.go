// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// checkRules refuses rules that mean nothing.
func checkRules(rules []specs.LinuxDeviceCgroup) error {
	for i, r := range rules {
		path := fmt.Sprintf("linux.resources.devices[%d]", i)
		switch r.Type {
		case "", "a", "b", "c":
		default:
			return &Refusal{Cause: fmt.Sprintf("%s.type: %q is none of a, b, c", path, r.Type)}
		}
		if r.Access == "" || strings.Trim(r.Access, "rwm") != "" {
			return &Refusal{Cause: fmt.Sprintf("%s.access: %q is not made of r, w, m", path, r.Access)}
		}
		// runc takes any negative number for all, since engines send -1.
		if (r.Major != nil && *r.Major < -1) || (r.Minor != nil && *r.Minor < -1) {
			return &Refusal{Cause: path + ": major and minor are 0 or above, or -1 for all"}
		}
	}
	return nil
}

func wildcard(n *int64) bool { return n == nil || *n == -1 }

func matches(r specs.LinuxDeviceCgroup, n Node) bool {
	return (r.Type == "" || r.Type == "a" || r.Type == n.Type) &&
		(wildcard(r.Major) || *r.Major == n.Major) &&
		(wildcard(r.Minor) || *r.Minor == n.Minor)
}

// defaultNode: every container may use these, whatever the rules say; runc and crun append them to the rules,
// and runc's default bundle, which denies everything, counts on it.
func defaultNode(n Node) bool {
	if n.Type != "c" {
		return false
	}
	switch n.Major {
	case 1:
		return n.Minor == 3 || n.Minor == 5 || n.Minor == 7 || n.Minor == 8 || n.Minor == 9 // null, zero, full, random, urandom
	case 5:
		return n.Minor == 0 || n.Minor == 1 || n.Minor == 2 // tty, console, ptmx
	}
	return n.Major == 136 // pts/*; the majors up to 143 belong to /dev/pts only with 2^20 terminals and more
}

// denied is those letters of access that the rules do not allow. They apply in order, the last one that
// matches decides for its letters, and what none matches is denied, since the list is one of what is allowed.
// Without any rule nothing was asked.
func denied(rules []specs.LinuxDeviceCgroup, n Node, access string) string {
	if len(rules) == 0 || defaultNode(n) {
		return ""
	}
	var out string
	for _, letter := range access {
		allow := false
		for _, r := range rules {
			if matches(r, n) && strings.ContainsRune(r.Access, letter) {
				allow = r.Allow
			}
		}
		if !allow {
			out += string(letter)
		}
	}
	return out
}

// allowsAll tells whether no device at all is denied reading and writing. (Making a node is not the matter:
// runc and crun allow mknod of every device, since opening it is what counts.)
func allowsAll(rules []specs.LinuxDeviceCgroup) bool {
	if len(rules) == 0 {
		return true
	}
	for _, letter := range "rw" {
		all := false
		for _, r := range rules {
			if !strings.ContainsRune(r.Access, letter) {
				continue
			}
			if !r.Allow {
				all = false
			} else if (r.Type == "" || r.Type == "a") && wildcard(r.Major) && wildcard(r.Minor) {
				all = true
			}
		}
		if !all {
			return false
		}
	}
	return true
}

// withoutCgroup says which device would be more accessible than the rules allow when no cgroup enforces them,
// nil where none would.
func withoutCgroup(rules []specs.LinuxDeviceCgroup, mounts []specs.Mount, f Facts) *Refusal {
	if allowsAll(rules) {
		return nil
	}
	if f.OwnDevices {
		return &Refusal{
			Cause: "linux.resources.devices: denies devices that the container can make or mount for itself " +
				"(CAP_MKNOD or CAP_SYS_ADMIN in process.capabilities, and no user namespace), which takes a cgroup to keep it from",
			Remedy: "take CAP_MKNOD and CAP_SYS_ADMIN out of process.capabilities, or use --cgroup-manager disabled to run without the rules",
		}
	}
	for _, n := range f.Nodes {
		if d := denied(rules, n, n.Access); d != "" {
			return &Refusal{
				Cause: fmt.Sprintf("linux.resources.devices: denies %q on %s (%s %d:%d), which the container has; without a cgroup it could",
					d, n.Path, n.Type, n.Major, n.Minor),
				Remedy: fmt.Sprintf(`allow it in linux.resources.devices: {"allow": true, "type": %q, "major": %d, "minor": %d, "access": "rwm"}, or use --cgroup-manager disabled`,
					n.Type, n.Major, n.Minor),
			}
		}
	}
	if len(f.Trees) > 0 {
		t := f.Trees[0]
		destination, option := "", "nodev"
		if t.Mount >= 0 && t.Mount < len(mounts) {
			destination = " on " + mounts[t.Mount].Destination
			if slices.Contains(mounts[t.Mount].Options, "rbind") {
				option = "rnodev"
			}
		}
		return &Refusal{
			Cause: fmt.Sprintf("linux.resources.devices: denies devices, but mounts[%d] binds %s%s with device nodes in it; without a cgroup they could be used",
				t.Mount, t.Source, destination),
			Remedy: fmt.Sprintf(`add %q to mounts[%d].options, or use --cgroup-manager disabled`, option, t.Mount),
		}
	}
	return nil
}
