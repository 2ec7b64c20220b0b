// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// What a new cgroup has, and the bounds of kernel/sched/core.c, in microseconds.
const (
	usualPeriod = 100_000
	usualWeight = 100
	minPeriod   = 1_000 // and the least quota
	maxPeriod   = 1_000_000
	maxQuota    = 1<<44 - 1 // 203 days
)

func (a *asked) cpu(c *specs.LinuxCPU) {
	if c.Shares != nil && *c.Shares != 0 {
		a.set("cpu.weight", weightOf(*c.Shares), field("cpu.shares", *c.Shares))
	}
	if c.Idle != nil {
		a.idle(number{uint64(*c.Idle), field("cpu.idle", *c.Idle)})
	}
	if c.Quota != nil && *c.Quota != 0 { // all below 0 are no limit, for runc too
		a.quota = &number{uint64(max(*c.Quota, -1)), field("cpu.quota", *c.Quota)}
	}
	if c.Period != nil && *c.Period != 0 {
		a.period = &number{*c.Period, field("cpu.period", *c.Period)}
	}
	if c.Burst != nil {
		a.set("cpu.max.burst", *c.Burst, field("cpu.burst", *c.Burst))
	}
	if c.Cpus != "" {
		a.cpus = a.list(c.Cpus, field("cpu.cpus", c.Cpus))
	}
	if c.Mems != "" {
		a.mems = a.list(c.Mems, field("cpu.mems", c.Mems))
	}
	if c.RealtimeRuntime != nil && *c.RealtimeRuntime != 0 {
		a.onlyV1("cpu.realtimeRuntime", *c.RealtimeRuntime)
	}
	if c.RealtimePeriod != nil && *c.RealtimePeriod != 0 {
		a.onlyV1("cpu.realtimePeriod", *c.RealtimePeriod)
	}
}

