// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"encoding/binary"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// data is struct seccomp_data.
type data struct {
	nr, arch uint32
	pointer  uint64
	args     [6]uint64
}

// run interprets a filter and returns its answer; it fails where the kernel
// would refuse the program.
func run(t testing.TB, program []Instruction, d data, big bool) uint32 {
	t.Helper()
	answer, err := interpret(program, d, big)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func interpret(program []Instruction, d data, big bool) (uint32, error) {
	var order binary.ByteOrder = binary.LittleEndian
	if big {
		order = binary.BigEndian
	}
	var memory [64]byte
	order.PutUint32(memory[0:], d.nr)
	order.PutUint32(memory[4:], d.arch)
	order.PutUint64(memory[8:], d.pointer)
	for i, a := range d.args {
		order.PutUint64(memory[16+8*i:], a)
	}
	var accumulator uint32
	for pc := 0; pc < len(program); pc++ {
		in := program[pc]
		jump := func(is bool) {
			if is {
				pc += int(in.Jt)
			} else {
				pc += int(in.Jf)
			}
		}
		switch in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			if in.K%4 != 0 || in.K >= 64 {
				return 0, fmt.Errorf("instruction %d: load from %d", pc, in.K)
			}
			accumulator = order.Uint32(memory[in.K:])
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			accumulator &= in.K
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(in.K)
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			jump(accumulator == in.K)
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			jump(accumulator >= in.K)
		case unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K:
			jump(accumulator > in.K)
		case unix.BPF_RET | unix.BPF_K:
			return in.K, nil
		default:
			return 0, fmt.Errorf("instruction %d: code %#x", pc, in.Code)
		}
	}
	return 0, fmt.Errorf("the program of %d instructions has no end", len(program))
}

// checkTargets does what the kernel's bpf_check_classic does about jumps.
func checkTargets(program []Instruction) error {
	for pc, in := range program {
		if in.Code&7 != unix.BPF_JMP {
			continue
		}
		far := max(uint32(in.Jt), uint32(in.Jf))
		if in.Code == unix.BPF_JMP|unix.BPF_JA {
			far = in.K
		}
		if uint64(pc)+1+uint64(far) >= uint64(len(program)) {
			return fmt.Errorf("instruction %d jumps out", pc)
		}
	}
	if n := len(program); n == 0 || program[n-1].Code&7 != unix.BPF_RET {
		return fmt.Errorf("the last instruction does not return")
	}
	return nil
}
