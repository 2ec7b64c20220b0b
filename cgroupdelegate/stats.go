// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Stats is what a cgroup and those below it use, as `stats` prints it. What a
// controller or the kernel does not give is nil, not zero. The numbers are those
// of cgroup-v2.rst: bytes, and microseconds where a name ends in Usec.
type Stats struct {
	CPU      *CPUStats               `json:"cpu,omitempty"`
	Memory   *MemoryStats            `json:"memory,omitempty"`
	Pids     *PidsStats              `json:"pids,omitempty"`
	IO       []DeviceIO              `json:"io,omitzero"`
	Hugetlb  map[string]HugetlbStats `json:"hugetlb,omitzero"` // by page size: 2MB
	RDMA     map[string]RDMAStats    `json:"rdma,omitzero"`    // by device
	Pressure *PressureStats          `json:"pressure,omitempty"`
}

// CPUStats is of cpu.stat, which is there without the controller too.
type CPUStats struct {
	UsageUsec  uint64      `json:"usageUsec"`
	UserUsec   uint64      `json:"userUsec"`
	SystemUsec uint64      `json:"systemUsec"`
	Throttling *Throttling `json:"throttling,omitempty"` // the controller's
}

// Throttling counts periods with a quota (cpu.max) and those in which it was used up.
type Throttling struct {
	Periods       uint64 `json:"periods"`
	Throttled     uint64 `json:"throttled"`
	ThrottledUsec uint64 `json:"throttledUsec"`
	Bursts        uint64 `json:"bursts"` // since Linux 5.15
	BurstUsec     uint64 `json:"burstUsec"`
}

// MemoryStats is of memory.*; Max is nil where there is no limit, Peak before
// Linux 5.19 (of swap 6.5).
type MemoryStats struct {
	Current uint64            `json:"current"`
	Peak    *uint64           `json:"peak,omitempty"`
	Max     *uint64           `json:"max,omitempty"`
	Swap    *SwapStats        `json:"swap,omitempty"`
	Events  MemoryEvents      `json:"events"`
	Stat    map[string]uint64 `json:"stat"`
}

// SwapStats is of memory.swap.*.
type SwapStats struct {
	Current uint64  `json:"current"`
	Peak    *uint64 `json:"peak,omitempty"`
	Max     *uint64 `json:"max,omitempty"`
}

// MemoryEvents counts how often memory.low, memory.high and memory.max were met,
// the kernel could not help it by other means (oom), and what it killed then.
type MemoryEvents struct {
	Low          uint64 `json:"low"`
	High         uint64 `json:"high"`
	Max          uint64 `json:"max"`
	OOM          uint64 `json:"oom"`
	OOMKill      uint64 `json:"oomKill"`
	OOMGroupKill uint64 `json:"oomGroupKill"` // since Linux 5.17
}

// PidsStats is of pids.*; Max is nil without a limit, Peak before Linux 6.1.
type PidsStats struct {
	Current   uint64  `json:"current"`
	Peak      *uint64 `json:"peak,omitempty"`
	Max       *uint64 `json:"max,omitempty"`
	EventsMax uint64  `json:"eventsMax"` // forks refused
}

// DeviceIO is a device of io.stat.
type DeviceIO struct {
	Major        uint32            `json:"major"`
	Minor        uint32            `json:"minor"`
	ReadBytes    uint64            `json:"readBytes"`
	WriteBytes   uint64            `json:"writeBytes"`
	DiscardBytes uint64            `json:"discardBytes"`
	Reads        uint64            `json:"reads"`
	Writes       uint64            `json:"writes"`
	Discards     uint64            `json:"discards"`
	Other        map[string]uint64 `json:"other,omitempty"` // the cost model's: cost.usage
}

// HugetlbStats is of one page size; Reserved is nil before Linux 5.7.
type HugetlbStats struct {
	Current   uint64  `json:"current"`
	Max       *uint64 `json:"max,omitempty"`
	Reserved  *uint64 `json:"reserved,omitempty"`
	EventsMax uint64  `json:"eventsMax"` // allocations refused
}

// RDMAStats is of one device; a maximum is nil without a limit.
type RDMAStats struct {
	Handles    uint64  `json:"handles"`
	Objects    uint64  `json:"objects"`
	MaxHandles *uint64 `json:"maxHandles,omitempty"`
	MaxObjects *uint64 `json:"maxObjects,omitempty"`
}

// Stats reads the cgroup. ErrGone is wrapped where it was removed meanwhile.
func (c *Cgroup) Stats() (*Stats, error) {
	r := statsReader{c: c}
	s := &Stats{
		CPU:      r.cpu(),
		Memory:   r.memory(),
		Pids:     r.pids(),
		IO:       r.io(),
		Hugetlb:  r.hugetlb(),
		RDMA:     r.rdma(),
		Pressure: r.pressure(),
	}
	if r.err != nil {
		return nil, r.err
	}
	return s, nil
}

// OOMKills is how many processes of the cgroup, or of those below it, the kernel
// killed for want of memory.
func (c *Cgroup) OOMKills() (uint64, error) {
	events, err := c.flat("memory.events")
	return events["oom_kill"], err
}

