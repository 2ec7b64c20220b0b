// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package linux

import (
	"os"
	"runtime"
	"strings"

	_ "mycr/linux/stack" // for all that import linux
)

// Entry is where the kernel starts an executable that was linked with
// -ldflags '-E mycr/linux.Entry', before Go's runtime begins. An executable
// that is linked without it is slower, and else the same.
//
// It puts GOMAXPROCS=01 behind the environment, where a GOMAXPROCS of the
// user's comes first: for a second processor the runtime makes a thread as
// soon as it has anything to do, a tenth of the time of `mycr state`.
//
// It raises the timer slack (see PR_SET_TIMERSLACK in prctl(2)) of the first
// thread, and so of those that the runtime makes, to 20 ms: the runtime's
// monitor thread sleeps 20 µs at a time, and would take a tenth of the
// processor time of `mycr run`. What else mycr waits for with a limit of time
// can last that much longer.
//
// It turns memory profiling off, which nobody can ask mycr for: the runtime
// would take a sample at its first allocation.
func Entry()

// oneProcessor is what Entry puts there, as C has its strings.
var oneProcessor = "GOMAXPROCS=01\x00"

// profileRate is where the runtime has it. Entry may not name it itself.
//
//lint:ignore U1000 Entry reads it
var profileRate = &runtime.MemProfileRate

// What Entry wrote for the runtime is not for those that mycr executes.
func init() {
	name, value, _ := strings.Cut(oneProcessor[:len(oneProcessor)-1], "=")
	if os.Getenv(name) == value {
		os.Unsetenv(name)
	}
}
