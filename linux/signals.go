// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Signals is where the signals are read that this process catches. It is here
// because os/signal wakes another thread for each signal that it takes over,
// which made them a tenth of the time of `mycr exec`.
type Signals struct {
	FD     int // non-blocking; each signal caught is a byte, its number
	caught caughtSignals
}

// CatchSignals catches these signals, but those that are ignored, as SIGHUP is
// under nohup. It is for once in a process, whose end closes the descriptors: a
// handler may use them at any time.
func CatchSignals(list []unix.Signal) (*Signals, error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, fmt.Errorf("pipe for signals: %w", err)
	}
	s := &Signals{FD: pipe[0]}
	return s, s.caught.take(list, pipe[1])
}

// Release has the signals do what they did before.
func (s *Signals) Release() { s.caught.release() }
