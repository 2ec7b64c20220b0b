// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// noID is the id that means "none" to the kernel, (uid_t)-1.
const noID = 1<<32 - 1

// CheckProcess is Check for the process object alone, as `exec` has it.
func CheckProcess(p *specs.Process) error {
	if p == nil {
		return errors.New("process property must not be empty")
	}
	if p.CommandLine != "" {
		return notDone("process.commandLine", "it is for Windows")
	}
	if err := checkArgs(p); err != nil {
		return err
	}
	if err := checkEnv("process.env", p.Env); err != nil {
		return err
	}
	if err := checkUser(&p.User); err != nil {
		return err
	}
	if err := checkConsole(p); err != nil {
		return err
	}
	if p.Capabilities != nil {
		if err := checkCapabilities(p.Capabilities); err != nil {
			return err
		}
	}
	if err := checkRlimits(p.Rlimits); err != nil {
		return err
	}
	if p.OOMScoreAdj != nil && (*p.OOMScoreAdj < -1000 || *p.OOMScoreAdj > 1000) {
		return fmt.Errorf("process.oomScoreAdj: %d is not from -1000 to 1000", *p.OOMScoreAdj)
	}
	if !plainText(p.ApparmorProfile) {
		return fmt.Errorf("process.apparmorProfile: %q holds a control character", p.ApparmorProfile)
	}
	if !plainText(p.SelinuxLabel) {
		return fmt.Errorf("process.selinuxLabel: %q holds a control character", p.SelinuxLabel)
	}
	if p.Scheduler != nil {
		if err := checkScheduler(p.Scheduler); err != nil {
			return err
		}
	}
	if p.IOPriority != nil {
		if err := checkIOPriority(p.IOPriority); err != nil {
			return err
		}
	}
	if p.ExecCPUAffinity != nil {
		if err := checkNumbers("process.execCPUAffinity.initial", p.ExecCPUAffinity.Initial, maxCPU); err != nil {
			return err
		}
		return checkNumbers("process.execCPUAffinity.final", p.ExecCPUAffinity.Final, maxCPU)
	}
	return nil
}

func checkArgs(p *specs.Process) error {
	if len(p.Args) == 0 {
		return errors.New("process.args: args must not be empty")
	}
	if p.Args[0] == "" {
		return errors.New("process.args[0]: the program's name is empty")
	}
	if err := checkNUL("process.args", p.Args); err != nil {
		return err
	}
	return checkAbsolute("process.cwd", p.Cwd)
}

// checkEnv asks for NAME=value. A word without '=' is a variable to no
// program, and a sign that something upstream lost the value.
func checkEnv(where string, env []string) error {
	if err := checkNUL(where, env); err != nil {
		return err
	}
	for i, e := range env {
		switch strings.IndexByte(e, '=') {
		case -1:
			return fmt.Errorf("%s[%d]: %q is not NAME=value", where, i, shorten(e))
		case 0:
			return fmt.Errorf("%s[%d]: %q has no name before the '='", where, i, shorten(e))
		}
	}
	return nil
}

func checkUser(u *specs.User) error {
	if u.Username != "" {
		return notDone("process.user.username", "it is for Windows, the ids are uid and gid")
	}
	if u.UID == noID {
		return fmt.Errorf("process.user.uid: %d is no user id", u.UID)
	}
	if u.GID == noID {
		return fmt.Errorf("process.user.gid: %d is no group id", u.GID)
	}
	if i := slices.Index(u.AdditionalGids, noID); i >= 0 {
		return fmt.Errorf("process.user.additionalGids[%d]: %d is no group id", i, u.AdditionalGids[i])
	}
	// NGROUPS_MAX of <linux/limits.h>
	if n := len(u.AdditionalGids); n > 65536 {
		return fmt.Errorf("process.user.additionalGids: %d groups are too many, the kernel takes 65536", n)
	}
	if u.Umask != nil && *u.Umask > 0o777 {
		return fmt.Errorf("process.user.umask: %d is above 511 (octal 777)", *u.Umask)
	}
	return nil
}

// checkConsole ignores the size where there is no terminal, as it must.
func checkConsole(p *specs.Process) error {
	if !p.Terminal || p.ConsoleSize == nil {
		return nil
	}
	// struct winsize has unsigned shorts, see ioctl_tty(2)
	if h := p.ConsoleSize.Height; h > 65535 {
		return fmt.Errorf("process.consoleSize.height: %d is above 65535", h)
	}
	if w := p.ConsoleSize.Width; w > 65535 {
		return fmt.Errorf("process.consoleSize.width: %d is above 65535", w)
	}
	return nil
}

// checkCapabilities refuses what capset(2) would: effective beyond permitted.
// Names that no kernel knows, and ambient ones that cannot be raised (runc's
// own default before 1.2 has such), are warnings by the specification's word,
// and the process room's.
func checkCapabilities(c *specs.LinuxCapabilities) error {
	for i, name := range c.Effective {
		if slices.Contains(capabilityNames[:], name) && !slices.Contains(c.Permitted, name) {
			return fmt.Errorf("process.capabilities.effective[%d]: %q is not in process.capabilities.permitted", i, name)
		}
	}
	return nil
}

