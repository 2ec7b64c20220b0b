// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"errors"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// profile is a profile that has been read: for each name, what is to be done.
type profile struct {
	spec     *specs.LinuxSeccomp
	facts    *Facts
	fallback uint32 // the default action, as SECCOMP_RET_*
	notify   bool
	rules    []rule
	links    []link
	byName   [nameCount]verdict
	start    cell // what the native execve meets
	notes    []string
}

// rule is one rule with its conditions, all of which must hold.
type rule struct {
	entry  int    // index in syscalls
	action uint32 // SECCOMP_RET_* with its data
	conds  []cond
}

// cond compares an argument with a value; for maskedEqual value is the mask
// and two what remains.
type cond struct {
	index      uint8
	op         operator
	value, two uint64
}

type operator uint8

const (
	notEqual operator = iota
	less
	lessEqual
	equal
	greaterEqual
	greater
	maskedEqual
)

// verdict is what the profile says of one system call.
type verdict struct {
	named bool
	base  int32 // 1 + index of the rule without conditions; 0: the default
	chain int32 // 1 + index of the first link to the rules with conditions
}

// link is an element of a list of rules, the strictest first.
type link struct{ rule, next int32 }

// stricter orders actions as the kernel does where several filters answer.
func stricter(a, b uint32) bool {
	return int32(a&unix.SECCOMP_RET_ACTION_FULL) < int32(b&unix.SECCOMP_RET_ACTION_FULL)
}

func (p *profile) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// read checks the default action and the rules.
func (p *profile) read() error {
	s := p.spec
	if s.DefaultAction == "" {
		return errors.New("linux.seccomp.defaultAction: not set")
	}
	if s.DefaultAction == specs.ActNotify {
		return errors.New("linux.seccomp.defaultAction: SCMP_ACT_NOTIFY would wait for the listener before it is handed over")
	}
	var err error
	if p.fallback, err = p.action(s.DefaultAction, s.DefaultErrnoRet); err != nil {
		return prefixed("linux.seccomp.default", "Action", "ErrnoRet", err)
	}
	for i := range s.Syscalls {
		if err := p.readEntry(i, &s.Syscalls[i]); err != nil {
			return err
		}
	}
	p.noteUnreached()
	if p.notify && !p.lets(nameSendmsg) {
		return errors.New("linux.seccomp: sendmsg must be allowed, since SCMP_ACT_NOTIFY hands its listener over with it")
	}
	return nil
}

// readEntry takes in one element of syscalls.
func (p *profile) readEntry(i int, e *specs.LinuxSyscall) error {
	at := func(format string, args ...any) error {
		return fmt.Errorf("linux.seccomp.syscalls[%d]%w", i, fmt.Errorf(format, args...))
	}
	if len(e.Names) == 0 {
		return at(".names: empty")
	}
	action, err := p.action(e.Action, e.ErrnoRet)
	if err != nil {
		return prefixed(fmt.Sprintf("linux.seccomp.syscalls[%d].", i), "action", "errnoRet", err)
	}
	first := int32(len(p.rules))
	if err := p.readConds(i, e.Args, action); err != nil {
		return err
	}
	for n, name := range e.Names {
		if name == "" {
			return at(".names[%d]: empty", n)
		}
		if e.Action == specs.ActNotify {
			// sendmsg carries the listener; write is refused by runc, which
			// needs it for the same end, and profiles are written for that.
			if name == "write" || name == "sendmsg" {
				return at(".names[%d]: SCMP_ACT_NOTIFY cannot be used for %s", n, name)
			}
			p.notify = true
		}
		index, ok := findName(name)
		if !ok {
			if stricter(action, p.fallback) {
				p.note("linux.seccomp.syscalls[%d].names[%d]: no architecture has a system call %s", i, n, name)
			}
			continue
		}
		p.byName[index].named = true
		if len(e.Args) == 0 {
			p.setBase(index, first, name)
			continue
		}
		for r := first; r < int32(len(p.rules)); r++ {
			p.byName[index].chain = p.insert(p.byName[index].chain, r)
		}
	}
	return nil
}

// setBase makes a rule without conditions hold for a name.
func (p *profile) setBase(name int, r int32, word string) {
	v := &p.byName[name]
	if v.base == 0 {
		if p.rules[r].action != p.fallback {
			v.base = r + 1
		}
		return
	}
	if b := &p.rules[v.base-1]; b.action != p.rules[r].action {
		p.note("linux.seccomp.syscalls[%d]: has no effect on %s, syscalls[%d] comes first", p.rules[r].entry, word, b.entry)
	}
}

// insert puts a rule into a list, behind those that are as strict, and returns
// the new head.
func (p *profile) insert(head, r int32) int32 {
	at := &head
	for *at != 0 && !stricter(p.rules[r].action, p.rules[p.links[*at-1].rule].action) {
		at = &p.links[*at-1].next
	}
	next := *at
	*at = int32(len(p.links)) + 1 // before append, which may move the links
	p.links = append(p.links, link{r, next})
	return head
}

