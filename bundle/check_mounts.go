// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// checkMounts judges paths by their text; what symbolic links of the rootfs
// make of them is judged where they are opened. A relative destination is
// relative to "/", by the specification's word; one of type and options
// unknown here is the file system's affair.
func checkMounts(mounts []specs.Mount) error {
	for i := range mounts {
		m := &mounts[i]
		where := fmt.Sprintf("mounts[%d]", i)
		if err := checkFilePath(where+".destination", m.Destination); err != nil {
			return err
		}
		destination := path.Clean("/" + m.Destination)
		if destination == "/" {
			return fmt.Errorf("%s.destination: %q is the root filesystem itself, which root.path gives", where, m.Destination)
		}
		if strings.IndexByte(m.Source, 0) >= 0 || strings.IndexByte(m.Type, 0) >= 0 {
			return fmt.Errorf("%s: source %q or type %q holds a NUL", where, shorten(m.Source), shorten(m.Type))
		}
		if err := checkNUL(where+".options", m.Options); err != nil {
			return err
		}
		bind := m.Type == "bind" || slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind")
		if bind && !slices.Contains(m.Options, "remount") {
			if err := checkFilePath(where+".source", m.Source); err != nil {
				return err
			}
		}
		if err := checkBelowProc(where, destination, m, bind); err != nil {
			return err
		}
		if err := checkMountMappings(where, m); err != nil {
			return err
		}
	}
	return nil
}

// checkBelowProc refuses mounts over parts of /proc, as runc does since
// CVE-2019-16884 and CVE-2019-19921: whoever covers /proc/self/attr or
// /proc/sys decides what is written there on the way in. The exceptions are
// files that lxcfs and checkpointing provide.
func checkBelowProc(where, destination string, m *specs.Mount, bind bool) error {
	if destination == "/proc" {
		if m.Type == "proc" || bind { // that the source of a bind is a procfs is seen when it is opened
			return nil
		}
		return fmt.Errorf("%s: type %q on \"/proc\": only proc, or a bind of one, can be mounted there", where, m.Type)
	}
	below, ok := strings.CutPrefix(destination, "/proc/")
	if !ok {
		return nil
	}
	switch below {
	case "cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo",
		"sys/kernel/ns_last_pid", "sys/crypto/fips_enabled":
		return nil
	}
	return fmt.Errorf("%s.destination: %q cannot be mounted because it is inside /proc", where, m.Destination)
}

func checkMountMappings(where string, m *specs.Mount) error {
	uids, gids := len(m.UIDMappings) > 0, len(m.GIDMappings) > 0
	if uids != gids {
		given, missing := "uidMappings", "gidMappings"
		if gids {
			given, missing = missing, given
		}
		return fmt.Errorf("%s.%s: empty, but %s is not: they come together", where, missing, given)
	}
	if err := checkMappings(where+".uidMappings", m.UIDMappings); err != nil {
		return err
	}
	return checkMappings(where+".gidMappings", m.GIDMappings)
}

// maxMappings is what the kernel takes, see user_namespaces(7).
const maxMappings = 340

// checkMappings holds a map to what writing /proc/PID/uid_map asks.
func checkMappings(where string, list []specs.LinuxIDMapping) error {
	if len(list) > maxMappings {
		return fmt.Errorf("%s: %d lines are too many, the kernel takes %d", where, len(list), maxMappings)
	}
	for i, m := range list {
		if m.Size == 0 {
			return fmt.Errorf("%s[%d].size: 0 maps nothing", where, i)
		}
		if uint64(m.ContainerID)+uint64(m.Size) > noID {
			return fmt.Errorf("%s[%d]: containerID %d with size %d goes beyond the last id, %d", where, i, m.ContainerID, m.Size, uint32(noID-1))
		}
		if uint64(m.HostID)+uint64(m.Size) > noID {
			return fmt.Errorf("%s[%d]: hostID %d with size %d goes beyond the last id, %d", where, i, m.HostID, m.Size, uint32(noID-1))
		}
		for j, o := range list[:i] {
			if overlap(m.ContainerID, m.Size, o.ContainerID, o.Size) {
				return fmt.Errorf("%s[%d]: containerID %d with size %d overlaps with [%d]: containerID %d with size %d",
					where, i, m.ContainerID, m.Size, j, o.ContainerID, o.Size)
			}
			if overlap(m.HostID, m.Size, o.HostID, o.Size) {
				return fmt.Errorf("%s[%d]: hostID %d with size %d overlaps with [%d]: hostID %d with size %d",
					where, i, m.HostID, m.Size, j, o.HostID, o.Size)
			}
		}
	}
	return nil
}

func overlap(a, aSize, b, bSize uint32) bool {
	return uint64(a) < uint64(b)+uint64(bSize) && uint64(b) < uint64(a)+uint64(aSize)
}
