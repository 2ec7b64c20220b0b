// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// The words of struct seccomp_data, linux/seccomp.h.
const (
	offsetNr   = 0
	offsetArch = 4
	offsetArgs = 16
)

const retENOSYS = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)

// cell is what is to be done for a number: an action, with exceptions.
type cell struct {
	action uint32
	chain  int32 // as in verdict
}

// span is a run of numbers with the same cell; it ends where the next starts.
type span struct {
	start uint32
	cell  cell
}

// compile makes the program: the architecture first, and then a binary search
// over spans of numbers with the same answer. Nothing but arch and nr is
// loaded on the way to a span, so that the kernel finds the calls that always
// pass when the filter is installed and does not run it for these (since 5.11).
func (p *profile) compile(audits []audit, native *arch) ([]Instruction, error) {
	a := assembler{code: make([]Instruction, 0, 448)}
	blocks := make([]label, len(audits))
	spans := make([]span, 0, 256)
	for i := len(audits) - 1; i >= 0; i-- {
		spans = p.spans(spans[:0], &audits[i], native)
		a.shared = a.shared[:0]
		about := audits[i].plain
		if about == nil {
			about = audits[i].x32
		}
		tree := p.tree(&a, spans, about)
		if !tree.ret {
			tree = a.load(offsetNr, tree)
		}
		blocks[i] = tree
	}
	root := ret(unix.SECCOMP_RET_KILL_THREAD)
	for i := len(audits) - 1; i >= 0; i-- {
		root = a.branch(unix.BPF_JEQ, audits[i].value, blocks[i], root)
	}
	if root.ret {
		a.near(root)
	} else {
		a.load(offsetArch, root)
	}
	if len(a.code) > maxInstructions {
		return nil, fmt.Errorf("linux.seccomp: the profile takes %d instructions, the kernel takes %d", len(a.code), maxInstructions)
	}
	return a.program(), nil
}

// spans lays out all 2^32 numbers of an audit architecture.
func (p *profile) spans(s []span, au *audit, native *arch) []span {
	bad := cell{action: unix.SECCOMP_RET_KILL_THREAD}
	fallback := cell{action: p.fallback}
	if au.value != unix.AUDIT_ARCH_X86_64 {
		return p.lay(s, au.plain, native, 0)
	}
	if au.plain != nil {
		s = p.lay(s, au.plain, native, 0)
	} else {
		s = add(s, 0, bad)
	}
	if au.x32 != nil {
		s = p.lay(s, au.x32, native, x32Bit)
	} else {
		s = add(s, x32Bit, bad)
	}
	// A tracer sets the number to -1 to skip a system call; that is not x32.
	return add(s, ^uint32(0), fallback)
}

// add starts a span unless the one before has the same cell.
func add(s []span, start uint32, c cell) []span {
	if len(s) > 0 && s[len(s)-1].cell == c {
		return s
	}
	return append(s, span{start, c})
}

// lay lays out the numbers of one architecture from bit on.
func (p *profile) lay(s []span, a *arch, native *arch, bit uint32) []span {
	const size = 640 // above the highest number, x32's 547
	const private = 0xf000
	var cells [size]cell
	var arm [8]cell // ARM's own, from 0xf0000 on
	fallback := cell{action: p.fallback}
	for i := range cells {
		cells[i] = fallback
	}
	for i := range arm {
		arm[i] = fallback
	}
	last, hasArm := -1, a.table == tableARM
	for name := range p.byName {
		v := &p.byName[name]
		if !v.named {
			continue
		}
		nr, ok := a.number(name)
		if !ok {
			continue
		}
		c := cell{p.fallback, v.chain}
		if v.base != 0 {
			c.action = p.rules[v.base-1].action
		}
		if nr >= private {
			arm[nr-private] = c
			continue
		}
		cells[nr-a.base] = c
		last = max(last, int(nr-a.base))
	}
	p.multiplex(&cells, a)
	tail := fallback
	if last >= 0 && p.answersENOSYS() {
		tail.action = retENOSYS
		if a.kin == kinS390 {
			// The number of a system call that an s390 kernel does not know
			// may arrive as 0, since a wide number comes in a register.
			cells[0] = tail
		}
	} else {
		last = size - 1
	}
	if a == native {
		p.execve(&cells, last, tail, a)
	}
	if a.base > 0 {
		s = add(s, bit, fallback)
	}
	for i := 0; i <= last; i++ {
		s = add(s, bit+a.base+uint32(i), cells[i])
	}
	s = add(s, bit+a.base+uint32(last)+1, tail)
	if hasArm {
		for i, c := range arm {
			s = add(s, 0xf0000+uint32(i), c)
		}
		s = add(s, 0xf0000+uint32(len(arm)), tail)
	}
	return s
}

// answersENOSYS says whether numbers above those that the profile names answer
// ENOSYS rather than take the default action.
func (p *profile) answersENOSYS() bool {
	switch p.fallback & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG, unix.SECCOMP_RET_TRACE:
		return false
	}
	return p.fallback != retENOSYS
}

// execve looks at what becomes of the container's own execve, which is made by
// the thread that took the filter. Where the filter would end that thread, it
// ends the process: the thread may have others beside it, which would stay
// behind and be waited for. No program is there yet to see the difference.
func (p *profile) execve(cells *[640]cell, last int, tail cell, a *arch) {
	nr, _ := a.number(nameExecve)
	if int(nr-a.base) > last {
		p.start = tail
		return
	}
	c := &cells[nr-a.base]
	if *c == (cell{action: unix.SECCOMP_RET_KILL_THREAD}) {
		c.action = unix.SECCOMP_RET_KILL_PROCESS
	}
	p.start = *c
}

// tree emits the search over spans and returns its start.
func (p *profile) tree(a *assembler, s []span, about *arch) label {
	if len(s) == 1 {
		return p.leaf(a, s[0].cell, about)
	}
	middle := len(s) / 2
	high := p.tree(a, s[middle:], about)
	low := p.tree(a, s[:middle], about)
	return a.branch(unix.BPF_JGE, s[middle].start, high, low)
}

// leaf emits a cell: its exceptions, if any, and its action.
func (p *profile) leaf(a *assembler, c cell, about *arch) label {
	next := ret(c.action)
	if c.chain == 0 {
		return next
	}
	var rules []int32
	for l := c.chain; l != 0; l = p.links[l-1].next {
		r := p.links[l-1].rule
		if c.action == p.fallback || stricter(p.rules[r].action, c.action) {
			rules = append(rules, r)
		}
	}
	for i := range a.shared {
		if s := &a.shared[i]; s.action == c.action && slices.Equal(s.rules, rules) {
			return s.start
		}
	}
	for i := len(rules) - 1; i >= 0; i-- {
		r := &p.rules[rules[i]]
		yes := ret(r.action)
		for k := len(r.conds) - 1; k >= 0; k-- {
			yes = a.compare(&r.conds[k], about, yes, next)
		}
		next = yes
	}
	a.shared = append(a.shared, exceptions{c.action, rules, next})
	return next
}