func checkRlimits(list []specs.POSIXRlimit) error {
	for i, r := range list {
		switch r.Type {
		case "RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_LOCKS",
			"RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_NOFILE", "RLIMIT_NPROC",
			"RLIMIT_RSS", "RLIMIT_RTPRIO", "RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK":
		default:
			return fmt.Errorf("process.rlimits[%d].type: %q is not known, see getrlimit(2)", i, r.Type)
		}
		if r.Soft > r.Hard {
			return fmt.Errorf("process.rlimits[%d]: %s: soft %d is above hard %d", i, r.Type, r.Soft, r.Hard)
		}
		for _, earlier := range list[:i] {
			if earlier.Type == r.Type {
				return fmt.Errorf("process.rlimits[%d].type: %q is given twice", i, r.Type)
			}
		}
	}
	return nil
}

// checkScheduler follows sched_setattr(2).
func checkScheduler(s *specs.Scheduler) error {
	real, deadline := false, false
	switch s.Policy {
	case specs.SchedOther, specs.SchedBatch, specs.SchedIdle:
	case specs.SchedFIFO, specs.SchedRR:
		real = true
	case specs.SchedDeadline:
		deadline = true
	case specs.SchedISO:
		return notDone(fmt.Sprintf("process.scheduler.policy: %q", s.Policy), "Linux reserves the name and has no such policy")
	default:
		return fmt.Errorf("process.scheduler.policy: %q is not known, see sched(7)", s.Policy)
	}
	switch {
	case s.Nice < -20 || s.Nice > 19:
		return fmt.Errorf("process.scheduler.nice: %d is not from -20 to 19", s.Nice)
	case real && (s.Priority < 1 || s.Priority > 99):
		return fmt.Errorf("process.scheduler.priority: %d is not from 1 to 99, as %s has it", s.Priority, s.Policy)
	case !real && s.Priority != 0:
		return fmt.Errorf("process.scheduler.priority: %d is not 0, as %s has it", s.Priority, s.Policy)
	case !deadline && s.Runtime|s.Deadline|s.Period != 0:
		return fmt.Errorf("process.scheduler: runtime %d, deadline %d, period %d are for SCHED_DEADLINE, not %s",
			s.Runtime, s.Deadline, s.Period, s.Policy)
	case deadline:
		// A period of 0 is the deadline. 1024 ns is the kernel's resolution.
		period := s.Period
		if period == 0 {
			period = s.Deadline
		}
		if s.Runtime < 1024 || s.Runtime > s.Deadline || s.Deadline > period || period >= 1<<63 {
			return fmt.Errorf("process.scheduler: runtime %d, deadline %d, period %d: the kernel takes 1024 <= runtime <= deadline <= period",
				s.Runtime, s.Deadline, s.Period)
		}
	}
	for i, flag := range s.Flags {
		switch flag {
		case specs.SchedFlagResetOnFork, specs.SchedFlagReclaim, specs.SchedFlagDLOverrun, specs.SchedFlagKeepPolicy,
			specs.SchedFlagKeepParams, specs.SchedFlagUtilClampMin, specs.SchedFlagUtilClampMax:
		default:
			return fmt.Errorf("process.scheduler.flags[%d]: %q is not known, see sched_setattr(2)", i, flag)
		}
	}
	return nil
}

func checkIOPriority(p *specs.LinuxIOPriority) error {
	switch p.Class {
	case specs.IOPRIO_CLASS_RT, specs.IOPRIO_CLASS_BE, specs.IOPRIO_CLASS_IDLE:
	default:
		return fmt.Errorf("process.ioPriority.class: %q is not known, see ioprio_set(2)", p.Class)
	}
	if p.Priority < 0 || p.Priority > 7 {
		return fmt.Errorf("process.ioPriority.priority: %d is not from 0 to 7", p.Priority)
	}
	return nil
}

const (
	maxCPU  = 8191 // NR_CPUS of a kernel with MAXSMP, less one
	maxNode = 1023 // 1<<CONFIG_NODES_SHIFT at most, less one
)

// checkNumbers is for lists such as "0-3,7", see cpuset(7); empty is none.
func checkNumbers(where, list string, most int) error {
	if list == "" {
		return nil
	}
	for part := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(part, "-")
		first, ok := smallNumber(low, most)
		last := first
		if isRange && ok {
			last, ok = smallNumber(high, most)
		}
		if !ok || last < first {
			return fmt.Errorf("%s: %q in %q is neither a number up to %d nor a range", where, shorten(part), shorten(list), most)
		}
	}
	return nil
}

func smallNumber(s string, most int) (n int, ok bool) {
	if s == "" || len(s) > 5 {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, n <= most
}
