// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import "github.com/opencontainers/runtime-spec/specs-go"

func (a *asked) memory(m *specs.LinuxMemory) {
	limit, limited := a.amount("memory.limit", m.Limit)
	if limited {
		a.set("memory.max", limit.value, limit.field)
	}
	// A soft limit that is none is what a new cgroup has. In update -1 is "max", as runc and crun have it.
	if low, given := a.amount("memory.reservation", m.Reservation); given && (low.value != unlimited || a.was != nil) {
		a.set("memory.low", low.value, low.field)
	}
	a.swap(m, limit, limited)
	a.checkUsage(m)

	//lint:ignore SA1019 it has to be read to be refused
	if kernel := m.Kernel; positive(kernel) {
		a.onlyV1("memory.kernel", *kernel)
	}
	if positive(m.KernelTCP) {
		a.onlyV1("memory.kernelTCP", *m.KernelTCP)
	}
	if m.Swappiness != nil && *m.Swappiness != 0 {
		a.onlyV1("memory.swappiness", *m.Swappiness)
	}
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		a.onlyV1("memory.disableOOMKiller", true)
	}
	// useHierarchy is what cgroup v2 always does.
}

// swap turns the specification's limit of memory and swap together into the
// kernel's, which is of swap alone. The texts are runc's.
func (a *asked) swap(m *specs.LinuxMemory, limit number, limited bool) {
	const tooSmall = "memory+swap limit should be >= memory limit"
	total, given := a.amount("memory.swap", m.Swap)
	was := inForce{memory: unlimited, swap: unlimited}
	if a.was != nil {
		was = *a.was
	}
	switch {
	case !given && !limited:
	case !given && limit.value == unlimited: // runc lifts both then
		a.set("memory.swap.max", unlimited, limit.field)
	case !given && (was.memory == unlimited || was.swap == unlimited):
	case !given: // what both are together stays, as with cgroup v1
		if total.value = was.memory + was.swap; total.value < limit.value {
			a.refuse(limit.field, tooSmall+", which is %d; memory.swap has to be raised with it", total.value)
		}
		a.set("memory.swap.max", total.value-limit.value, limit.field)
	case total.value == unlimited || limit.value == unlimited:
		a.set("memory.swap.max", total.value, total.field)
	case !limited && was.memory == unlimited:
		a.refuse(total.field, "unable to set swap limit without memory limit")
	default:
		if !limited {
			limit.value = was.memory
		}
		if total.value < limit.value {
			a.refuse(total.field, tooSmall+", which is %d", limit.value)
		}
		a.set("memory.swap.max", total.value-limit.value, total.field)
	}
}

// checkUsage is checkBeforeUpdate: cgroup v2 would kill where cgroup v1 refused.
// The texts are runc's.
func (a *asked) checkUsage(m *specs.LinuxMemory) {
	if a.was == nil || m.CheckBeforeUpdate == nil || !*m.CheckBeforeUpdate {
		return
	}
	if !a.was.memoryKnown && (positive(m.Limit) || positive(m.Swap)) {
		a.refuse(field("memory.checkBeforeUpdate", true), "the cgroup does not tell what it uses (memory.current)")
	}
	if used := a.was.memoryUsed + a.was.swapUsed; positive(m.Swap) && uint64(*m.Swap) <= used {
		a.refuse(field("memory.swap", *m.Swap), "rejecting memory+swap limit %d <= usage %d", *m.Swap, used)
	}
	if used := a.was.memoryUsed; positive(m.Limit) && uint64(*m.Limit) <= used {
		a.refuse(field("memory.limit", *m.Limit), "rejecting memory limit %d <= usage %d", *m.Limit, used)
	}
}

// positive: -1 is unlimited, 0 is what engines send for nothing.
func positive(v *int64) bool { return v != nil && *v > 0 }
