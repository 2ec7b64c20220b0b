// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func caught()
//
// The kernel calls it with the signal's number in R0 and its siginfo at R1, on
// the thread's stack for signals, and puts all registers back afterwards.
TEXT ·caught(SB), NOSPLIT|NOFRAME, $0-0
	MOVD	$·faultHandlers(SB), R3
	MOVD	(R3)(R0<<3), R3
	CBZ	R3, write
	MOVW	8(R1), R4	// si_code: positive for a fault, and not for kill(2)
	CMPW	$0, R4
	BLE	write
	JMP	(R3)
write:
	SUB	$16, RSP
	MOVD	R0, 0(RSP)
	MOVW	·signalPipe(SB), R0
	MOVD	RSP, R1
	MOVD	$1, R2
	MOVD	$64, R8		// write
	SVC
	ADD	$16, RSP
	RET

// func caughtAddress() (handler, restorer uintptr)
TEXT ·caughtAddress(SB), NOSPLIT, $0-16
	MOVD	$·caught(SB), R0
	MOVD	R0, handler+0(FP)
	MOVD	ZR, restorer+8(FP)
	RET
