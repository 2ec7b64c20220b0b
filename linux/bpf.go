// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// BPFInsn is struct bpf_insn; see bpf(2).
type BPFInsn struct {
	Code uint8
	regs uint8
	Off  int16
	Imm  int32
}

// BPF makes an instruction of the registers that it writes to and reads from.
func BPF(code, dst, src uint8, off int16, imm int32) BPFInsn {
	i := BPFInsn{Code: code, Off: off, Imm: imm}
	if bigEndian() { // the registers are C's bit fields
		i.regs = dst<<4 | src
	} else {
		i.regs = src<<4 | dst
	}
	return i
}

// Registers are dst and src.
func (i BPFInsn) Registers() (dst, src uint8) {
	if bigEndian() {
		return i.regs >> 4, i.regs & 15
	}
	return i.regs & 15, i.regs >> 4
}

func bigEndian() bool {
	one := uint16(1)
	return *(*byte)(unsafe.Pointer(&one)) == 0
}

// BPFLoad has the kernel check a program and gives its descriptor. The error of a
// program that is refused has the verifier's words. The name, of at most 15
// letters, digits, dots and underscores, is what BPFName returns.
func BPFLoad(kind uint32, program []BPFInsn, license, name string) (int, error) {
	attr := struct {
		kind, count    uint32
		insns, license uint64
		level, size    uint32
		log            uint64
		version, flags uint32
		name           [unix.BPF_OBJ_NAME_LEN]byte
	}{kind: kind, count: uint32(len(program))}
	copy(attr.name[:len(attr.name)-1], name)
	words := append([]byte(license), 0)
	var pins runtime.Pinner
	defer pins.Unpin()
	pins.Pin(&program[0])
	pins.Pin(&words[0])
	attr.insns, attr.license = uint64(uintptr(unsafe.Pointer(&program[0]))), uint64(uintptr(unsafe.Pointer(&words[0])))

	// A signal interrupts the verifier with EAGAIN; Go's preemption sends some.
	const tries = 50
	for range tries {
		fd, err := bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
		if err == nil {
			return int(fd), nil
		}
		if errors.Is(err, unix.EAGAIN) {
			continue
		}
		if attr.level == 0 && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EACCES)) { // once more, for the words
			log := make([]byte, 64<<10)
			pins.Pin(&log[0])
			attr.level, attr.size, attr.log = 1, uint32(len(log)), uint64(uintptr(unsafe.Pointer(&log[0])))
			if fd, again := bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); again == nil {
				return int(fd), nil
			}
			return -1, fmt.Errorf("load a BPF program: %w: %s", err, unix.ByteSliceToString(log))
		}
		return -1, fmt.Errorf("load a BPF program: %w", err)
	}
	return -1, fmt.Errorf("load a BPF program: %w, %d times", unix.EAGAIN, tries)
}

// BPFAttach attaches a program to a cgroup; flags are BPF_F_*, and replaced is
// the program that BPF_F_REPLACE (Linux 5.6) takes off.
func BPFAttach(cgroup, program int, kind, flags uint32, replaced int) error {
	attr := struct{ target, program, kind, flags, replaced uint32 }{
		uint32(cgroup), uint32(program), kind, flags, uint32(replaced)}
	if _, err := bpf(unix.BPF_PROG_ATTACH, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
		return fmt.Errorf("attach a BPF program: %w", err)
	}
	return nil
}

// BPFDetach takes a program off a cgroup.
func BPFDetach(cgroup, program int, kind uint32) error {
	attr := struct{ target, program, kind uint32 }{uint32(cgroup), uint32(program), kind}
	if _, err := bpf(unix.BPF_PROG_DETACH, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
		return fmt.Errorf("detach a BPF program: %w", err)
	}
	return nil
}

// BPFAttached are the ids of the programs of one kind that are attached to the
// cgroup itself.
func BPFAttached(cgroup int, kind uint32) ([]uint32, error) {
	ids := make([]uint32, 64) // the most that the kernel allows (BPF_CGROUP_MAX_PROGS)
	var pins runtime.Pinner
	defer pins.Unpin()
	pins.Pin(&ids[0])
	attr := struct {
		target, kind, query, flags uint32
		ids                        uint64
		count, _                   uint32
		// Linux 6.17 writes the revision, the last one here, whatever size it is told.
		_, _, _, _ uint64
	}{target: uint32(cgroup), kind: kind, ids: uint64(uintptr(unsafe.Pointer(&ids[0]))), count: uint32(len(ids))}
	if _, err := bpf(unix.BPF_PROG_QUERY, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
		return nil, fmt.Errorf("list BPF programs: %w", err)
	}
	return ids[:attr.count], nil
}

// BPFByID opens a program.
func BPFByID(id uint32) (int, error) {
	attr := struct{ id, next, flags uint32 }{id: id}
	fd, err := bpf(unix.BPF_PROG_GET_FD_BY_ID, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err != nil {
		return -1, fmt.Errorf("open BPF program %d: %w", id, err)
	}
	return int(fd), nil
}

// BPFName is the name that a program was loaded with.
func BPFName(program int) (string, error) {
	var info struct { // the beginning of struct bpf_prog_info
		_    [64]byte
		name [unix.BPF_OBJ_NAME_LEN]byte
	}
	var pins runtime.Pinner
	defer pins.Unpin()
	pins.Pin(&info)
	attr := struct {
		fd, size uint32
		info     uint64
	}{uint32(program), uint32(unsafe.Sizeof(info)), uint64(uintptr(unsafe.Pointer(&info)))}
	if _, err := bpf(unix.BPF_OBJ_GET_INFO_BY_FD, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
		return "", fmt.Errorf("ask about a BPF program: %w", err)
	}
	return unix.ByteSliceToString(info.name[:]), nil
}

// bpf makes the call; every descriptor that it gives is CLOEXEC.
func bpf(command uintptr, attr unsafe.Pointer, size uintptr) (uintptr, error) {
	r, _, errno := unix.Syscall(unix.SYS_BPF, command, uintptr(attr), size)
	if errno != 0 {
		return 0, errno
	}
	return r, nil
}
