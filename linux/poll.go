// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Poll is poll(2) that a signal does not end; the time begins anew then.
// Milliseconds below 0 are forever.
func Poll(fds []unix.PollFd, milliseconds int) (n int, err error) {
	for {
		n, err = unix.Poll(fds, milliseconds)
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
