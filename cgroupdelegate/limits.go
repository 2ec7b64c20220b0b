// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// found collects what a bundle asks for, each as "linux.resources.memory.limit: 1048576".
type found struct{ limits, old []string }

func (a *found) limit(path string, value any) {
	a.limits = append(a.limits, fmt.Sprintf("linux.resources.%s: %v", path, value))
}

func (a *found) onlyV1(path string, value any) {
	a.old = append(a.old, fmt.Sprintf("linux.resources.%s: %v", path, value))
}

// asked lists the limits with an effect on cgroup v2, and the settings that only cgroup v1 has.
// Zero and what the specification calls unlimited are no limits: engines fill fields in with them.
func asked(r *specs.LinuxResources) (limits, old []string) {
	var a found
	if r.Memory != nil {
		a.memory(r.Memory)
	}
	if r.CPU != nil {
		a.cpu(r.CPU)
	}
	// Until runtime-spec 1.3 the field was no pointer, and engines sent 0 for no limit.
	if r.Pids != nil && positive(r.Pids.Limit) {
		a.limit("pids.limit", *r.Pids.Limit)
	}
	if r.BlockIO != nil {
		a.blockIO(r.BlockIO)
	}
	for i, h := range r.HugepageLimits { // 0 is a limit here: no huge page at all
		a.limit(fmt.Sprintf("hugepageLimits[%d]", i), fmt.Sprintf("%s %d", h.Pagesize, h.Limit))
	}
	if r.Network != nil {
		if r.Network.ClassID != nil && *r.Network.ClassID != 0 {
			a.onlyV1("network.classID", *r.Network.ClassID)
		}
		for i, p := range r.Network.Priorities {
			a.onlyV1(fmt.Sprintf("network.priorities[%d]", i), fmt.Sprintf("%s %d", p.Name, p.Priority))
		}
	}
	for _, name := range sortedKeys(r.Rdma) {
		if v := r.Rdma[name].HcaHandles; v != nil {
			a.limit(fmt.Sprintf("rdma[%q].hcaHandles", name), *v)
		}
		if v := r.Rdma[name].HcaObjects; v != nil {
			a.limit(fmt.Sprintf("rdma[%q].hcaObjects", name), *v)
		}
	}
	for _, name := range sortedKeys(r.Unified) {
		if r.Unified[name] != "max" {
			a.limit(fmt.Sprintf("unified[%q]", name), r.Unified[name])
		}
	}
	return a.limits, a.old
}

func (a *found) memory(m *specs.LinuxMemory) {
	if positive(m.Limit) {
		a.limit("memory.limit", *m.Limit)
	}
	if positive(m.Reservation) {
		a.limit("memory.reservation", *m.Reservation)
	}
	if positive(m.Swap) {
		a.limit("memory.swap", *m.Swap)
	}
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
	// useHierarchy is what cgroup v2 always does; checkBeforeUpdate is about a limit that is not there.
}

func (a *found) cpu(c *specs.LinuxCPU) {
	// 1024 is the kernel's default weight, which containerd always writes.
	if c.Shares != nil && *c.Shares != 0 && *c.Shares != 1024 {
		a.limit("cpu.shares", *c.Shares)
	}
	if positive(c.Quota) { // a period without a quota limits nothing
		a.limit("cpu.quota", *c.Quota)
	}
	if c.Burst != nil && *c.Burst != 0 {
		a.limit("cpu.burst", *c.Burst)
	}
	if c.RealtimeRuntime != nil && *c.RealtimeRuntime != 0 {
		a.onlyV1("cpu.realtimeRuntime", *c.RealtimeRuntime)
	}
	if c.RealtimePeriod != nil && *c.RealtimePeriod != 0 {
		a.onlyV1("cpu.realtimePeriod", *c.RealtimePeriod)
	}
	if c.Cpus != "" {
		a.limit("cpu.cpus", c.Cpus)
	}
	if c.Mems != "" {
		a.limit("cpu.mems", c.Mems)
	}
	if c.Idle != nil && *c.Idle != 0 {
		a.limit("cpu.idle", *c.Idle)
	}
}

func (a *found) blockIO(b *specs.LinuxBlockIO) {
	if b.Weight != nil && *b.Weight != 0 {
		a.limit("blockIO.weight", *b.Weight)
	}
	if b.LeafWeight != nil && *b.LeafWeight != 0 {
		a.onlyV1("blockIO.leafWeight", *b.LeafWeight)
	}
	for i, d := range b.WeightDevice {
		if d.Weight != nil && *d.Weight != 0 {
			a.limit(fmt.Sprintf("blockIO.weightDevice[%d]", i), fmt.Sprintf("%d:%d %d", d.Major, d.Minor, *d.Weight))
		}
		if d.LeafWeight != nil && *d.LeafWeight != 0 {
			a.onlyV1(fmt.Sprintf("blockIO.weightDevice[%d].leafWeight", i), *d.LeafWeight)
		}
	}
	a.throttle("throttleReadBpsDevice", b.ThrottleReadBpsDevice)
	a.throttle("throttleWriteBpsDevice", b.ThrottleWriteBpsDevice)
	a.throttle("throttleReadIOPSDevice", b.ThrottleReadIOPSDevice)
	a.throttle("throttleWriteIOPSDevice", b.ThrottleWriteIOPSDevice)
}

func (a *found) throttle(name string, devices []specs.LinuxThrottleDevice) {
	for i, d := range devices {
		if d.Rate != 0 {
			a.limit(fmt.Sprintf("blockIO.%s[%d]", name, i), fmt.Sprintf("%d:%d %d", d.Major, d.Minor, d.Rate))
		}
	}
}

// positive: -1 is unlimited, 0 is what engines send for nothing.
func positive(v *int64) bool { return v != nil && *v > 0 }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
