// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// SocketIn is the address of a socket in a directory that is open as dir. It is short, since sun_path
// has 108 bytes; see unix(7).
func SocketIn(dir int, name string) *unix.SockaddrUnix {
	return &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir, name)}
}

// Rights are the descriptors that came with one message (SCM_RIGHTS in unix(7)), none where it is
// not as it should be.
func Rights(control []byte) []int {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(messages) != 1 {
		return nil
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil
	}
	return fds
}
