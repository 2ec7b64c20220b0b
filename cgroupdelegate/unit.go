// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"context"
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"
)

// longestUnit is systemd's UNIT_NAME_MAX without its NUL.
const longestUnit = 255

// unitPath is what a cgroupsPath of the form slice:prefix:name asks for.
type unitPath struct {
	Slice string
	Unit  string // prefix-name.scope
}

// parseCgroupsPath reads a cgroupsPath for systemd's manager. An empty one is
// the default of id; see "Systemd cgroup driver" of runc's docs/systemd.md.
func parseCgroupsPath(cgroupsPath, id string, system bool) (unitPath, error) {
	u := unitPath{Slice: "user.slice"}
	if system {
		u.Slice = "system.slice"
	}
	prefix, name := "mycr", id
	if cgroupsPath != "" {
		parts := strings.Split(cgroupsPath, ":")
		if len(parts) != 3 {
			return unitPath{}, fmt.Errorf(`expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got %q instead`, cgroupsPath)
		}
		if parts[0] != "" {
			u.Slice = parts[0]
		}
		prefix, name = parts[1], parts[2]
	}
	if _, err := slicePath(u.Slice); err != nil {
		return unitPath{}, fmt.Errorf("linux.cgroupsPath %q: %w", cgroupsPath, err)
	}
	switch {
	case name == "":
		return unitPath{}, fmt.Errorf("linux.cgroupsPath %q: the name is empty", cgroupsPath)
	case strings.HasSuffix(name, ".slice"):
		// runc makes a slice then, for kubelet, which puts no process into it; see systemd.slice(5).
		return unitPath{}, &Refusal{
			Cause:  fmt.Sprintf("linux.cgroupsPath %q: a container's processes cannot be in a slice", cgroupsPath),
			Remedy: "a name that does not end in .slice",
		}
	}
	u.Unit = escapeUnit(prefix+"-"+name) + ".scope"
	if len(u.Unit) > longestUnit {
		return unitPath{}, &Refusal{
			Cause:  fmt.Sprintf("%s: systemd allows %d bytes in the name of a unit, and these are %d", u.Unit, longestUnit, len(u.Unit)),
			Remedy: "a shorter id, or a shorter name in linux.cgroupsPath",
		}
	}
	return u, nil
}

// escapeUnit writes what may not be in a unit's name as \xNN, as
// systemd-escape(1) does, but keeps the dash, as runc and crun do: engines
// compute the same name. An @ would make the unit an instance of a template.
func escapeUnit(name string) string {
	var s strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '-', c == '_', c == ':', c == '.' && i > 0:
			s.WriteByte(c)
		default:
			fmt.Fprintf(&s, `\x%02x`, c)
		}
	}
	return s.String()
}

// slicePath returns where a slice is below its manager's own cgroup: a dash is
// one level, user-foo.slice is in user.slice; see systemd.slice(5).
func slicePath(slice string) (string, error) {
	name, ok := strings.CutSuffix(slice, ".slice")
	if !ok || name == "" || len(slice) > longestUnit || escapeUnit(strings.ReplaceAll(name, `\`, "")) != strings.ReplaceAll(name, `\`, "") {
		return "", fmt.Errorf("invalid slice name: %s", slice)
	}
	if name == "-" {
		return "/", nil
	}
	var full, parents string
	for part := range strings.SplitSeq(name, "-") {
		if part == "" {
			return "", fmt.Errorf("invalid slice name: %s", slice)
		}
		full += "/" + parents + part + ".slice"
		parents += part + "-"
	}
	return full, nil
}

// shellWord quotes a unit's name for a hint where a shell would read it as more: escapes have a backslash.
func shellWord(s string) string {
	if strings.ContainsRune(s, '\\') {
		return "'" + s + "'"
	}
	return s
}

// delegates asks whether a unit of the manager has Delegate=yes.
func (m manager) delegates(unit string) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := m.dial(ctx)
	if err != nil {
		return false, err
	}
	defer b.close()
	defer b.until(ctx)()
	kind := managerIface[:strings.LastIndexByte(managerIface, '.')]
	if strings.HasSuffix(unit, ".scope") {
		kind += ".Scope"
	} else {
		kind += ".Service"
	}
	body, err := b.answer(ctx, b.call(systemdName, unitObject(unit), "org.freedesktop.DBus.Properties.Get", kind, "Delegate"))
	if err != nil {
		return false, b.refused("ask about "+unit, err)
	}
	value, _ := first[dbus.Variant](body)
	delegate, _ := value.Value().(bool)
	return delegate, nil
}

// unitObject is the path of a unit's object, in which what is no letter or
// digit is its number; see sd_bus_path_encode(3).
func unitObject(unit string) string {
	var s strings.Builder
	s.WriteString(systemdPath + "/unit/")
	for i := range len(unit) {
		switch c := unit[i]; {
		case '0' <= c && c <= '9' && i > 0, 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			s.WriteByte(c)
		default:
			fmt.Fprintf(&s, "_%02x", c)
		}
	}
	return s.String()
}
