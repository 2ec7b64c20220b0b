// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Scheduler is struct sched_attr of sched_setattr(2), up to util clamping.
type Scheduler struct {
	Policy                    uint32
	Flags                     uint64
	Nice                      int32
	Priority                  uint32
	Runtime, Deadline, Period uint64
}

// MemoryPolicy is what set_mempolicy(2) gets.
type MemoryPolicy struct {
	Mode  int      // with the flags
	Nodes []uint64 // bit mask
}

func resolveScheduling(plan *Plan, p *specs.Process, _ *specs.Linux, _ Facts) error {
	if err := resolveScheduler(plan, p.Scheduler); err != nil {
		return err
	}
	if io := p.IOPriority; io != nil {
		class := 0
		switch io.Class {
		case specs.IOPRIO_CLASS_RT:
			class = 1
		case specs.IOPRIO_CLASS_BE:
			class = 2
		case specs.IOPRIO_CLASS_IDLE:
			class = 3
		default:
			return fmt.Errorf("process.ioPriority.class: %q is not IOPRIO_CLASS_RT, IOPRIO_CLASS_BE or IOPRIO_CLASS_IDLE", io.Class)
		}
		if io.Priority < 0 || io.Priority > 7 {
			return fmt.Errorf("process.ioPriority.priority: %d is not between 0 and 7", io.Priority)
		}
		v := class<<13 | io.Priority
		plan.IOPriority = &v
	}
	if a := p.ExecCPUAffinity; a != nil {
		initial, err := cpuMask("process.execCPUAffinity.initial", a.Initial)
		if err != nil {
			return err
		}
		final, err := cpuMask("process.execCPUAffinity.final", a.Final)
		if err != nil {
			return err
		}
		if plan.Exec {
			plan.InitialAffinity, plan.FinalAffinity = initial, final
		}
	}
	return nil
}

func resolveScheduler(plan *Plan, s *specs.Scheduler) error {
	if s == nil {
		return nil
	}
	const path = "process.scheduler"
	a := Scheduler{Nice: s.Nice, Priority: uint32(s.Priority), Runtime: s.Runtime, Deadline: s.Deadline, Period: s.Period}
	switch s.Policy {
	case specs.SchedOther:
		a.Policy = unix.SCHED_NORMAL
	case specs.SchedFIFO:
		a.Policy = unix.SCHED_FIFO
	case specs.SchedRR:
		a.Policy = unix.SCHED_RR
	case specs.SchedBatch:
		a.Policy = unix.SCHED_BATCH
	case specs.SchedIdle:
		a.Policy = unix.SCHED_IDLE
	case specs.SchedDeadline:
		a.Policy = unix.SCHED_DEADLINE
	case specs.SchedISO:
		return fmt.Errorf("%s.policy: SCHED_ISO is a reserved number that no Linux kernel implements", path)
	default:
		return fmt.Errorf("%s.policy: %q is not a policy of sched(7)", path, s.Policy)
	}
	realtime := a.Policy == unix.SCHED_FIFO || a.Policy == unix.SCHED_RR
	switch {
	case s.Nice < -20 || s.Nice > 19:
		return fmt.Errorf("%s.nice: %d is not between -20 and 19", path, s.Nice)
	case realtime && (s.Priority < 1 || s.Priority > 99):
		return fmt.Errorf("%s.priority: %d is not between 1 and 99, as %s needs it", path, s.Priority, s.Policy)
	case !realtime && s.Priority != 0:
		return fmt.Errorf("%s.priority: %d is only for SCHED_FIFO and SCHED_RR", path, s.Priority)
	case a.Policy != unix.SCHED_DEADLINE && (s.Runtime != 0 || s.Deadline != 0 || s.Period != 0):
		return fmt.Errorf("%s: runtime %d, deadline %d, period %d are only for SCHED_DEADLINE", path, s.Runtime, s.Deadline, s.Period)
	}
	for i, flag := range s.Flags {
		switch flag {
		case specs.SchedFlagResetOnFork:
			a.Flags |= unix.SCHED_FLAG_RESET_ON_FORK
		case specs.SchedFlagReclaim:
			a.Flags |= unix.SCHED_FLAG_RECLAIM
		case specs.SchedFlagDLOverrun:
			a.Flags |= unix.SCHED_FLAG_DL_OVERRUN
		case specs.SchedFlagKeepPolicy:
			a.Flags |= unix.SCHED_FLAG_KEEP_POLICY
		case specs.SchedFlagKeepParams:
			a.Flags |= unix.SCHED_FLAG_KEEP_PARAMS
		case specs.SchedFlagUtilClampMin:
			a.Flags |= unix.SCHED_FLAG_UTIL_CLAMP_MIN
		case specs.SchedFlagUtilClampMax:
			a.Flags |= unix.SCHED_FLAG_UTIL_CLAMP_MAX
		default:
			return fmt.Errorf("%s.flags[%d]: %q is not a flag of sched_setattr(2)", path, i, flag)
		}
	}
	plan.Scheduler = &a
	return nil
}

