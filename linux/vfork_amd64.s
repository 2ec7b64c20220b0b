// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func rawVfork(args unsafe.Pointer, size uintptr) (r int)
//
// With CLONE_VM the child runs on this very stack before the parent goes on,
// so the return address is kept in a register, which each of them has for
// itself. x86-64: see syscall(2) for the registers that the kernel keeps.
TEXT ·rawVfork(SB), NOSPLIT|NOFRAME, $0-24
	MOVQ	args+0(FP), DI
	MOVQ	size+8(FP), SI
	MOVQ	$435, AX	// clone3
	POPQ	R13
	SYSCALL
	PUSHQ	R13
	MOVQ	AX, r+16(FP)
	RET
