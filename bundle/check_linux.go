// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// checkLinux checks the linux object but for its namespaces.
func checkLinux(spec *specs.Spec, l *specs.Linux) error {
	if err := checkUserMappings(l); err != nil {
		return err
	}
	if err := checkSysctls(spec, l); err != nil {
		return err
	}
	if err := checkDevices(l.Devices); err != nil {
		return err
	}
	if err := checkCoveredPaths("linux.maskedPaths", l.MaskedPaths, true); err != nil {
		return err
	}
	if err := checkCoveredPaths("linux.readonlyPaths", l.ReadonlyPaths, false); err != nil {
		return err
	}
	switch l.RootfsPropagation {
	case "", "shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable":
	default:
		return fmt.Errorf("linux.rootfsPropagation: %q is not known", l.RootfsPropagation)
	}
	if !plainText(l.MountLabel) {
		return fmt.Errorf("linux.mountLabel: %q holds a control character", l.MountLabel)
	}
	if l.IntelRdt != nil {
		return notDone("linux.intelRdt", "this runtime does not manage resctrl")
	}
	if len(l.NetDevices) > 0 {
		return notDone("linux.netDevices", "this runtime does not move network devices")
	}
	if l.MemoryPolicy != nil {
		if err := checkMemoryPolicy(l.MemoryPolicy); err != nil {
			return err
		}
	}
	if l.Personality != nil {
		if err := checkPersonality(l.Personality); err != nil {
			return err
		}
	}
	if err := checkTimeOffsets(l); err != nil {
		return err
	}
	if err := checkCgroupsPath(l.CgroupsPath); err != nil {
		return err
	}
	if l.Resources != nil {
		return checkResources(l.Resources)
	}
	return nil
}

func checkNamespaces(list []specs.LinuxNamespace) error {
	for i, n := range list {
		where := fmt.Sprintf("linux.namespaces[%d]", i)
		switch n.Type {
		case specs.PIDNamespace, specs.NetworkNamespace, specs.MountNamespace, specs.IPCNamespace,
			specs.UTSNamespace, specs.UserNamespace, specs.CgroupNamespace, specs.TimeNamespace:
		default:
			return fmt.Errorf("%s.type: %q is not known", where, n.Type)
		}
		for _, earlier := range list[:i] {
			if earlier.Type == n.Type {
				return fmt.Errorf("%s.type: %q is given twice", where, n.Type)
			}
		}
		if n.Path != "" {
			if err := checkAbsolute(where+".path", n.Path); err != nil {
				return err
			}
		}
	}
	if namespaceOf(list, specs.MountNamespace) == nil {
		return errors.New("linux.namespaces: no mount namespace: the container's mounts would be made on the host")
	}
	return nil
}

// checkUserMappings asks for a user namespace where ids are mapped: without
// one the ids would be the host's, and the file reads as if they were not. A
// joined namespace may come with the mappings that it has (containerd's pods
// are given so).
func checkUserMappings(l *specs.Linux) error {
	uids, gids := len(l.UIDMappings) > 0, len(l.GIDMappings) > 0
	switch {
	case (uids || gids) && namespaceOf(l.Namespaces, specs.UserNamespace) == nil:
		where := "linux.uidMappings"
		if !uids {
			where = "linux.gidMappings"
		}
		return fmt.Errorf("%s: needs a user namespace in linux.namespaces", where)
	case uids && !gids:
		return errors.New("linux.gidMappings: empty, but linux.uidMappings is not: they come together")
	case gids && !uids:
		return errors.New("linux.uidMappings: empty, but linux.gidMappings is not: they come together")
	}
	if err := checkMappings("linux.uidMappings", l.UIDMappings); err != nil {
		return err
	}
	return checkMappings("linux.gidMappings", l.GIDMappings)
}

func checkDevices(list []specs.LinuxDevice) error {
	for i, d := range list {
		where := fmt.Sprintf("linux.devices[%d]", i)
		if err := checkAbsolute(where+".path", d.Path); err != nil {
			return err
		}
		if path.Clean(d.Path) != d.Path || d.Path == "/" {
			return fmt.Errorf("%s.path: %q is not the plain path of a file, %q would be", where, d.Path, path.Clean(d.Path))
		}
		var kind uint32 // S_IFMT's bits
		switch d.Type {
		case "c", "u":
			kind = 0o020000
		case "b":
			kind = 0o060000
		case "p":
			kind = 0o010000
		default:
			return fmt.Errorf("%s.type: %q is none of c, b, u, p", where, d.Type)
		}
		if d.Type != "p" {
			if err := checkDeviceNumber(where, d.Major, d.Minor); err != nil {
				return err
			}
		}
		// Engines that copy st_mode leave the bits of the type in it.
		if d.FileMode != nil {
			mode := uint32(*d.FileMode)
			if bits := mode &^ 0o7777; bits != 0 && bits != kind {
				return fmt.Errorf("%s.fileMode: %d (octal %o) is no mode of a %q device", where, mode, mode, d.Type)
			}
		}
		if d.UID != nil && *d.UID == noID {
			return fmt.Errorf("%s.uid: %d is no user id", where, *d.UID)
		}
		if d.GID != nil && *d.GID == noID {
			return fmt.Errorf("%s.gid: %d is no group id", where, *d.GID)
		}
	}
	return nil
}

