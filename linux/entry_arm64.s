// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func Entry()
//
// The stack is as execve leaves it: argc, argv, 0, envp, 0, the auxiliary
// vector. The runtime takes argc in a register, so that all down to envp's end
// can move into argc's place, and envp has one word more.
TEXT ·Entry(SB), NOSPLIT|NOFRAME, $0-0
	MOVD	0(RSP), R9	// argc
	MOVD	RSP, R10
	ADD	$8, R10, R11
	ADD	$1, R9, R12	// argv and its 0
arguments:
	MOVD.P	8(R11), R13
	MOVD.P	R13, 8(R10)
	SUB	$1, R12
	CBNZ	R12, arguments
environment:
	MOVD.P	8(R11), R13
	CBZ	R13, last
	MOVD.P	R13, 8(R10)
	B	environment
last:
	MOVD	·oneProcessor(SB), R13	// where the string begins
	MOVD	R13, (R10)

	MOVD	·profileRate(SB), R13
	MOVD	ZR, (R13)

	MOVD	$30, R0		// PR_GET_TIMERSLACK
	MOVD	$167, R8	// prctl
	SVC
	CMP	$0, R0
	BLE	begin		// refused, or a real-time thread, which has none
	MOVD	R0, ·timerSlack(SB)
	MOVD	$29, R0		// PR_SET_TIMERSLACK
	MOVD	$20000000, R1	// ns
	MOVD	$167, R8
	SVC
begin:
	MOVD	R9, R0
	MOVD	RSP, R1		// argv
	B	runtime·rt0_go(SB)
