// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// OpenTerminal makes a pty; see pts(4). flags are further ones of open(2) for its master.
func OpenTerminal(flags int) (master int, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		return -1, nil, fmt.Errorf("open /dev/ptmx: %w", err)
	}
	number := 0
	if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err == nil {
		number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		unix.Close(fd)
		return -1, nil, fmt.Errorf("open a terminal: %w", err)
	}
	return fd, slave, nil
}
