// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"slices"

	"golang.org/x/sys/unix"
)

// assembler writes a program from its end to its start, since classic BPF
// jumps only forward: the targets of a jump are there when it is written.
type assembler struct {
	code []Instruction // the last instruction first
	// placed says where an end or a jump to a far label was written last.
	placed []place
	// shared are the exceptions written for the architecture at hand: a rule
	// for many names is written once.
	shared []exceptions
}

type exceptions struct {
	action uint32
	rules  []int32
	start  label
}

type place struct {
	label label
	pos   int
}

// label is a place to go on: an instruction, or the end with an action, which
// is written where it is needed.
type label struct {
	ret    bool
	action uint32
	pos    int
}

func ret(action uint32) label { return label{ret: true, action: action} }

// reach is how far near looks. A conditional jump skips at most 255; one more
// instruction may come between the target and the jump.
const reach = 254

func (a *assembler) emit(code uint16, jt, jf uint8, k uint32) int {
	a.code = append(a.code, Instruction{code, jt, jf, k})
	return len(a.code) - 1
}

// near returns a place that a conditional jump can reach and that is, or leads
// to, l.
func (a *assembler) near(l label) int {
	if !l.ret && len(a.code)-l.pos-1 < reach {
		return l.pos
	}
	at := -1
	for i := range a.placed {
		if a.placed[i].label == l {
			at = i
		}
	}
	if at < 0 {
		at = len(a.placed)
		a.placed = append(a.placed, place{l, -2 * reach})
	}
	if p := &a.placed[at]; len(a.code)-p.pos-1 >= reach {
		if l.ret {
			p.pos = a.emit(unix.BPF_RET|unix.BPF_K, 0, 0, l.action)
		} else {
			p.pos = a.emit(unix.BPF_JMP|unix.BPF_JA, 0, 0, uint32(len(a.code)-l.pos-1))
		}
	}
	return a.placed[at].pos
}

// branch compares the accumulator with k.
func (a *assembler) branch(op uint16, k uint32, yes, no label) label {
	if yes == no {
		return yes
	}
	y := a.near(yes)
	n := a.near(no)
	at := len(a.code)
	return label{pos: a.emit(unix.BPF_JMP|op|unix.BPF_K, uint8(at-y-1), uint8(at-n-1), k)}
}

// load reads a word of seccomp_data and goes on with next, which must be an
// instruction.
func (a *assembler) load(offset uint32, next label) label {
	if next.pos != len(a.code)-1 {
		a.emit(unix.BPF_JMP|unix.BPF_JA, 0, 0, uint32(len(a.code)-next.pos-1))
	}
	return label{pos: a.emit(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, 0, 0, offset)}
}

// program returns the instructions in order.
func (a *assembler) program() []Instruction {
	slices.Reverse(a.code)
	return a.code
}

// word loads a word, masks it, and compares it.
func (a *assembler) word(offset, mask uint32, op uint16, k uint32, yes, no label) label {
	l := a.branch(op, k, yes, no)
	if l == yes || l == no {
		return l
	}
	if mask != ^uint32(0) {
		l = label{pos: a.emit(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, 0, 0, mask)}
	}
	return a.load(offset, l)
}

// compare emits one condition. An argument has two words; the upper one decides
// unless it is equal.
func (a *assembler) compare(c *cond, about *arch, yes, no label) label {
	if yes == no {
		return yes
	}
	switch c.op {
	case notEqual:
		yes, no = no, yes
	case less: // not >=
		yes, no = no, yes
	case lessEqual: // not >
		yes, no = no, yes
	}
	low := offsetArgs + 8*uint32(c.index)
	high := low + 4
	if about.big {
		low, high = high, low
	}
	valueLow, valueHigh := uint32(c.value), uint32(c.value>>32)
	switch c.op {
	case equal, notEqual:
		if about.narrow && valueHigh != 0 && valueHigh != ^uint32(0) {
			return no
		}
		l := a.word(low, ^uint32(0), unix.BPF_JEQ, valueLow, yes, no)
		if about.narrow {
			return l
		}
		return a.word(high, ^uint32(0), unix.BPF_JEQ, valueHigh, l, no)
	case maskedEqual:
		two := c.two & c.value // as libseccomp takes it
		l := yes
		if valueLow != 0 {
			l = a.word(low, valueLow, unix.BPF_JEQ, uint32(two), l, no)
		}
		if valueHigh != 0 && !about.narrow {
			l = a.word(high, valueHigh, unix.BPF_JEQ, uint32(two>>32), l, no)
		}
		return l
	}
	op := uint16(unix.BPF_JGE)
	if c.op == greater || c.op == lessEqual {
		op = unix.BPF_JGT
	}
	if about.narrow && valueHigh != 0 {
		return no // no argument is that large
	}
	l := a.word(low, ^uint32(0), op, valueLow, yes, no)
	if about.narrow {
		return l
	}
	// Above: yes. Else equal: the lower word decides. Else no.
	l = a.branch(unix.BPF_JEQ, valueHigh, l, no)
	return a.load(high, a.branch(unix.BPF_JGT, valueHigh, yes, l))
}
