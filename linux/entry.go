// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// timerSlack is the timer slack with which mycr was executed, in nanoseconds,
// where Entry has raised it; else 0.
var timerSlack uintptr

// ownTimerSlack gives this thread, and so the child that it makes next, the
// timer slack with which mycr was executed.
func ownTimerSlack() {
	if timerSlack != 0 {
		unix.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_TIMERSLACK, timerSlack, 0, 0, 0, 0)
	}
}

// ForkExec is [syscall.ForkExec] for programs that are not ours: they get the
// timer slack with which mycr was executed.
func ForkExec(path string, argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ownTimerSlack()
	return syscall.ForkExec(path, argv, attr)
}
