// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// checkResources judges values alone; whether a limit can be enforced here is
// the cgroup's affair. Fields that exist in cgroup v1 only pass at zero, for
// engines write them so, and are refused else.
func checkResources(r *specs.LinuxResources) error {
	if err := checkDeviceRules(r.Devices); err != nil {
		return err
	}
	if r.Memory != nil {
		if err := checkMemory(r.Memory); err != nil {
			return err
		}
	}
	if r.CPU != nil {
		if err := checkCPU(r.CPU); err != nil {
			return err
		}
	}
	if r.Pids != nil && r.Pids.Limit != nil && *r.Pids.Limit < -1 {
		return fmt.Errorf("linux.resources.pids.limit: %d is neither -1 (no limit) nor a number of tasks", *r.Pids.Limit)
	}
	if r.BlockIO != nil {
		if err := checkBlockIO(r.BlockIO); err != nil {
			return err
		}
	}
	if err := checkHugepages(r.HugepageLimits); err != nil {
		return err
	}
	if n := r.Network; n != nil {
		if n.ClassID != nil && *n.ClassID != 0 {
			return onlyV1("linux.resources.network.classID", *n.ClassID)
		}
		if len(n.Priorities) > 0 {
			return onlyV1("linux.resources.network.priorities", n.Priorities[0].Name)
		}
	}
	if err := checkRdma(r.Rdma); err != nil {
		return err
	}
	return checkUnified(r.Unified)
}

func onlyV1(where string, value any) error {
	if name, ok := value.(string); ok {
		value = strconv.Quote(name)
	}
	return fmt.Errorf("%s: %v is for cgroup v1, and this runtime uses cgroup v2 only", where, value)
}

func checkDeviceRules(rules []specs.LinuxDeviceCgroup) error {
	for i, r := range rules {
		where := fmt.Sprintf("linux.resources.devices[%d]", i)
		switch r.Type {
		case "", "a", "b", "c":
		default:
			return fmt.Errorf("%s.type: %q is none of a, b, c", where, r.Type)
		}
		if strings.Trim(r.Access, "rwm") != "" {
			return fmt.Errorf("%s.access: %q is not made of r, w, m", where, r.Access)
		}
		for _, n := range []struct {
			name  string
			value *int64
		}{{"major", r.Major}, {"minor", r.Minor}} {
			if n.value != nil && *n.value < -1 { // -1 is "all", as left out is
				return fmt.Errorf("%s.%s: %d is no device number", where, n.name, *n.value)
			}
		}
	}
	return nil
}

func checkMemory(m *specs.LinuxMemory) error {
	const where = "linux.resources.memory"
	for _, f := range []struct {
		name  string
		value *int64
	}{{"limit", m.Limit}, {"reservation", m.Reservation}, {"swap", m.Swap}} {
		if f.value != nil && *f.value < -1 {
			return fmt.Errorf("%s.%s: %d is neither -1 (no limit) nor a number of bytes", where, f.name, *f.value)
		}
	}
	// cgroup v2 counts swap apart: what is over the limit of memory is for swap.
	if m.Swap != nil && *m.Swap > 0 {
		if m.Limit == nil || *m.Limit <= 0 {
			return fmt.Errorf("%s.swap: %d is memory and swap together, and needs a limit of memory", where, *m.Swap)
		}
		if *m.Swap < *m.Limit {
			return fmt.Errorf("%s.swap: %d is memory and swap together, but below limit %d", where, *m.Swap, *m.Limit)
		}
	}
	//lint:ignore SA1019 read to refuse it
	if k := m.Kernel; k != nil && *k != 0 && *k != -1 {
		return onlyV1(where+".kernel", *k)
	}
	if k := m.KernelTCP; k != nil && *k != 0 && *k != -1 {
		return onlyV1(where+".kernelTCP", *k)
	}
	if m.Swappiness != nil && *m.Swappiness != 0 {
		return onlyV1(where+".swappiness", *m.Swappiness)
	}
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		return onlyV1(where+".disableOOMKiller", true)
	}
	return nil // useHierarchy: v2 always does
}

