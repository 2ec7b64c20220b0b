// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"mycr/linux"
)

// Init is the container's init as its parent has it.
type Init struct {
	PID, PidFD int // of the process that is mycr in there: it executed a program there, so that root of its namespace may look into it
	Tap        int // of Up, for mycr-net, or -1
	User       int // its user namespace, for the other drivers; -1 where it is the caller's
}

// Give hands the container's init to the driver, or starts the one that was prepared for it, and its time begins.
func (s *Starting) Give(init Init) (err error) {
	s.deadline, s.pidfd = time.Now().Add(s.patience), init.PidFD
	if s.other != nil {
		if s.keeper, err = s.other.start(init); err != nil {
			return fmt.Errorf("network driver %s: %w", s.plan.name(), err)
		}
		return nil
	}
	err = unix.Sendmsg(s.init, strconv.AppendInt(nil, int64(init.PID), 10), unix.UnixRights(init.PidFD, init.Tap), nil, unix.MSG_NOSIGNAL)
	unix.Close(s.init)
	s.init = -1
	if err != nil && !errors.Is(err, unix.EPIPE) { // why it has ended is told by Wait
		return fmt.Errorf("network driver %s: hand over the container's init: %w", s.plan.name(), err)
	}
	return nil
}

// AwaitInit is for mycr-net: it waits for Give, puts what came to HelperPidfdFD and to
// HelperTapFD, and returns init's pid.
func AwaitInit() (pid int, err error) {
	text, rights := make([]byte, 32), make([]byte, unix.CmsgSpace(2*4))
	var n, nrights int
	for {
		n, nrights, _, _, err = unix.Recvmsg(HelperInitFD, text, rights, unix.MSG_CMSG_CLOEXEC)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return 0, fmt.Errorf("receive the container's init: %w", err)
	}
	unix.Close(HelperInitFD)
	if n == 0 {
		return 0, errors.New("mycr ended before the container had an init")
	}
	if pid, err = strconv.Atoi(string(text[:n])); err != nil {
		return 0, fmt.Errorf("the container's init: %w", err)
	}
	fds := linux.Rights(rights[:nrights])
	if fds == nil {
		return 0, fmt.Errorf("the container's init came without descriptors: %w", unix.EBADMSG)
	}
	numbers := [...]int{HelperPidfdFD, HelperTapFD}
	for i, fd := range fds {
		if err := unix.Dup3(fd, numbers[i], unix.O_CLOEXEC); err != nil {
			return 0, fmt.Errorf("keep a descriptor of the container's init: %w", err)
		}
		unix.Close(fd)
	}
	return pid, nil
}
