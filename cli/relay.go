// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"mycr/container"
	"mycr/linux"
)

// relay passes keys to the terminal of a container's process, and what is
// written there to stdout. Both directions end when the process has.
type relay struct {
	in, out  int // the caller's
	terminal *terminal
	process  *container.Process
	master   int  // of the process's terminal, non-blocking
	wake     int  // eventfd: look at the caller's terminal again
	taken    bool // the caller's terminal is ours and raw, of input alone
	done     sync.WaitGroup
}

func startRelay(in, out int, t *terminal, p *container.Process) (*relay, error) {
	r := &relay{in: in, out: out, terminal: t, process: p, master: int(p.Master.Fd())}
	if err := unix.SetNonblock(r.master, true); err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	var err error
	if r.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	r.resize()
	if err := t.makeRaw(); err != nil {
		return nil, fmt.Errorf("make the terminal raw: %w", err)
	}
	r.taken = t.foreground()
	r.done.Go(r.input)
	r.done.Go(r.output)
	return r, nil
}

// finish waits until all is written that the process left in its terminal.
func (r *relay) finish() {
	r.done.Wait()
	unix.Close(r.wake)
	r.process.Master.Close()
}

func (r *relay) resize() {
	if size := r.terminal.size(); size != nil {
		unix.IoctlSetWinsize(r.master, unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(size.Height), Col: uint16(size.Width)})
	}
}

// resume is called when mycr goes on after a stop, perhaps in the foreground
// now, perhaps in a window of another size.
func (r *relay) resume() {
	r.resize()
	r.terminal.makeRaw()
	unix.Write(r.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

// background is how many milliseconds a job in the background waits before it
// looks again whether it is in the foreground: a shell's fg says nothing to a
// job that it had not stopped.
const background = 250

// input passes keys on. It never reads in the background, which would stop
// mycr and so the output.
func (r *relay) input() {
	defer r.terminal.restoreOnPanic()
	buf := make([]byte, 4096)
	stdin, last := int32(r.in), byte('\n')
	for {
		fds := []unix.PollFd{
			{Fd: int32(r.process.PidFD), Events: unix.POLLIN},
			{Fd: int32(r.wake), Events: unix.POLLIN},
			{Fd: stdin, Events: unix.POLLIN},
		}
		timeout := -1
		if r.terminal.fd == r.in && stdin >= 0 && !r.ours() {
			fds[2].Fd, timeout = -1, background
		}
		linux.Poll(fds, timeout)
		switch {
		case fds[0].Revents != 0:
			return
		case fds[1].Revents != 0:
			unix.Read(r.wake, buf[:8])
		case fds[2].Revents != 0 && (r.terminal.fd != r.in || r.terminal.foreground()):
			n, err := unix.Read(r.in, buf)
			switch {
			case n > 0:
				r.enter(buf[:n])
				last = buf[n-1]
			case err == unix.EINTR || err == unix.EAGAIN:
			default:
				r.endOfInput(last)
				stdin = -1
			}
		}
	}
}

// ours tells whether the caller's terminal is ours, and takes it if it has
// become so.
func (r *relay) ours() bool {
	if !r.terminal.foreground() {
		r.taken = false
		return false
	}
	if !r.taken {
		r.resize()
		r.taken = r.terminal.makeRaw() == nil
	}
	return true
}

// enter writes to the process's terminal, unless it ends before it reads.
func (r *relay) enter(keys []byte) {
	for len(keys) > 0 {
		n, err := unix.Write(r.master, keys)
		switch {
		case n > 0:
			keys = keys[n:]
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			fds := []unix.PollFd{{Fd: int32(r.master), Events: unix.POLLOUT}, {Fd: int32(r.process.PidFD), Events: unix.POLLIN}}
			if linux.Poll(fds, -1); fds[1].Revents != 0 {
				return
			}
		default:
			return
		}
	}
}

// endOfInput types what ends the input of a terminal (^D), which has no other
// way to tell it: twice where a line has begun, since the first one only ends
// that.
func (r *relay) endOfInput(last byte) {
	modes, err := unix.IoctlGetTermios(r.master, unix.TCGETS)
	if err != nil {
		return
	}
	eof := modes.Cc[unix.VEOF]
	r.enter([]byte{eof})
	if last != '\n' && modes.Lflag&unix.ICANON != 0 {
		r.enter([]byte{eof})
	}
}

// mostLeft is more bytes than a terminal holds: what processes that the ended
// one left behind write after its end is not waited for.
const mostLeft = 128 << 10

// output passes on what is written to the process's terminal.
func (r *relay) output() {
	defer r.terminal.restoreOnPanic()
	buf := make([]byte, 32<<10)
	ended, hungUp, left := false, false, mostLeft
	for left > 0 {
		if !ended {
			fds := []unix.PollFd{{Fd: int32(r.process.PidFD), Events: unix.POLLIN}, {Fd: int32(r.master), Events: unix.POLLIN}}
			if hungUp {
				// Nobody has the terminal open, which poll tells at once and always;
				// that somebody opens it again, it does not tell at all.
				linux.Poll(fds[:1], 100)
			} else {
				linux.Poll(fds, -1)
			}
			ended = fds[0].Revents != 0
		}
		n, err := unix.Read(r.master, buf)
		switch {
		case n > 0:
			hungUp = false
			if !r.write(buf[:n]) {
				r.hangUp()
			}
			if ended {
				left -= n
			}
		case err == unix.EINTR:
		case ended:
			return
		default:
			hungUp = err != unix.EAGAIN
		}
	}
}

// write writes to stdout, and tells whether somebody takes it.
func (r *relay) write(text []byte) bool {
	for len(text) > 0 {
		n, err := unix.Write(r.out, text)
		switch {
		case n > 0:
			text = text[n:]
		case err == unix.EINTR:
		case err == unix.EAGAIN: // somebody has made it non-blocking
			linux.Poll([]unix.PollFd{{Fd: int32(r.out), Events: unix.POLLOUT}}, -1)
		default:
			return false
		}
	}
	return true
}

// hangUp lets the process see that its terminal is gone, as stdout is.
func (r *relay) hangUp() {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	unix.Dup3(null, r.master, unix.O_CLOEXEC)
	unix.Close(null)
}