// noteUnreached tells of rules with conditions that are no exception to the
// rule without.
func (p *profile) noteUnreached() {
	for i := range p.byName {
		v := &p.byName[i]
		if v.base == 0 {
			continue
		}
		base := &p.rules[v.base-1]
		for l := v.chain; l != 0; l = p.links[l-1].next {
			r := &p.rules[p.links[l-1].rule]
			if r.action != base.action && !stricter(r.action, base.action) {
				p.note("linux.seccomp.syscalls[%d]: has no effect on %s, syscalls[%d] has no args", r.entry, nameText[nameEnds[i]:nameEnds[i+1]], base.entry)
			}
		}
	}
}

// readConds makes the rules of one entry.
func (p *profile) readConds(i int, args []specs.LinuxSeccompArg, action uint32) error {
	conds := make([]cond, len(args))
	var seen [6]bool
	apart := false
	for n, a := range args {
		if a.Index >= uint(len(seen)) {
			return fmt.Errorf("linux.seccomp.syscalls[%d].args[%d].index: %d is above 5", i, n, a.Index)
		}
		op, ok := findOperator(a.Op)
		if !ok {
			return fmt.Errorf("linux.seccomp.syscalls[%d].args[%d].op: %q is not an operator", i, n, a.Op)
		}
		apart = apart || seen[a.Index]
		seen[a.Index] = true
		conds[n] = cond{index: uint8(a.Index), op: op, value: a.Value, two: a.ValueTwo}
	}
	if !apart {
		p.rules = append(p.rules, rule{i, action, conds})
		return nil
	}
	for n := range conds {
		p.rules = append(p.rules, rule{i, action, conds[n : n+1]})
	}
	return nil
}

func findOperator(word specs.LinuxSeccompOperator) (operator, bool) {
	switch word {
	case specs.OpNotEqual:
		return notEqual, true
	case specs.OpLessThan:
		return less, true
	case specs.OpLessEqual:
		return lessEqual, true
	case specs.OpEqualTo:
		return equal, true
	case specs.OpGreaterEqual:
		return greaterEqual, true
	case specs.OpGreaterThan:
		return greater, true
	case specs.OpMaskedEqual:
		return maskedEqual, true
	}
	return 0, false
}

// errnoError is an error about errnoRet rather than the action.
type errnoError struct{ text string }

func (e errnoError) Error() string { return e.text }

func prefixed(path, action, errno string, err error) error {
	var about errnoError
	if errors.As(err, &about) {
		action = errno
	}
	return fmt.Errorf("%s%s: %w", path, action, err)
}

// action translates an action and its errno to SECCOMP_RET_*.
func (p *profile) action(word specs.LinuxSeccompAction, errno *uint) (uint32, error) {
	var ret, limit uint32
	var kernel string
	switch word {
	case specs.ActKill, specs.ActKillThread:
		ret, kernel = unix.SECCOMP_RET_KILL_THREAD, "kill_thread"
	case specs.ActKillProcess:
		ret, kernel = unix.SECCOMP_RET_KILL_PROCESS, "kill_process"
	case specs.ActTrap:
		ret, kernel = unix.SECCOMP_RET_TRAP, "trap"
	case specs.ActErrno:
		ret, kernel, limit = unix.SECCOMP_RET_ERRNO, "errno", 4095 // MAX_ERRNO; the kernel would cap it
	case specs.ActTrace:
		ret, kernel, limit = unix.SECCOMP_RET_TRACE, "trace", unix.SECCOMP_RET_DATA
	case specs.ActAllow:
		ret, kernel = unix.SECCOMP_RET_ALLOW, "allow"
	case specs.ActLog:
		ret, kernel = unix.SECCOMP_RET_LOG, "log"
	case specs.ActNotify:
		ret, kernel = unix.SECCOMP_RET_USER_NOTIF, "user_notif"
	case "":
		return 0, errors.New("not set")
	default:
		return 0, fmt.Errorf("%q is not an action", word)
	}
	if !p.facts.knowsAction(kernel) {
		return 0, fmt.Errorf("this kernel does not know %s", word)
	}
	switch {
	case errno == nil && limit == 0:
		return ret, nil
	case errno == nil:
		return ret | uint32(unix.EPERM), nil
	case limit == 0:
		return 0, errnoError{fmt.Sprintf("%d, but %s takes none", *errno, word)}
	case *errno > uint(limit):
		return 0, errnoError{fmt.Sprintf("%d is above %d", *errno, limit)}
	}
	return ret | uint32(*errno), nil
}

// lets says that the native system call of that name always passes.
func (p *profile) lets(name int) bool {
	v := p.byName[name]
	action := p.fallback
	if v.base != 0 {
		action = p.rules[v.base-1].action
	}
	return v.chain == 0 && (action == unix.SECCOMP_RET_ALLOW || action == unix.SECCOMP_RET_LOG)
}
