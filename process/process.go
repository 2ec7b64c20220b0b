// SPDX-License-Identifier: Apache-2.0

// Package process takes the last steps before execve: session and terminal,
// scheduling, ids and groups, capabilities, limits, security labels, working
// directory, descriptors, and the program itself.
//
// Resolve decides everything from the configuration and the facts of the host;
// Plan.Program writes the decisions down as a straight list of system calls,
// so that a container's init and a process that joins it take the same steps.
package process

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Plan is what the process will be, decided; plain data.
type Plan struct {
	Args     []string
	Env      []string // later entries have replaced earlier ones of the same name
	Cwd      string
	HomeSet  bool // Env has HOME; else see LookupHome
	Exec     bool // a process that joins a running container, not its init
	Terminal bool
	Console  *Size // nil: the size is left alone

	UID, GID  uint32
	SetGroups bool // false: the groups stay as they are, see Resolve
	Groups    []uint32
	Umask     *uint32
	OwnStdio  []int // which of 0, 1, 2 are pipes that are given to UID

	Caps            Capabilities
	NoNewPrivileges bool
	AppArmor        string // profile, "" is none
	AppArmorAttr    string // the file below attr/ that takes it
	SELinux         string // label, "" is none

	Raise           []Rlimit // by the parent, before the clone: see RaiseLimits
	Rlimits         []Rlimit
	OOMScoreAdj     *int
	OOMScoreNow     int // for the error's words
	Scheduler       *Scheduler
	IOPriority      *int     // the kernel's encoding, class<<13|level
	Personality     *int     // PER_LINUX, PER_LINUX32
	InitialAffinity []uint64 // cpu mask, before joining the container's cgroup
	FinalAffinity   []uint64 // cpu mask, after
	MemoryPolicy    *MemoryPolicy

	Notes []string // what the specification wants warned of
}

// Size is a terminal's size in characters.
type Size struct{ Rows, Columns uint16 }

// Resolve decides how p is carried out. l is the container's linux section
// (personality, memory policy; may be nil). It is pure. An error names the
// path in config.json and the value; it may have a Hint method.
//
// Where the specification leaves a choice:
//   - capabilities absent or null means none at all, as in runc and crun;
//   - environment variables given twice: the last one counts, as in both;
//   - groups are always set, to none if none are listed (the caller's groups
//     must not leak), except where the kernel denies setgroups, or where an
//     engine asks for the caller's own (podman's keep-groups);
//   - execCPUAffinity does not concern init, as the specification says;
//   - only pipes among the standard streams are given to the process's user,
//     so that /dev/stdout can be opened again: runc gives away everything,
//     the user's terminal and log file too.
func Resolve(p *specs.Process, l *specs.Linux, f Facts) (Plan, error) {
	if p == nil {
		return Plan{}, fmt.Errorf("process: missing")
	}
	plan := Plan{Cwd: p.Cwd, Exec: f.Exec, Terminal: p.Terminal, NoNewPrivileges: p.NoNewPrivileges}
	for _, resolve := range []func(*Plan, *specs.Process, *specs.Linux, Facts) error{
		resolveProgram, resolveTerminal, resolveIDs, resolveCapabilities,
		resolveRlimits, resolveOOMScoreAdj, resolveScheduling, resolveMemoryPolicy,
		resolvePersonality, resolveLabels,
	} {
		if err := resolve(&plan, p, l, f); err != nil {
			return Plan{}, err
		}
	}
	return plan, nil
}

// resolveProgram checks what execve and chdir get.
func resolveProgram(plan *Plan, p *specs.Process, _ *specs.Linux, _ Facts) error {
	if len(p.Args) == 0 {
		return fmt.Errorf("process.args: must not be empty")
	}
	for i, a := range p.Args {
		if strings.IndexByte(a, 0) >= 0 {
			return fmt.Errorf("process.args[%d]: %q has a NUL byte", i, a)
		}
	}
	switch {
	case p.Cwd == "":
		return fmt.Errorf("process.cwd: must not be empty")
	case p.Cwd[0] != '/':
		return fmt.Errorf("process.cwd: %q is not an absolute path", p.Cwd)
	case strings.IndexByte(p.Cwd, 0) >= 0:
		return fmt.Errorf("process.cwd: %q has a NUL byte", p.Cwd)
	}
	env, err := environment(p.Env)
	if err != nil {
		return err
	}
	plan.Args, plan.Env = p.Args, env
	_, plan.HomeSet = variable(env, "HOME")
	return nil
}

// environment checks the entries and drops those that a later one replaces.
func environment(env []string) ([]string, error) {
	last := make(map[string]int, len(env))
	for i, e := range env {
		name, _, ok := strings.Cut(e, "=")
		switch {
		case strings.IndexByte(e, 0) >= 0:
			return nil, fmt.Errorf("process.env[%d]: %q has a NUL byte", i, e)
		case !ok:
			return nil, fmt.Errorf("process.env[%d]: %q is not NAME=VALUE", i, e)
		case name == "":
			return nil, fmt.Errorf("process.env[%d]: %q has no name", i, e)
		}
		last[name] = i
	}
	kept := make([]string, 0, len(env))
	for i, e := range env {
		if name, _, _ := strings.Cut(e, "="); last[name] == i {
			kept = append(kept, e)
		}
	}
	return kept, nil
}

// variable returns the value of the last NAME=VALUE in env.
func variable(env []string, name string) (string, bool) {
	for i := len(env) - 1; i >= 0; i-- {
		if n, value, ok := strings.Cut(env[i], "="); ok && n == name {
			return value, true
		}
	}
	return "", false
}

func resolveTerminal(plan *Plan, p *specs.Process, _ *specs.Linux, f Facts) error {
	// The specification: consoleSize is ignored without a terminal.
	if s := p.ConsoleSize; s != nil && p.Terminal {
		if s.Height > 65535 || s.Width > 65535 {
			return fmt.Errorf("process.consoleSize: %d by %d is above 65535", s.Height, s.Width)
		}
		plan.Console = &Size{Rows: uint16(s.Height), Columns: uint16(s.Width)}
	}
	if !p.Terminal {
		plan.OwnStdio = f.StdioPipes
	}
	return nil
}

// hinted is an error that knows what to do about it.
type hinted struct{ text, hint string }

func (e *hinted) Error() string { return e.text }

// Hint returns one thing to do, for the line below the error.
func (e *hinted) Hint() string { return e.hint }
