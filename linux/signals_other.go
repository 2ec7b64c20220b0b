// SPDX-License-Identifier: Apache-2.0

//go:build !amd64 && !arm64

package linux

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// caughtSignals is where os/signal tells them.
type caughtSignals chan os.Signal

func (c *caughtSignals) take(list []unix.Signal, pipe int) error {
	*c = make(caughtSignals, len(list))
	go func() {
		for caught := range *c {
			unix.Write(pipe, []byte{byte(caught.(syscall.Signal))})
		}
	}()
	for _, one := range list {
		if !signal.Ignored(one) {
			signal.Notify(*c, one)
		}
	}
	return nil
}

func (c *caughtSignals) release() { signal.Stop(*c) }
