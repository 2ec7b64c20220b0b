// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func prlimitNofile(lim *rlimit): prlimit64(0, RLIMIT_NOFILE, NULL, lim)
TEXT ·prlimitNofile(SB), NOSPLIT, $0-8
	MOVD	$261, R8
	MOVD	$0, R0
	MOVD	$7, R1
	MOVD	$0, R2
	MOVD	lim+0(FP), R3
	SVC
	RET
