// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func caught()
//
// The kernel calls it with the signal's number in DI and its siginfo at SI, on
// the thread's stack for signals, and puts all registers back afterwards.
TEXT ·caught(SB), NOSPLIT|NOFRAME, $0-0
	LEAQ	·faultHandlers(SB), AX
	MOVQ	(AX)(DI*8), AX
	TESTQ	AX, AX
	JEQ	write
	CMPL	8(SI), $0	// si_code: positive for a fault, and not for kill(2)
	JLE	write
	JMP	AX
write:
	PUSHQ	DI
	MOVL	·signalPipe(SB), DI
	MOVQ	SP, SI
	MOVL	$1, DX
	MOVL	$1, AX		// write
	SYSCALL
	POPQ	DI
	RET

// func caughtAddress() (handler, restorer uintptr)
TEXT ·caughtAddress(SB), NOSPLIT, $0-16
	MOVQ	$·caught(SB), AX
	MOVQ	AX, handler+0(FP)
	MOVQ	$·restore(SB), AX
	MOVQ	AX, restorer+8(FP)
	RET

// func restore()
TEXT ·restore(SB), NOSPLIT|NOFRAME, $0-0
	MOVL	$15, AX		// rt_sigreturn
	SYSCALL
	INT	$3		// not reached
