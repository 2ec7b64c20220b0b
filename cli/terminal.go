// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"sync"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminal is the one that mycr was started from.
type terminal struct {
	fd int // the first of stdin, stdout, stderr that is one; else -1

	lock sync.Mutex
	raw  *term.State // what to go back to, nil if it is not raw
}

func findTerminal() *terminal {
	for fd := range 3 {
		if term.IsTerminal(fd) {
			return &terminal{fd: fd}
		}
	}
	return &terminal{fd: -1}
}

// size returns the terminal's size, nil if there is none.
func (t *terminal) size() *specs.Box {
	if t.fd < 0 {
		return nil
	}
	width, height, err := term.GetSize(t.fd)
	if err != nil || width == 0 || height == 0 {
		return nil
	}
	return &specs.Box{Width: uint(width), Height: uint(height)}
}

// foreground tells whether the terminal is ours to read and to change: a job
// in the background that does so is stopped (SIGTTIN, SIGTTOU).
func (t *terminal) foreground() bool {
	if t.fd < 0 {
		return false
	}
	group, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// makeRaw leaves all keys to the container's terminal, where keys come from
// this one and it is ours.
func (t *terminal) makeRaw() error {
	t.lock.Lock()
	defer t.lock.Unlock()
	if t.fd != 0 || !t.foreground() {
		return nil
	}
	if t.raw != nil { // the shell may have changed it while we were stopped
		_, err := term.MakeRaw(t.fd)
		return err
	}
	state, err := term.MakeRaw(t.fd)
	if err == nil {
		t.raw = state
	}
	return err
}

// restore puts the terminal back. In the background it is the shell's, who has
// done so.
func (t *terminal) restore() {
	t.lock.Lock()
	defer t.lock.Unlock()
	if t.raw != nil && t.foreground() {
		term.Restore(t.fd, t.raw)
	}
	t.raw = nil
}

// newline ends a line on the terminal as it is now.
func (t *terminal) newline() string {
	t.lock.Lock()
	defer t.lock.Unlock()
	if t.raw != nil {
		return "\r\n"
	}
	return "\n"
}

// restoreOnPanic is deferred by each goroutine, since one's panic ends all
// without the deferred calls of the others.
func (t *terminal) restoreOnPanic() {
	if p := recover(); p != nil {
		t.restore()
		panic(p)
	}
}
