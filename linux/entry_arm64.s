// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func Entry()
//
// The stack is as execve leaves it, which is what the runtime expects.
TEXT ·Entry(SB), NOSPLIT|NOFRAME, $0-0
	MOVD	$30, R0		// PR_GET_TIMERSLACK
	MOVD	$167, R8	// prctl
	SVC
	CMP	$0, R0
	BLE	begin		// refused, or a real-time thread, which has none
	MOVD	R0, ·timerSlack(SB)
	MOVD	$29, R0		// PR_SET_TIMERSLACK
	MOVD	$1000000, R1	// ns
	MOVD	$167, R8
	SVC
begin:
	B	_rt0_arm64_linux(SB)
