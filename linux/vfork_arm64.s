// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func rawVfork(args unsafe.Pointer, size uintptr) (r int)
//
// The return address is in the link register from beginning to end.
TEXT ·rawVfork(SB), NOSPLIT|NOFRAME, $0-24
	MOVD	args+0(FP), R0
	MOVD	size+8(FP), R1
	MOVD	$435, R8	// clone3
	SVC
	MOVD	R0, r+16(FP)
	RET
