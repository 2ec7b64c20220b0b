// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package linux

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// signalPipe is where caught writes.
//
//lint:ignore U1000 it is read there
var signalPipe int32

// faultHandlers are Go's handlers of the signals that can be a fault of this
// very program, by their numbers.
var faultHandlers [65]uintptr

// caught is a signal handler: it writes the signal's number as a byte. A fault
// goes to Go's handler, which makes it a panic.
//
//lint:ignore U1000 the kernel calls it
func caught()

// caughtAddress gives the addresses of caught and of what it returns to, 0
// where the kernel has that itself.
func caughtAddress() (handler, restorer uintptr)

// sigaction is struct kernel_sigaction of 64-bit architectures; see rt_sigaction(2).
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

const (
	sigIgn     = 1
	saSiginfo  = 0x00000004
	saRestorer = 0x04000000
	saOnStack  = 0x08000000 // Go's stacks are too small for a handler
	saRestart  = 0x10000000
)

// caughtSignals is what signals did before they were caught.
type caughtSignals map[unix.Signal]sigaction

func (c *caughtSignals) take(list []unix.Signal, pipe int) error {
	*c = make(caughtSignals, len(list))
	signalPipe = int32(pipe)
	own := sigaction{flags: saSiginfo | saOnStack | saRestart, mask: ^uint64(0)}
	own.handler, own.restorer = caughtAddress()
	if own.restorer != 0 {
		own.flags |= saRestorer
	}
	for _, signal := range list {
		var old sigaction
		err := setSignal(signal, nil, &old)
		if err == nil && old.handler != sigIgn {
			(*c)[signal] = old
			switch signal {
			case unix.SIGILL, unix.SIGTRAP, unix.SIGBUS, unix.SIGFPE, unix.SIGSEGV, unix.SIGSYS:
				faultHandlers[signal] = old.handler // before ours can be called
			}
			err = setSignal(signal, &own, nil)
		}
		if err != nil {
			return fmt.Errorf("catch signal %d: %w", signal, err)
		}
	}
	return nil
}

func (c *caughtSignals) release() {
	for signal, old := range *c {
		setSignal(signal, &old, nil) // which has been set before
	}
}

func setSignal(signal unix.Signal, action, old *sigaction) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(signal), uintptr(unsafe.Pointer(action)),
		uintptr(unsafe.Pointer(old)), unsafe.Sizeof(sigaction{}.mask), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
