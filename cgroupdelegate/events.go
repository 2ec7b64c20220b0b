// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import "math"

// Event is what `events` prints, one a line, as runc does (its package types),
// since that is what is parsed.
type Event struct {
	Type string      `json:"type"` // stats or oom
	ID   string      `json:"id"`
	Data *EventStats `json:"data,omitempty"`
}

// EventStats is runc's form of Stats, which is cgroup v1's: nanoseconds, memory
// and swap together, 2^64-1 for a memory without a limit and 0 for pids. What
// cgroup v2 has not is zero.
type EventStats struct {
	CPU struct {
		Usage struct {
			Total  uint64 `json:"total,omitempty"`
			Kernel uint64 `json:"kernel"`
			User   uint64 `json:"user"`
		} `json:"usage"`
		Throttling eventThrottling `json:"throttling,omitzero"`
		PSI        *eventPressure  `json:"psi,omitempty"`
	} `json:"cpu"`
	CPUSet eventCPUSet `json:"cpuset"`
	Memory struct {
		Cache     uint64            `json:"cache,omitempty"`
		Usage     eventMemory       `json:"usage"`
		Swap      eventMemory       `json:"swap"`
		Kernel    eventMemory       `json:"kernel"`
		KernelTCP eventMemory       `json:"kernelTCP"`
		Raw       map[string]uint64 `json:"raw,omitempty"`
		PSI       *eventPressure    `json:"psi,omitempty"`
	} `json:"memory"`
	Pids struct {
		Current uint64 `json:"current,omitempty"`
		Limit   uint64 `json:"limit,omitempty"`
	} `json:"pids"`
	Blkio struct {
		ServiceBytes []eventIO      `json:"ioServiceBytesRecursive,omitempty"`
		Serviced     []eventIO      `json:"ioServicedRecursive,omitempty"`
		PSI          *eventPressure `json:"psi,omitempty"`
	} `json:"blkio"`
	Hugetlb           map[string]eventHugetlb `json:"hugetlb"`
	IntelRdt          struct{}                `json:"intel_rdt"`
	NetworkInterfaces []struct{}              `json:"network_interfaces"` // null; runc lists veths that it made
}

type eventThrottling struct {
	Periods          uint64 `json:"periods,omitempty"`
	ThrottledPeriods uint64 `json:"throttledPeriods,omitempty"`
	ThrottledTime    uint64 `json:"throttledTime,omitempty"`
}

type eventMemory struct {
	Limit   uint64 `json:"limit"`
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"`
	Failcnt uint64 `json:"failcnt"`
}

type eventIO struct {
	Major uint64 `json:"major,omitempty"`
	Minor uint64 `json:"minor,omitempty"`
	Op    string `json:"op,omitempty"`
	Value uint64 `json:"value,omitempty"`
}

type eventHugetlb struct {
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"`
	Failcnt uint64 `json:"failcnt"`
}

// eventCPUSet is cgroup v1's; runc prints its zeros on v2 too.
type eventCPUSet struct {
	CPUExclusive          uint64 `json:"cpu_exclusive"`
	MemHardwall           uint64 `json:"mem_hardwall"`
	MemExclusive          uint64 `json:"mem_exclusive"`
	MemoryMigrate         uint64 `json:"memory_migrate"`
	MemorySpreadPage      uint64 `json:"memory_spread_page"`
	MemorySpreadSlab      uint64 `json:"memory_spread_slab"`
	MemoryPressure        uint64 `json:"memory_pressure"`
	SchedLoadBalance      uint64 `json:"sched_load_balance"`
	SchedRelaxDomainLevel int64  `json:"sched_relax_domain_level"`
}

type eventPressure struct {
	Some eventShare `json:"some,omitzero"`
	Full eventShare `json:"full,omitzero"`
}

type eventShare struct {
	Avg10  float64 `json:"avg10"`
	Avg60  float64 `json:"avg60"`
	Avg300 float64 `json:"avg300"`
	Total  uint64  `json:"total"`
}

// OOMEvent says that the kernel killed in the container.
func OOMEvent(id string) Event { return Event{Type: "oom", ID: id} }

// Event is the statistics for `events`.
func (s *Stats) Event(id string) Event {
	e := &EventStats{Hugetlb: map[string]eventHugetlb{}}
	if s.CPU != nil {
		const nanoseconds = 1000
		u := &e.CPU.Usage
		u.Total, u.Kernel, u.User = s.CPU.UsageUsec*nanoseconds, s.CPU.SystemUsec*nanoseconds, s.CPU.UserUsec*nanoseconds
		if t := s.CPU.Throttling; t != nil {
			e.CPU.Throttling = eventThrottling{t.Periods, t.Throttled, t.ThrottledUsec * nanoseconds}
		}
	}
	s.memoryEvent(e)
	if s.Pids != nil {
		e.Pids.Current = s.Pids.Current
		if s.Pids.Max != nil {
			e.Pids.Limit = *s.Pids.Max
		}
	}
	for _, d := range s.IO {
		major, minor := uint64(d.Major), uint64(d.Minor)
		e.Blkio.ServiceBytes = append(e.Blkio.ServiceBytes, eventIO{major, minor, "Read", d.ReadBytes}, eventIO{major, minor, "Write", d.WriteBytes})
		e.Blkio.Serviced = append(e.Blkio.Serviced, eventIO{major, minor, "Read", d.Reads}, eventIO{major, minor, "Write", d.Writes})
	}
	for size, h := range s.Hugetlb {
		usage := h.Current
		if h.Reserved != nil { // which is what runc reads where there is one
			usage = *h.Reserved
		}
		e.Hugetlb[size] = eventHugetlb{Usage: usage, Failcnt: h.EventsMax}
	}
	if p := s.Pressure; p != nil {
		e.CPU.PSI, e.Memory.PSI, e.Blkio.PSI = p.CPU.event(), p.Memory.event(), p.IO.event()
	}
	return Event{Type: "stats", ID: id, Data: e}
}

func (s *Stats) memoryEvent(e *EventStats) {
	m := s.Memory
	if m == nil {
		return
	}
	orNone := func(n *uint64) uint64 {
		if n == nil {
			return math.MaxUint64
		}
		return *n
	}
	e.Memory.Raw, e.Memory.Cache = m.Stat, m.Stat["file"]
	usage := &e.Memory.Usage
	usage.Limit, usage.Usage, usage.Failcnt = orNone(m.Max), m.Current, m.Events.Max
	if m.Peak != nil {
		usage.Max = *m.Peak
	}
	swap := &e.Memory.Swap
	swap.Usage, swap.Limit = m.Current, orNone(m.Max)
	if m.Swap != nil {
		swap.Usage += m.Swap.Current
		if m.Max == nil || m.Swap.Max == nil {
			swap.Limit = math.MaxUint64
		} else {
			swap.Limit += *m.Swap.Max
		}
	}
}

func (p *Pressure) event() *eventPressure {
	if p == nil {
		return nil
	}
	e := &eventPressure{Some: p.Some.event()}
	if p.Full != nil {
		e.Full = p.Full.event()
	}
	return e
}

func (s *PressureShare) event() eventShare {
	return eventShare{s.Avg10, s.Avg60, s.Avg300, s.TotalUsec}
}
