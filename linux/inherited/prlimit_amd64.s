// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func prlimitNofile(lim *rlimit): prlimit64(0, RLIMIT_NOFILE, NULL, lim)
TEXT ·prlimitNofile(SB), NOSPLIT, $0-8
	MOVQ	$302, AX
	MOVQ	$0, DI
	MOVQ	$7, SI
	MOVQ	$0, DX
	MOVQ	lim+0(FP), R10
	SYSCALL
	RET
