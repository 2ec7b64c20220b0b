// SPDX-License-Identifier: Apache-2.0

// Package seccomp turns the seccomp profile of a bundle into a classic BPF
// program for every architecture of the profile, and installs it.
//
// It follows what libseccomp makes of a profile in runc and crun, and means never to
// be weaker than that. What the specification leaves open is decided so:
//
//   - The native architecture is always part of the filter. An architecture
//     that this kernel cannot run (SCMP_ARCH_S390 on x86) adds nothing. A
//     system call through an architecture that is not in the filter ends the
//     thread, libseccomp's default; x32 is such an architecture of its own.
//   - Rules for the same system call: the first one without args is what
//     applies whatever the arguments are, in place of the default; those that
//     say the same as the default do not count for that (runc drops them).
//     Rules with args are exceptions to it and count where they are stricter,
//     in the kernel's own order (seccomp(2): KILL_PROCESS, KILL_THREAD, TRAP,
//     ERRNO, USER_NOTIF, TRACE, LOG, ALLOW). libseccomp forgets such
//     exceptions. Of several that match the strictest wins, then the first.
//   - Where a rule has two conditions on the same argument, each of its
//     conditions is a rule of its own (runc and crun do so).
//   - Names that an architecture does not have are passed over: profiles name
//     the system calls of all architectures and of newer kernels.
//   - System calls newer than the newest that the profile names answer ENOSYS,
//     so that libc falls back to an older one, unless the default is ALLOW, LOG
//     or TRACE or answers ENOSYS anyway, or the profile names none (runc).
//   - On architectures with socketcall(2) or ipc(2) a rule for socket, shmat
//     and so on holds for these as well. They hide the arguments, so that of
//     rules with args only the denying ones can hold: for any arguments.
//   - A profile under which the container's own execve fails is refused, since
//     nothing can start under it. One that kills is taken: the process is killed.
//   - SECCOMP_FILTER_FLAG_TSYNC adds nothing: the thread that takes the filter
//     executes a program next and is alone then. With TSYNC the filter would
//     hit the threads of the Go runtime before that. WAIT_KILLABLE_RECV is about
//     notifications and adds nothing without SCMP_ACT_NOTIFY.
package seccomp

import (
	"errors"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

//go:generate go run gen.go

// Facts are what Resolve must know about the host.
type Facts struct {
	// Arch is the native architecture in Go's words, runtime.GOARCH.
	Arch string
	// Actions are the words of /proc/sys/kernel/seccomp/actions_avail; nil
	// means not asked: then the kernel's answer at installation counts.
	Actions []string
	// Flags are the flags that the kernel takes; nil means not asked.
	Flags []specs.LinuxSeccompFlag
}

// Instruction is struct sock_filter of linux/filter.h.
type Instruction struct {
	Code   uint16
	Jt, Jf uint8
	K      uint32
}

// Plan is a filter ready to be installed. The zero Plan installs none.
type Plan struct {
	Filter []Instruction
	// Flags are the flags argument of seccomp(2).
	Flags uint
	// Notify says that a listener is handed over to the socket ListenerPath.
	Notify           bool
	ListenerPath     string
	ListenerMetadata string
	// CloseSocket says that the filter lets close(2) through, so that the
	// connection can be closed before execve.
	CloseSocket bool
	// Notes are the parts of the profile that have no effect.
	Notes []string
}

// maxInstructions is BPF_MAXINSNS of linux/bpf_common.h.
const maxInstructions = 4096

// Resolve compiles a profile. It is pure. Errors name the JSON path in
// config.json and the value.
func Resolve(s *specs.LinuxSeccomp, facts Facts) (Plan, error) {
	if s == nil {
		return Plan{}, nil
	}
	plan, start, err := resolve(s, &facts)
	if err != nil {
		return Plan{}, err
	}
	if start.chain == 0 && start.action&unix.SECCOMP_RET_ACTION_FULL == unix.SECCOMP_RET_ERRNO {
		return Plan{}, fmt.Errorf("linux.seccomp: execve answers %q, so that no program can start",
			unix.Errno(start.action&unix.SECCOMP_RET_DATA).Error())
	}
	return plan, nil
}

// resolve also returns what execve meets.
func resolve(s *specs.LinuxSeccomp, facts *Facts) (plan Plan, start cell, err error) {
	native, ok := nativeArch(facts.Arch)
	if !ok {
		return plan, start, fmt.Errorf("linux.seccomp: no system call table for the architecture %s", facts.Arch)
	}
	p := profile{spec: s, facts: facts}
	if err = p.read(); err != nil {
		return plan, start, err
	}
	if err = p.flags(&plan); err != nil {
		return plan, start, err
	}
	audits, err := p.architectures(native)
	if err != nil {
		return plan, start, err
	}
	if plan.Filter, err = p.compile(audits, native); err != nil {
		return plan, start, err
	}
	if p.notify {
		plan.Notify = true
		plan.ListenerPath, plan.ListenerMetadata = s.ListenerPath, s.ListenerMetadata
		plan.CloseSocket = p.lets(nameClose)
	}
	plan.Notes = p.notes
	return plan, p.start, nil
}

// flags checks the profile's flags and the listener's words.
func (p *profile) flags(plan *Plan) error {
	for i, f := range p.spec.Flags {
		switch f {
		case flagTSync:
		case specs.LinuxSeccompFlagLog:
			plan.Flags |= unix.SECCOMP_FILTER_FLAG_LOG
		case specs.LinuxSeccompFlagSpecAllow:
			plan.Flags |= unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
		case specs.LinuxSeccompFlagWaitKillableRecv:
			if p.notify {
				plan.Flags |= unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
			}
		default:
			return fmt.Errorf("linux.seccomp.flags[%d]: %q is not a flag of seccomp", i, f)
		}
		if !p.facts.knowsFlag(f) {
			return fmt.Errorf("linux.seccomp.flags[%d]: this kernel does not know %s", i, f)
		}
	}
	if p.notify {
		plan.Flags |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
		if p.spec.ListenerPath == "" {
			return errors.New("linux.seccomp.listenerPath: not set, but SCMP_ACT_NOTIFY needs it")
		}
	}
	if p.spec.ListenerMetadata != "" && p.spec.ListenerPath == "" {
		return errors.New("linux.seccomp.listenerMetadata: set without listenerPath")
	}
	return nil
}

// flagTSync is in the specification's text, but not among its Go constants.
const flagTSync specs.LinuxSeccompFlag = "SECCOMP_FILTER_FLAG_TSYNC"

func (f *Facts) knowsFlag(flag specs.LinuxSeccompFlag) bool {
	if f.Flags == nil || flag == flagTSync {
		return true
	}
	for _, known := range f.Flags {
		if known == flag {
			return true
		}
	}
	return false
}

func (f *Facts) knowsAction(word string) bool {
	if f.Actions == nil {
		return true
	}
	for _, known := range f.Actions {
		if known == word {
			return true
		}
	}
	return false
}