// checkDeviceNumber holds to the kernel's dev_t: 12 bits major, 20 bits minor.
func checkDeviceNumber(where string, major, minor int64) error {
	if major < 0 || major > 1<<12-1 {
		return fmt.Errorf("%s.major: %d is not from 0 to 4095", where, major)
	}
	if minor < 0 || minor > 1<<20-1 {
		return fmt.Errorf("%s.minor: %d is not from 0 to 1048575", where, minor)
	}
	return nil
}

// checkCoveredPaths is for maskedPaths and readonlyPaths. A path with ".."
// names another place than it seems to, so that what is meant stays open.
func checkCoveredPaths(where string, list []string, masked bool) error {
	for i, p := range list {
		at := fmt.Sprintf("%s[%d]", where, i)
		if err := checkAbsolute(at, p); err != nil {
			return err
		}
		if hasDotDot(p) {
			return fmt.Errorf("%s: %q holds \"..\"", at, p)
		}
		if masked && path.Clean(p) == "/" {
			return fmt.Errorf("%s: %q would mask the whole container", at, p)
		}
	}
	return nil
}

// checkMemoryPolicy follows set_mempolicy(2).
func checkMemoryPolicy(m *specs.LinuxMemoryPolicy) error {
	const where = "linux.memoryPolicy"
	nodes := m.Nodes != ""
	switch m.Mode {
	case specs.MpolDefault, specs.MpolLocal:
		if nodes {
			return fmt.Errorf("%s.nodes: %q: %s takes no nodes", where, m.Nodes, m.Mode)
		}
	case specs.MpolBind, specs.MpolInterleave, specs.MpolWeightedInterleave, specs.MpolPreferredMany:
		if !nodes {
			return fmt.Errorf("%s.nodes: missing or empty: %s needs one node at least", where, m.Mode)
		}
	case specs.MpolPreferred:
	default:
		return fmt.Errorf("%s.mode: %q is not known, see set_mempolicy(2)", where, m.Mode)
	}
	if err := checkNumbers(where+".nodes", m.Nodes, maxNode); err != nil {
		return err
	}
	for i, flag := range m.Flags {
		at := fmt.Sprintf("%s.flags[%d]", where, i)
		switch flag {
		case specs.MpolFNumaBalancing:
			if m.Mode != specs.MpolBind && m.Mode != specs.MpolPreferredMany {
				return fmt.Errorf("%s: %q is not for %s", at, flag, m.Mode)
			}
		case specs.MpolFStaticNodes, specs.MpolFRelativeNodes:
			if !nodes {
				return fmt.Errorf("%s: %q needs nodes", at, flag)
			}
		default:
			return fmt.Errorf("%s: %q is not known, see set_mempolicy(2)", at, flag)
		}
	}
	if slices.Contains(m.Flags, specs.MpolFStaticNodes) && slices.Contains(m.Flags, specs.MpolFRelativeNodes) {
		return fmt.Errorf("%s.flags: MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other", where)
	}
	return nil
}

// checkPersonality refuses every flag: the specification defines none.
func checkPersonality(p *specs.LinuxPersonality) error {
	if p.Domain != specs.PerLinux && p.Domain != specs.PerLinux32 {
		return fmt.Errorf("linux.personality.domain: %q is neither LINUX nor LINUX32", p.Domain)
	}
	if len(p.Flags) > 0 {
		return notDone("linux.personality.flags", fmt.Sprintf("%q is not defined", p.Flags[0]))
	}
	return nil
}

// checkTimeOffsets asks for a new time namespace: the offsets of one that has
// processes cannot be changed, see time_namespaces(7).
func checkTimeOffsets(l *specs.Linux) error {
	for _, clock := range slices.Sorted(maps.Keys(l.TimeOffsets)) {
		where := fmt.Sprintf("linux.timeOffsets[%q]", clock)
		if clock != "monotonic" && clock != "boottime" {
			return fmt.Errorf("%s: neither monotonic nor boottime", where)
		}
		if n := l.TimeOffsets[clock].Nanosecs; n > 999_999_999 {
			return fmt.Errorf("%s.nanosecs: %d is above 999999999", where, n)
		}
	}
	if len(l.TimeOffsets) == 0 {
		return nil
	}
	switch n := namespaceOf(l.Namespaces, specs.TimeNamespace); {
	case n == nil:
		return errors.New("linux.timeOffsets: needs a time namespace in linux.namespaces")
	case n.Path != "":
		return fmt.Errorf("linux.timeOffsets: the offsets of the joined time namespace %q cannot be changed", n.Path)
	}
	return nil
}

// checkCgroupsPath takes a path, or systemd's slice:prefix:name.
func checkCgroupsPath(p string) error {
	const where = "linux.cgroupsPath"
	if p == "" {
		return nil
	}
	if err := checkFilePath(where, p); err != nil {
		return err
	}
	if !plainText(p) {
		return fmt.Errorf("%s: %q holds a control character", where, p)
	}
	if hasDotDot(p) {
		return fmt.Errorf("%s: %q holds \"..\"", where, p)
	}
	return nil
}
