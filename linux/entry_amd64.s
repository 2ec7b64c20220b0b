// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func Entry()
//
// The stack is as execve leaves it: argc, argv, 0, envp, 0, the auxiliary
// vector. The runtime takes argc in a register, so that all down to envp's end
// can move into argc's place, and envp has one word more.
TEXT ·Entry(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ	0(SP), R12	// argc
	MOVQ	SP, DI
	LEAQ	8(SP), SI
	LEAQ	1(R12), CX	// argv and its 0
	CLD
	REP;	MOVSQ
environment:
	MOVQ	(SI), AX
	TESTQ	AX, AX
	JEQ	last
	MOVQ	AX, (DI)
	ADDQ	$8, SI
	ADDQ	$8, DI
	JMP	environment
last:
	MOVQ	·oneProcessor(SB), AX	// where the string begins
	MOVQ	AX, (DI)

	MOVQ	·profileRate(SB), AX
	MOVQ	$0, (AX)

	MOVL	$30, DI		// PR_GET_TIMERSLACK
	MOVL	$157, AX	// prctl
	SYSCALL
	TESTQ	AX, AX
	JLE	begin		// refused, or a real-time thread, which has none
	MOVQ	AX, ·timerSlack(SB)
	MOVL	$29, DI		// PR_SET_TIMERSLACK
	MOVL	$20000000, SI	// ns
	MOVL	$157, AX
	SYSCALL
begin:
	MOVQ	R12, DI
	MOVQ	SP, SI		// argv
	JMP	runtime·rt0_go(SB)