func checkCPU(c *specs.LinuxCPU) error {
	const where = "linux.resources.cpu"
	// kernel/sched/core.c: a millisecond at least, a second of period at most.
	if c.Period != nil && *c.Period != 0 && (*c.Period < 1000 || *c.Period > 1_000_000) {
		return fmt.Errorf("%s.period: %d is not from 1000 to 1000000 microseconds", where, *c.Period)
	}
	if q := c.Quota; q != nil && *q != 0 && *q != -1 && *q < 1000 {
		return fmt.Errorf("%s.quota: %d is neither -1 (no limit) nor 1000 microseconds or more", where, *q)
	}
	if c.Burst != nil && c.Quota != nil && *c.Quota > 0 && *c.Burst > uint64(*c.Quota) {
		return fmt.Errorf("%s.burst: %d is above quota %d", where, *c.Burst, *c.Quota)
	}
	if c.RealtimeRuntime != nil && *c.RealtimeRuntime != 0 {
		return onlyV1(where+".realtimeRuntime", *c.RealtimeRuntime)
	}
	if c.RealtimePeriod != nil && *c.RealtimePeriod != 0 {
		return onlyV1(where+".realtimePeriod", *c.RealtimePeriod)
	}
	if c.Idle != nil && *c.Idle != 0 && *c.Idle != 1 {
		return fmt.Errorf("%s.idle: %d is neither 0 nor 1", where, *c.Idle)
	}
	if err := checkNumbers(where+".cpus", c.Cpus, maxCPU); err != nil {
		return err
	}
	return checkNumbers(where+".mems", c.Mems, maxNode)
}

func checkBlockIO(b *specs.LinuxBlockIO) error {
	const where = "linux.resources.blockIO"
	if err := checkWeight(where, b.Weight, b.LeafWeight); err != nil {
		return err
	}
	for i, d := range b.WeightDevice {
		at := fmt.Sprintf("%s.weightDevice[%d]", where, i)
		if err := checkDeviceNumber(at, d.Major, d.Minor); err != nil {
			return err
		}
		if d.Weight == nil && d.LeafWeight == nil {
			return fmt.Errorf("%s: neither weight nor leafWeight", at)
		}
		if err := checkWeight(at, d.Weight, d.LeafWeight); err != nil {
			return err
		}
	}
	for _, list := range []struct {
		name    string
		devices []specs.LinuxThrottleDevice
	}{
		{"throttleReadBpsDevice", b.ThrottleReadBpsDevice},
		{"throttleWriteBpsDevice", b.ThrottleWriteBpsDevice},
		{"throttleReadIOPSDevice", b.ThrottleReadIOPSDevice},
		{"throttleWriteIOPSDevice", b.ThrottleWriteIOPSDevice},
	} {
		for i, d := range list.devices {
			if err := checkDeviceNumber(fmt.Sprintf("%s.%s[%d]", where, list.name, i), d.Major, d.Minor); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkWeight takes the range of cgroup v1, which the engines know.
func checkWeight(where string, weight, leaf *uint16) error {
	if leaf != nil && *leaf != 0 {
		return onlyV1(where+".leafWeight", *leaf)
	}
	if weight != nil && *weight != 0 && (*weight < 10 || *weight > 1000) {
		return fmt.Errorf("%s.weight: %d is not from 10 to 1000", where, *weight)
	}
	return nil
}

func checkHugepages(list []specs.LinuxHugepageLimit) error {
	for i, h := range list {
		digits := strings.TrimRight(h.Pagesize, "KMGB")
		unit := h.Pagesize[len(digits):]
		if !isNumber(digits) || digits == "0" || (unit != "KB" && unit != "MB" && unit != "GB") {
			return fmt.Errorf("linux.resources.hugepageLimits[%d].pageSize: %q is not such as \"2MB\"", i, shorten(h.Pagesize))
		}
	}
	return nil
}

func checkRdma(limits map[string]specs.LinuxRdma) error {
	for _, device := range slices.Sorted(maps.Keys(limits)) {
		where := fmt.Sprintf("linux.resources.rdma[%q]", device)
		if device == "" || strings.ContainsAny(device, " \t\n\x00/=") {
			return fmt.Errorf("%s: not a device's name", where)
		}
		if l := limits[device]; l.HcaHandles == nil && l.HcaObjects == nil {
			return fmt.Errorf("%s: neither hcaHandles nor hcaObjects", where)
		}
	}
	return nil
}

// checkUnified keeps the keys in the container's own cgroup directory.
func checkUnified(unified map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(unified)) {
		where := fmt.Sprintf("linux.resources.unified[%q]", key)
		if strings.Contains(key, "/") || !strings.Contains(strings.Trim(key, "."), ".") || !plainText(key) || path.Clean(key) != key {
			return fmt.Errorf("%s: not the name of a cgroup file such as \"memory.high\"", where)
		}
		if strings.IndexByte(unified[key], 0) >= 0 {
			return fmt.Errorf("%s: the value %q holds a NUL", where, shorten(unified[key]))
		}
	}
	return nil
}
