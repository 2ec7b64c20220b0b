// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func Entry()
//
// The stack is as execve leaves it, which is what the runtime expects.
TEXT ·Entry(SB), NOSPLIT|NOFRAME, $0-0
	MOVL	$30, DI		// PR_GET_TIMERSLACK
	MOVL	$157, AX	// prctl
	SYSCALL
	TESTQ	AX, AX
	JLE	begin		// refused, or a real-time thread, which has none
	MOVQ	AX, ·timerSlack(SB)
	MOVL	$29, DI		// PR_SET_TIMERSLACK
	MOVL	$1000000, SI	// ns
	MOVL	$157, AX
	SYSCALL
begin:
	JMP	_rt0_amd64_linux(SB)