// weightOf turns cgroup v1's shares (2 to 262144, usually 1024) into a weight (1
// to 10000, usually 100): the exponent of ten is the quadratic function of the
// exponent of two through these three points. So do runc since 1.3.2 and crun
// since 1.23; before, a straight line made 39 of 1024. See Kubernetes issue 131216.
func weightOf(shares uint64) uint64 {
	const least, most = 2, 1 << 18
	switch {
	case shares <= least:
		return 1
	case shares >= most:
		return 10_000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}

func (a *asked) idle(n number) {
	if n.value > 1 {
		a.refuse(n.field, "is neither 0 nor 1")
	}
	a.set("cpu.idle", n.value, n.field)
}

// cpuWeight: an idle cgroup has no weight, neither in the kernel, where writing
// one is EINVAL, nor in systemd, where idle is the weight 0 (since version 252).
func (a *asked) cpuWeight(l *Limits) {
	idle, idleGiven := a.numbers["cpu.idle"]
	weight, weighted := a.numbers["cpu.weight"]
	wasIdle := a.was != nil && a.was.idle
	if idle.value == 1 {
		if weighted && weight.value != usualWeight {
			a.refuse(weight.field, "contradicts %s: an idle cgroup has no weight", idle.field)
		}
		l.file("cpu.idle", "1", idle.field)
		l.property("CPUWeight", 0)
		return
	}
	if wasIdle && weighted && !idleGiven {
		a.refuse(weight.field, "the cgroup is idle and has no weight; cpu.idle has to be 0 with it")
	}
	if idleGiven && !a.usual(0, 0) { // before the weight
		l.file("cpu.idle", "0", idle.field)
	}
	switch {
	case weighted && !a.usual(weight.value, usualWeight):
		l.file("cpu.weight", strconv.FormatUint(weight.value, 10), weight.field)
		l.property("CPUWeight", weight.value)
	case wasIdle && idleGiven:
		l.property("CPUWeight", usualWeight) // which the kernel gives it
	}
}

// cpuTime is cpu.max and cpu.max.burst. What is not asked stays as it was.
func (a *asked) cpuTime(l *Limits) {
	was := inForce{quota: unlimited, period: usualPeriod}
	if a.was != nil {
		was = *a.was
	}
	quota, period, asking := was.quota, was.period, ""
	if a.period != nil {
		period, asking = a.period.value, a.period.field
		if period < minPeriod || period > maxPeriod {
			a.refuse(a.period.field, "the kernel takes a period of %d to %d microseconds", minPeriod, maxPeriod)
		}
	}
	if a.quota != nil {
		quota, asking = a.quota.value, a.quota.field
		if quota != unlimited && (quota < minPeriod || quota > maxQuota) {
			a.refuse(a.quota.field, "the kernel takes a quota of %d to %d microseconds", minPeriod, uint64(maxQuota))
		}
	}
	burst, bursting := a.numbers["cpu.max.burst"]
	switch {
	case quota == unlimited:
	case bursting && (burst.value > quota || burst.value+quota > maxQuota):
		a.refuse(burst.field, "is too much for the quota of %d microseconds", quota)
	case !bursting && asking != "" && (was.burst > quota || was.burst+quota > maxQuota):
		a.refuse(asking, "does not go with the burst of %d microseconds that the cgroup has (cpu.max.burst)", was.burst)
	}
	writeBurst := bursting && !a.usual(burst.value, 0)
	// The kernel refuses a burst above the quota of the moment, and a quota below the burst of the moment.
	first := a.was != nil && burst.value <= was.quota
	if writeBurst && first {
		l.file("cpu.max.burst", strconv.FormatUint(burst.value, 10), burst.field)
	}
	if asking != "" && (a.was != nil || quota != unlimited || period != usualPeriod) {
		l.file("cpu.max", maxOr(quota)+" "+strconv.FormatUint(period, 10), asking)
		l.property("CPUQuotaPeriodUSec", period)
		l.property("CPUQuotaPerSecUSec", perSecond(quota, period))
	}
	if writeBurst && !first {
		l.file("cpu.max.burst", strconv.FormatUint(burst.value, 10), burst.field)
	}
}

// perSecond is systemd's way to say a quota: rounded up, so that systemd gets the
// very quota out of it again. It keeps whole per cents on disk and takes none for
// no limit, hence the least.
func perSecond(quota, period uint64) uint64 {
	if quota == unlimited || period == 0 {
		return unlimited
	}
	const second, percent = 1_000_000, 10_000
	return max((quota*second+period-1)/period, percent)
}

// list is a set of CPUs or memory nodes.
type list struct {
	text, field string
	bits        []byte // bit 0 of byte 0 is CPU 0
}

// maxCPUs is the most that a kernel of any architecture and systemd can count.
const maxCPUs = 8192

// list reads what cpuset(7) calls the list format: 0-3,7.
func (a *asked) list(text, field string) *list {
	l := &list{text: strings.TrimSpace(text), field: field}
	for part := range strings.SplitSeq(l.text, ",") {
		first, last, ranged := strings.Cut(strings.TrimSpace(part), "-")
		from, err := strconv.ParseUint(first, 10, 32)
		to := from
		if err == nil && ranged {
			to, err = strconv.ParseUint(last, 10, 32)
		}
		if err != nil || from > to {
			a.refuse(field, "%q is no list of numbers and ranges like 0-3,7", text)
			return l
		}
		if to >= maxCPUs {
			a.refuse(field, "%d is above %d, which is the most there can be", to, maxCPUs-1)
			return l
		}
		for len(l.bits) <= int(to/8) {
			l.bits = append(l.bits, 0)
		}
		for i := from; i <= to; i++ {
			l.bits[i/8] |= 1 << (i % 8)
		}
	}
	return l
}

func (a *asked) cpusets(l *Limits) {
	for _, s := range []struct {
		file, property string
		list           *list
	}{{"cpuset.mems", "AllowedMemoryNodes", a.mems}, {"cpuset.cpus", "AllowedCPUs", a.cpus}} {
		if s.list != nil {
			l.file(s.file, s.list.text, s.list.field)
			numbers := strings.ReplaceAll(strings.Trim(fmt.Sprint(s.list.bits), "[]"), " ", ", ")
			l.Properties = append(l.Properties, Property{Name: s.property, Type: "ay", Value: "[" + numbers + "]"})
		}
	}
}
