// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// x32Bit is __X32_SYSCALL_BIT: x32 shares AUDIT_ARCH_X86_64 and has this bit in
// the number of the system call.
const x32Bit = 0x40000000

// arch is a way into the kernel.
type arch struct {
	word  specs.Arch
	audit uint32 // AUDIT_ARCH_*, seccomp_data.arch
	table int8   // row of numberTable; -1: there is none
	kin   kin
	// base is the number that system calls start with (MIPS).
	base uint32
	// narrow says that arguments are 32 bits wide: the upper halves do not
	// count, MIPS fills them with the sign.
	narrow bool
	// big says that a 64-bit word in memory starts with its upper half.
	big bool
}

// kin groups the architectures that one kernel can run.
type kin uint8

const (
	kinX86 kin = iota
	kinARM
	kinMIPS
	kinMIPSEL
	kinPPC
	kinPPCLE
	kinS390
	kinRISCV
	kinLoong
	kinNone // Go runs on no kernel of these
)

// arches are the architectures that the specification names.
var arches = [...]arch{
	{word: specs.ArchX86_64, audit: unix.AUDIT_ARCH_X86_64, table: tableX86_64, kin: kinX86},
	{word: specs.ArchX86, audit: unix.AUDIT_ARCH_I386, table: tableX86, kin: kinX86, narrow: true},
	{word: specs.ArchX32, audit: unix.AUDIT_ARCH_X86_64, table: tableX32, kin: kinX86},
	{word: specs.ArchAARCH64, audit: unix.AUDIT_ARCH_AARCH64, table: tableAARCH64, kin: kinARM},
	{word: specs.ArchARM, audit: unix.AUDIT_ARCH_ARM, table: tableARM, kin: kinARM, narrow: true},
	{word: specs.ArchMIPS, audit: unix.AUDIT_ARCH_MIPS, table: tableMIPS, kin: kinMIPS, base: 4000, narrow: true, big: true},
	{word: specs.ArchMIPS64, audit: unix.AUDIT_ARCH_MIPS64, table: tableMIPS64, kin: kinMIPS, base: 5000, big: true},
	{word: specs.ArchMIPS64N32, audit: unix.AUDIT_ARCH_MIPS64N32, table: -1, kin: kinMIPS, big: true},
	{word: specs.ArchMIPSEL, audit: unix.AUDIT_ARCH_MIPSEL, table: tableMIPS, kin: kinMIPSEL, base: 4000, narrow: true},
	{word: specs.ArchMIPSEL64, audit: unix.AUDIT_ARCH_MIPSEL64, table: tableMIPS64, kin: kinMIPSEL, base: 5000},
	{word: specs.ArchMIPSEL64N32, audit: unix.AUDIT_ARCH_MIPSEL64N32, table: -1, kin: kinMIPSEL},
	{word: specs.ArchPPC, audit: unix.AUDIT_ARCH_PPC, table: tablePPC, kin: kinPPC, narrow: true, big: true},
	{word: specs.ArchPPC64, audit: unix.AUDIT_ARCH_PPC64, table: tablePPC64, kin: kinPPC, big: true},
	{word: specs.ArchPPC64LE, audit: unix.AUDIT_ARCH_PPC64LE, table: tablePPC64, kin: kinPPCLE},
	{word: specs.ArchS390, audit: unix.AUDIT_ARCH_S390, table: -1, kin: kinS390, narrow: true, big: true},
	{word: specs.ArchS390X, audit: unix.AUDIT_ARCH_S390X, table: tableS390X, kin: kinS390, big: true},
	{word: specs.ArchRISCV64, audit: unix.AUDIT_ARCH_RISCV64, table: tableRISCV64, kin: kinRISCV},
	{word: specs.ArchLOONGARCH64, audit: unix.AUDIT_ARCH_LOONGARCH64, table: tableLOONGARCH64, kin: kinLoong},
	{word: specs.ArchPARISC, table: -1, kin: kinNone},
	{word: specs.ArchPARISC64, table: -1, kin: kinNone},
	{word: specs.ArchM68K, table: -1, kin: kinNone},
	{word: specs.ArchSH, table: -1, kin: kinNone},
	{word: specs.ArchSHEB, table: -1, kin: kinNone},
}

// nativeArch translates runtime.GOARCH.
func nativeArch(goarch string) (*arch, bool) {
	var word specs.Arch
	switch goarch {
	case "amd64":
		word = specs.ArchX86_64
	case "386":
		word = specs.ArchX86
	case "arm64":
		word = specs.ArchAARCH64
	case "arm":
		word = specs.ArchARM
	case "mips":
		word = specs.ArchMIPS
	case "mips64":
		word = specs.ArchMIPS64
	case "mipsle":
		word = specs.ArchMIPSEL
	case "mips64le":
		word = specs.ArchMIPSEL64
	case "ppc64":
		word = specs.ArchPPC64
	case "ppc64le":
		word = specs.ArchPPC64LE
	case "s390x":
		word = specs.ArchS390X
	case "riscv64":
		word = specs.ArchRISCV64
	case "loong64":
		word = specs.ArchLOONGARCH64
	}
	return findArch(word)
}

func findArch(word specs.Arch) (*arch, bool) {
	for i := range arches {
		if arches[i].word == word {
			return &arches[i], true
		}
	}
	return nil, false
}

// audit is a value of seccomp_data.arch with what is behind it: one
// architecture, or x86-64 and x32.
type audit struct {
	value      uint32
	plain, x32 *arch
}

// architectures returns what the filter has to tell apart, the native one first.
func (p *profile) architectures(native *arch) ([]audit, error) {
	audits := []audit{{value: native.audit, plain: native}}
	for i, word := range p.spec.Architectures {
		a, ok := findArch(word)
		if !ok {
			return nil, fmt.Errorf("linux.seccomp.architectures[%d]: %q is not an architecture", i, word)
		}
		if a.kin != native.kin {
			continue
		}
		if a.table < 0 {
			p.note("linux.seccomp.architectures[%d]: no system call table for %s: its system calls end the thread", i, word)
			continue
		}
		audits = addArch(audits, a)
	}
	return audits, nil
}

func addArch(audits []audit, a *arch) []audit {
	at := -1
	for i := range audits {
		if audits[i].value == a.audit {
			at = i
		}
	}
	if at < 0 {
		at = len(audits)
		audits = append(audits, audit{value: a.audit})
	}
	if a.table == tableX32 {
		audits[at].x32 = a
	} else {
		audits[at].plain = a
	}
	return audits
}

// number returns the number of a system call by the index of its name.
func (a *arch) number(name int) (nr uint32, ok bool) {
	n := numberTable[a.table][name]
	return uint32(n), n != absent
}

// findName returns the index of a system call's name in the tables.
func findName(name string) (int, bool) {
	h := uint32(2166136261) // FNV-1a, as gen.go has it
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	for at := h % nameSlotCount; nameSlots[at] != 0; at = (at + 1) % nameSlotCount {
		i := int(nameSlots[at]) - 1
		if nameText[nameEnds[i]:nameEnds[i+1]] == name {
			return i, true
		}
	}
	return 0, false
}
