// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// HasCgroup tells whether the container got a cgroup of its own, which pause,
// update, Stats and Follow need.
func (c *Container) HasCgroup() bool { return c.record.Cgroup.Limits != "" }

// Follow stays with a container until its init ends: it calls killed with the
// number of processes that the kernel killed for want of memory, as it happens,
// and tick at every interval.
func (c *Container) Follow(interval time.Duration, killed func(n uint64) error, tick func() error) error {
	pidfd, err := c.record.open()
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	cgroup, err := c.needCgroup("wait for events of")
	if err != nil {
		return err
	}
	defer cgroup.Close()
	watch, err := cgroup.Watch()
	if err != nil {
		return err
	}
	defer watch.Close()

	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for _, fd := range watch.FDs() {
		poll = append(poll, unix.PollFd{Fd: int32(fd), Events: unix.POLLPRI})
	}
	for next := time.Now().Add(interval); ; {
		left := min(max(0, time.Until(next)), time.Hour)
		if _, err := unix.Poll(poll, int((left+time.Millisecond-1)/time.Millisecond)); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for container %s: %w", c.record.ID, err)
		}
		change, err := watch.Next(0)
		if err == nil && change.OOMKills > 0 {
			err = killed(change.OOMKills)
		}
		if err != nil || change.Empty || poll[0].Revents != 0 {
			return err
		}
		if now := time.Now(); !now.Before(next) {
			if err := tick(); err != nil && c.record.alive() { // else it is the end that tick met
				return err
			}
			next = now.Add(interval)
		}
	}
}
