// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Rlimit is a limit of a process; see getrlimit(2).
type Rlimit struct {
	Name       string
	Resource   int
	Soft, Hard uint64
}

// rlimitCount is RLIM_NLIMITS of asm-generic/resource.h.
const rlimitCount = 16

func rlimitNumber(name string) (int, bool) {
	switch name {
	case "RLIMIT_AS":
		return unix.RLIMIT_AS, true
	case "RLIMIT_CORE":
		return unix.RLIMIT_CORE, true
	case "RLIMIT_CPU":
		return unix.RLIMIT_CPU, true
	case "RLIMIT_DATA":
		return unix.RLIMIT_DATA, true
	case "RLIMIT_FSIZE":
		return unix.RLIMIT_FSIZE, true
	case "RLIMIT_LOCKS":
		return unix.RLIMIT_LOCKS, true
	case "RLIMIT_MEMLOCK":
		return unix.RLIMIT_MEMLOCK, true
	case "RLIMIT_MSGQUEUE":
		return unix.RLIMIT_MSGQUEUE, true
	case "RLIMIT_NICE":
		return unix.RLIMIT_NICE, true
	case "RLIMIT_NOFILE":
		return unix.RLIMIT_NOFILE, true
	case "RLIMIT_NPROC":
		return unix.RLIMIT_NPROC, true
	case "RLIMIT_RSS":
		return unix.RLIMIT_RSS, true
	case "RLIMIT_RTPRIO":
		return unix.RLIMIT_RTPRIO, true
	case "RLIMIT_RTTIME":
		return unix.RLIMIT_RTTIME, true
	case "RLIMIT_SIGPENDING":
		return unix.RLIMIT_SIGPENDING, true
	case "RLIMIT_STACK":
		return unix.RLIMIT_STACK, true
	}
	return 0, false
}

// resolveRlimits checks process.rlimits and adds RLIMIT_NOFILE as it was
// before Go raised it. A hard limit above the current one takes CAP_SYS_RESOURCE
// in the initial user namespace, which the child of a real root that enters a
// user namespace has lost by then: the parent raises its own, to be inherited.
func resolveRlimits(plan *Plan, p *specs.Process, _ *specs.Linux, f Facts) error {
	seen := make([]bool, rlimitCount)
	for i, r := range p.Rlimits {
		path := fmt.Sprintf("process.rlimits[%d]", i)
		n, ok := rlimitNumber(r.Type)
		if !ok {
			return fmt.Errorf("%s: %q is no limit of getrlimit(2)", path, r.Type)
		}
		path += " " + r.Type
		if seen[n] {
			return fmt.Errorf("%s: given twice", path)
		}
		seen[n] = true
		if r.Soft > r.Hard {
			return fmt.Errorf("%s: soft %s is above hard %s", path, limit(r.Soft), limit(r.Hard))
		}
		lim := Rlimit{Name: r.Type, Resource: n, Soft: r.Soft, Hard: r.Hard}
		if n < len(f.Limits) && r.Hard > f.Limits[n].Hard {
			now := f.Limits[n]
			switch {
			case f.CapSysResource:
				plan.Raise = append(plan.Raise, Rlimit{Name: r.Type, Resource: n, Soft: now.Soft, Hard: r.Hard})
			case f.ClampRlimits:
				lim.Hard, lim.Soft = now.Hard, min(lim.Soft, now.Hard)
				plan.Notes = append(plan.Notes, fmt.Sprintf("%s: lowered from soft %s, hard %s to soft %s, hard %s, this user's hard limit",
					path, limit(r.Soft), limit(r.Hard), limit(lim.Soft), limit(lim.Hard)))
			default:
				return &hinted{
					text: fmt.Sprintf("%s: hard %s is above this user's hard limit %s", path, limit(r.Hard), limit(now.Hard)),
					hint: rlimitHint(r.Type, now.Hard),
				}
			}
		}
		plan.Rlimits = append(plan.Rlimits, lim)
	}
	if !seen[unix.RLIMIT_NOFILE] && f.NofileHard != 0 {
		plan.Rlimits = append(plan.Rlimits, Rlimit{Name: "RLIMIT_NOFILE", Resource: unix.RLIMIT_NOFILE, Soft: f.NofileSoft, Hard: f.NofileHard})
	}
	return nil
}

// rlimitHint says where limits of users come from.
func rlimitHint(name string, hard uint64) string {
	word := name[len("RLIMIT_"):]
	return fmt.Sprintf("ask for %s at most, or have the limit raised (Limit%s= in a drop-in of user@.service, or /etc/security/limits.conf) and log in again",
		limit(hard), word)
}

// limit writes a limit as ulimit does.
func limit(v uint64) string {
	if v == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return strconv.FormatUint(v, 10)
}

// RaiseLimits raises this process's own hard limits, so that the child inherits
// them: to be called in the parent before the clone.
func (plan *Plan) RaiseLimits() error {
	for _, r := range plan.Raise {
		if err := unix.Prlimit(0, r.Resource, &unix.Rlimit{Cur: r.Soft, Max: r.Hard}, nil); err != nil {
			return fmt.Errorf("raise the hard limit %s to %s: %w", r.Name, limit(r.Hard), err)
		}
	}
	return nil
}

func resolveOOMScoreAdj(plan *Plan, p *specs.Process, _ *specs.Linux, f Facts) error {
	if p.OOMScoreAdj == nil {
		return nil
	}
	v := *p.OOMScoreAdj
	if v < -1000 || v > 1000 {
		return fmt.Errorf("process.oomScoreAdj: %d is not between -1000 and 1000", v)
	}
	// Whether a value below the current one is allowed depends on
	// oom_score_adj_min, which the kernel shows to nobody: only the write tells.
	if v != f.OOMScoreAdj {
		plan.OOMScoreAdj, plan.OOMScoreNow = &v, f.OOMScoreAdj
	}
	return nil
}
