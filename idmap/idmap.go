// SPDX-License-Identifier: Apache-2.0

// Package idmap decides which user and group ids of a container stand for which ids outside,
// and writes that into /proc/PID/uid_map and gid_map: by itself where the kernel lets it,
// else through newuidmap(1) and newgidmap(1). See user_namespaces(7) and subuid(5).
package idmap

import "strconv"

// Map is one line of a uid_map or gid_map: Size ids from ContainerID on, inside,
// are the ids from HostID on, as the user namespace that mycr runs in sees them.
type Map struct{ ContainerID, HostID, Size uint32 }

// Range is Size ids from Start on.
type Range struct{ Start, Size uint32 }

// idEnd is one above the highest id: 4294967295 is (uid_t)-1, "no id".
const idEnd = 1<<32 - 1

// ToHost gives the id outside for an id inside, false where it is unmapped.
func ToHost(maps []Map, id uint32) (uint32, bool) {
	for _, m := range maps {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return m.HostID + (id - m.ContainerID), true
		}
	}
	return 0, false
}

// ToContainer gives the id inside for an id outside, false where it is unmapped.
func ToContainer(maps []Map, id uint32) (uint32, bool) {
	for _, m := range maps {
		if id >= m.HostID && id-m.HostID < m.Size {
			return m.ContainerID + (id - m.HostID), true
		}
	}
	return 0, false
}

// Identity tells whether every id stands for itself, as in the first user namespace of a host.
func Identity(maps []Map) bool {
	return len(maps) == 1 && maps[0] == Map{0, 0, idEnd}
}

// text is what the kernel is given: a line for each map.
func text(maps []Map) []byte {
	var b []byte
	for _, m := range maps {
		b = strconv.AppendUint(b, uint64(m.ContainerID), 10)
		b = append(b, ' ')
		b = strconv.AppendUint(b, uint64(m.HostID), 10)
		b = append(b, ' ')
		b = strconv.AppendUint(b, uint64(m.Size), 10)
		b = append(b, '\n')
	}
	return b
}

// Refusal is an error that knows what to type against it.
type Refusal struct {
	Cause  string
	Remedy string // one thing to type or to do; "" where none is known
	Err    error  // what the system said, if anything
}

func (r *Refusal) Error() string { return r.Cause }
func (r *Refusal) Unwrap() error { return r.Err }

// Hint is the one thing to type, for the line below the error.
func (r *Refusal) Hint() string { return r.Remedy }