func resolvePersonality(plan *Plan, _ *specs.Process, l *specs.Linux, _ Facts) error {
	if l == nil || l.Personality == nil {
		return nil
	}
	if len(l.Personality.Flags) > 0 {
		return fmt.Errorf("linux.personality.flags: %q; the specification knows none", l.Personality.Flags[0])
	}
	domain := 0
	switch l.Personality.Domain {
	case specs.PerLinux:
	case specs.PerLinux32:
		domain = 8 // PER_LINUX32
	default:
		return fmt.Errorf("linux.personality.domain: %q is neither LINUX nor LINUX32", l.Personality.Domain)
	}
	plan.Personality = &domain
	return nil
}

func resolveMemoryPolicy(plan *Plan, _ *specs.Process, l *specs.Linux, _ Facts) error {
	if l == nil || l.MemoryPolicy == nil {
		return nil
	}
	const path = "linux.memoryPolicy"
	want := l.MemoryPolicy
	m := MemoryPolicy{}
	nodes, err := mask(path+".nodes", want.Nodes, 1023) // MAX_NUMNODES
	if err != nil {
		return err
	}
	m.Nodes = nodes
	needs, may := true, true
	switch want.Mode { // linux/mempolicy.h
	case specs.MpolDefault:
		m.Mode, needs, may = 0, false, false
	case specs.MpolPreferred: // without nodes: local allocation
		m.Mode, needs = 1, false
	case specs.MpolBind:
		m.Mode = 2
	case specs.MpolInterleave:
		m.Mode = 3
	case specs.MpolLocal:
		m.Mode, needs, may = 4, false, false
	case specs.MpolPreferredMany:
		m.Mode = 5
	case specs.MpolWeightedInterleave:
		m.Mode = 6
	default:
		return fmt.Errorf("%s.mode: %q is not a mode of set_mempolicy(2)", path, want.Mode)
	}
	switch {
	case needs && nodes == nil:
		return fmt.Errorf("%s.nodes: %s needs at least one node", path, want.Mode)
	case !may && nodes != nil:
		return fmt.Errorf("%s.nodes: %q, but %s takes none", path, want.Nodes, want.Mode)
	}
	for i, flag := range want.Flags {
		switch flag {
		case specs.MpolFStaticNodes:
			m.Mode |= 1 << 15
		case specs.MpolFRelativeNodes:
			m.Mode |= 1 << 14
		case specs.MpolFNumaBalancing:
			m.Mode |= 1 << 13
		default:
			return fmt.Errorf("%s.flags[%d]: %q is not a flag of set_mempolicy(2)", path, i, flag)
		}
	}
	plan.MemoryPolicy = &m
	return nil
}

func cpuMask(path, list string) ([]uint64, error) { return mask(path, list, 8191) } // NR_CPUS at most

// mask reads a list such as "0-3,7" into a bit mask, nil for the empty list.
func mask(path, list string, last int) ([]uint64, error) {
	if list == "" {
		return nil, nil
	}
	var bits []uint64
	for _, part := range strings.Split(list, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		a, okA := number(from, last)
		b, okB := a, okA
		if isRange {
			b, okB = number(to, last)
		}
		if !okA || !okB || a > b {
			return nil, fmt.Errorf("%s: %q in %q is not a number or range between 0 and %d", path, part, list, last)
		}
		for ; a <= b; a++ {
			for a/64 >= len(bits) {
				bits = append(bits, 0)
			}
			bits[a/64] |= 1 << (a % 64)
		}
	}
	return bits, nil
}

func number(s string, last int) (int, bool) {
	if s == "" || s[0] == '+' {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0 && n <= last
}
