// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// evaluate says what a profile means for one system call, as the package's
// documentation has it, without tables, trees or programs.
func evaluate(s *specs.LinuxSeccomp, a *arch, name string, args [6]uint64) uint32 {
	fallback := actionOf(s.DefaultAction, s.DefaultErrnoRet)
	strictness := func(x uint32) int32 { return int32(x & 0xffff0000) }
	base, based := fallback, false
	var exceptions []uint32
	for _, e := range s.Syscalls {
		if !slices.Contains(e.Names, name) {
			continue
		}
		action := actionOf(e.Action, e.ErrnoRet)
		if len(e.Args) == 0 {
			if !based && action != fallback {
				base, based = action, true
			}
			continue
		}
		seen := map[uint]int{}
		for _, c := range e.Args {
			seen[c.Index]++
		}
		any, all := false, true
		for _, c := range e.Args {
			holds := holds(c, args[c.Index], a.narrow)
			any, all = any || holds, all && holds
		}
		if match := all || any && len(seen) < len(e.Args); match {
			exceptions = append(exceptions, action)
		}
	}
	slices.SortStableFunc(exceptions, func(x, y uint32) int {
		return int(int64(strictness(x)) - int64(strictness(y)))
	})
	for _, x := range exceptions {
		if !based || strictness(x) < strictness(base) {
			return x
		}
	}
	return base
}

func holds(c specs.LinuxSeccompArg, arg uint64, narrow bool) bool {
	value, mask := c.Value, c.Value
	if narrow {
		arg &= 0xffffffff
		mask &= 0xffffffff
		if value>>32 == 0xffffffff && (c.Op == specs.OpEqualTo || c.Op == specs.OpNotEqual) {
			value &= 0xffffffff
		}
	}
	switch c.Op {
	case specs.OpNotEqual:
		return arg != value
	case specs.OpLessThan:
		return arg < value
	case specs.OpLessEqual:
		return arg <= value
	case specs.OpEqualTo:
		return arg == value
	case specs.OpGreaterEqual:
		return arg >= value
	case specs.OpGreaterThan:
		return arg > value
	}
	return arg&mask == c.ValueTwo&mask
}

func actionOf(word specs.LinuxSeccompAction, errno *uint) uint32 {
	data := uint32(unix.EPERM)
	if errno != nil {
		data = uint32(*errno)
	}
	switch word {
	case specs.ActAllow:
		return unix.SECCOMP_RET_ALLOW
	case specs.ActErrno:
		return unix.SECCOMP_RET_ERRNO | data
	case specs.ActTrace:
		return unix.SECCOMP_RET_TRACE | data
	case specs.ActTrap:
		return unix.SECCOMP_RET_TRAP
	case specs.ActLog:
		return unix.SECCOMP_RET_LOG
	case specs.ActNotify:
		return unix.SECCOMP_RET_USER_NOTIF
	case specs.ActKillProcess:
		return unix.SECCOMP_RET_KILL_PROCESS
	}
	return unix.SECCOMP_RET_KILL_THREAD
}