// flat reads a file with a key and a number in each line.
func (c *Cgroup) flat(file string) (map[string]uint64, error) {
	text, err := c.Read(file)
	if err != nil {
		return nil, err
	}
	m, err := parseFlat(text)
	if err != nil {
		return nil, fmt.Errorf("%s of cgroup %s: %w", file, c.Path, err)
	}
	return m, nil
}

// statsReader keeps the first error.
type statsReader struct {
	c   *Cgroup
	err error
}

// text reads a file. One that is not there is no error, nor one that the kernel
// was told not to keep (psi=0).
func (r *statsReader) text(file string) (text string, there bool) {
	if r.err != nil {
		return "", false
	}
	text, err := r.c.Read(file)
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EOPNOTSUPP) {
		r.err = err
	}
	return text, err == nil
}

// parsed notes that a file's text is not what the kernel writes.
func (r *statsReader) parsed(file string, err error) {
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%s of cgroup %s: %w", file, r.c.Path, err)
	}
}

func (r *statsReader) flat(file string) map[string]uint64 {
	text, there := r.text(file)
	if !there {
		return nil
	}
	m, err := parseFlat(text)
	r.parsed(file, err)
	return m
}

// number is nil for a file that is not there, and for max.
func (r *statsReader) number(file string) *uint64 {
	text, there := r.text(file)
	if !there || text == "max" {
		return nil
	}
	n, err := parseCount(text)
	r.parsed(file, err)
	return &n
}

func (r *statsReader) cpu() *CPUStats {
	m := r.flat("cpu.stat")
	if m == nil {
		return nil
	}
	s := &CPUStats{UsageUsec: m["usage_usec"], UserUsec: m["user_usec"], SystemUsec: m["system_usec"]}
	if periods, controlled := m["nr_periods"]; controlled {
		s.Throttling = &Throttling{Periods: periods, Throttled: m["nr_throttled"], ThrottledUsec: m["throttled_usec"],
			Bursts: m["nr_bursts"], BurstUsec: m["burst_usec"]}
	}
	return s
}

func (r *statsReader) memory() *MemoryStats {
	current := r.number("memory.current")
	if current == nil {
		return nil
	}
	events := r.flat("memory.events")
	s := &MemoryStats{
		Current: *current, Peak: r.number("memory.peak"), Max: r.number("memory.max"), Stat: r.flat("memory.stat"),
		Events: MemoryEvents{Low: events["low"], High: events["high"], Max: events["max"],
			OOM: events["oom"], OOMKill: events["oom_kill"], OOMGroupKill: events["oom_group_kill"]},
	}
	if swap := r.number("memory.swap.current"); swap != nil {
		s.Swap = &SwapStats{Current: *swap, Peak: r.number("memory.swap.peak"), Max: r.number("memory.swap.max")}
	}
	return s
}

func (r *statsReader) pids() *PidsStats {
	current := r.number("pids.current")
	if current == nil {
		return nil
	}
	return &PidsStats{Current: *current, Peak: r.number("pids.peak"), Max: r.number("pids.max"), EventsMax: r.flat("pids.events")["max"]}
}

func (r *statsReader) io() []DeviceIO {
	text, there := r.text("io.stat")
	if !there {
		return nil
	}
	devices, err := parseIO(text)
	r.parsed("io.stat", err)
	return devices
}

func (r *statsReader) hugetlb() map[string]HugetlbStats {
	var sizes map[string]HugetlbStats
	for _, name := range r.names() {
		size, ours := strings.CutPrefix(name, "hugetlb.")
		size, limit := strings.CutSuffix(size, ".max")
		if !ours || !limit || strings.HasSuffix(size, ".rsvd") {
			continue
		}
		current := r.number("hugetlb." + size + ".current")
		if current == nil {
			continue
		}
		if sizes == nil {
			sizes = map[string]HugetlbStats{}
		}
		sizes[size] = HugetlbStats{Current: *current, Max: r.number(name), Reserved: r.number("hugetlb." + size + ".rsvd.current"),
			EventsMax: r.flat("hugetlb." + size + ".events")["max"]}
	}
	return sizes
}

func (r *statsReader) names() []string {
	if r.err != nil {
		return nil
	}
	entries, err := r.c.entries()
	if err != nil {
		r.err = err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (r *statsReader) rdma() map[string]RDMAStats {
	text, there := r.text("rdma.current")
	if !there {
		return nil
	}
	current, err := parseRDMA(text)
	r.parsed("rdma.current", err)
	text, _ = r.text("rdma.max")
	most, err := parseRDMA(text)
	r.parsed("rdma.max", err)
	devices := map[string]RDMAStats{}
	for name, d := range current {
		s := RDMAStats{Handles: d.handles, Objects: d.objects}
		if m, known := most[name]; known && m.handles != unlimited {
			s.MaxHandles = &m.handles
		}
		if m, known := most[name]; known && m.objects != unlimited {
			s.MaxObjects = &m.objects
		}
		devices[name] = s
	}
	return devices
}
