// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import "github.com/opencontainers/runtime-spec/specs-go"

// Group is where a container's processes are, as state.json has it: commands
// that come after create find everything here and take no flag.
type Group struct {
	// Manager is none, disabled, delegated, systemd or cgroupfs: one of the modes of a Plan.
	Manager string `json:"manager"`
	// Path is the cgroup of the container's processes, as /proc/PID/cgroup has it.
	Path string `json:"path,omitempty"`
	// Limits is the cgroup that carries the limits: Path, or the one above it.
	Limits string `json:"limits,omitempty"`
	// Unit is the name of the scope, of the system's systemd or of the user's.
	Unit   string `json:"unit,omitempty"`
	System bool   `json:"system,omitempty"`
	// Devices are the rules in force, by the filter or by what the container has.
	Devices []specs.LinuxDeviceCgroup `json:"devices,omitempty"`
	// Exposed: no filter enforces Devices, or none is there, so that they hold only as long as nobody in the container
	// has CAP_MKNOD or CAP_SYS_ADMIN.
	Exposed bool `json:"exposed,omitempty"`
	// Why a manager that was asked refused, where nothing depended on it.
	Why string `json:"why,omitempty"`
	// Made are the cgroups that mycr made and delete removes, the topmost first.
	Made []string `json:"made,omitempty"`
}

// String is what `state` prints: "systemd /user.slice/…", "none", or why there is none.
func (g *Group) String() string {
	switch {
	case g.Path != "":
		return g.Manager + " " + g.Path
	case g.Why != "":
		return g.Manager + ": " + g.Why
	}
	return g.Manager
}

// HasCgroup tells whether the container has a cgroup of its own, or left one.
func (g *Group) HasCgroup() bool { return g.Limits != "" || g.Unit != "" || len(g.Made) > 0 }

// Open opens the cgroup of the container's processes; nil where it has none.
func (g *Group) Open() (*Cgroup, error) {
	if g.Path == "" {
		return nil, nil
	}
	return Open(g.Path)
}

// File is one write to a file of a cgroup.
type File struct {
	Name  string // as cgroup-v2.rst of the kernel has it: cpu.max
	Value string
	Field string // what of config.json asks for it, for errors: linux.resources.cpu.quota: 50000
	Else  *File  // what is written where the kernel has no file Name
}

// Property is one of a systemd unit; see org.freedesktop.systemd1(5).
type Property struct {
	Name string // MemoryMax
	Type string // D-Bus signature: t, b, s, i, u, x, d, as, ay, a(st) …
	// Value is the value's text in the notation of GVariant without types: 134217728, true, "text",
	// ["a", "b"]; bytes are numbers, [1, 2].
	Value string
}

// Limits is what linux.resources means on cgroup v2, once for the kernel and
// once for systemd, so that they agree.
type Limits struct {
	Files       []File
	Properties  []Property
	Controllers []string // that the files need, sorted
}
