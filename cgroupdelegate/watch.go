// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Watch waits for what happens to a cgroup and those below it.
type Watch struct {
	c      *Cgroup
	memory int // memory.events, or -1
	procs  int // cgroup.events
	kills  uint64
}

// Change is what a Watch saw.
type Change struct {
	// OOMKills are the processes that the kernel killed since the last change, for want of memory.
	OOMKills uint64
	// OwnLimit: for a limit of this cgroup or one below it, not one above it or all of the host's
	// memory. Memory has the limit and the peak then.
	OwnLimit bool
	Memory   *MemoryStats
	// Empty: there is no process any more, or the cgroup is gone. Nothing comes after that.
	Empty bool
}

// Watch begins to watch; what was before is not told. The cgroup has to stay open.
func (c *Cgroup) Watch() (*Watch, error) {
	w := &Watch{c: c, memory: -1}
	var err error
	if w.procs, err = c.openEvents("cgroup.events"); err != nil {
		return nil, err
	}
	w.memory, err = c.openEvents("memory.events")
	if err == nil {
		w.kills, err = c.OOMKills()
	} else if errors.Is(err, unix.ENOENT) { // no controller
		w.memory, err = -1, nil
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

func (c *Cgroup) openEvents(file string) (int, error) {
	fd, err := unix.Openat(c.fd, file, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, c.failed("open", file, err)
	}
	return fd, nil
}

// FDs are to be polled for POLLPRI together with others; Next does not wait when
// one of them is ready.
func (w *Watch) FDs() []int {
	if w.memory < 0 {
		return []int{w.procs}
	}
	return []int{w.memory, w.procs}
}

// Close ends it.
func (w *Watch) Close() {
	unix.Close(w.procs)
	if w.memory >= 0 {
		unix.Close(w.memory)
	}
}

// Next waits for a change, for as long as timeout at most (for ever if it is
// negative). Changes of no interest come as an empty one.
func (w *Watch) Next(timeout time.Duration) (Change, error) {
	milliseconds := -1
	if timeout >= 0 {
		milliseconds = int((timeout + time.Millisecond - 1) / time.Millisecond)
	}
	var poll []unix.PollFd
	for _, fd := range w.FDs() {
		poll = append(poll, unix.PollFd{Fd: int32(fd), Events: unix.POLLPRI})
	}
	if change, err := w.look(); err != nil || change.Empty || change.OOMKills > 0 {
		return change, err
	}
	if _, err := unix.Poll(poll, milliseconds); err != nil && !errors.Is(err, unix.EINTR) {
		return Change{}, fmt.Errorf("wait for cgroup %s: %w", w.c.Path, err)
	}
	return w.look()
}

// look reads the files; reading a descriptor arms it for the next poll.
func (w *Watch) look() (change Change, err error) {
	for _, fd := range w.FDs() {
		unix.Pread(fd, make([]byte, 512), 0)
	}
	if w.memory >= 0 {
		kills, err := w.c.OOMKills()
		if err != nil && !errors.Is(err, ErrGone) {
			return change, err
		}
		if err == nil && kills > w.kills {
			change.OOMKills, w.kills = kills-w.kills, kills
			r := statsReader{c: w.c}
			change.Memory = r.memory()
			if r.err != nil && !errors.Is(r.err, ErrGone) {
				return change, r.err
			}
			change.OwnLimit = change.Memory != nil && change.Memory.Events.OOM > 0
		}
	}
	populated, err := w.c.populated()
	if errors.Is(err, ErrGone) {
		return Change{OOMKills: change.OOMKills, OwnLimit: change.OwnLimit, Memory: change.Memory, Empty: true}, nil
	}
	change.Empty = !populated
	return change, err
}
