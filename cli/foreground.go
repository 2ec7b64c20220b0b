// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"mycr/container"
	"mycr/linux"
)

// foreground is mycr while it stays with a process: it passes signals on,
// relays the terminal, and gets the exit status.
type foreground struct {
	terminal  *terminal
	subreaper bool
	impatient bool // a second INT within two seconds kills
	// send is how a signal reaches the process; note says in one line that it
	// will not.
	send func(unix.Signal) (note string, err error)

	process   *container.Process
	relay     *relay // nil without a terminal
	signals   *linux.Signals
	started   chan struct{} // closed when there is a process to pass signals to
	over      chan struct{} // closed when there is none any more
	done      chan struct{} // closed when no signal is passed on any more
	interrupt time.Time     // of the last INT
}

// begin is called before the process is made: the signals that come meanwhile
// wait for it, so that none ends mycr between the process and its state on disk.
func (f *foreground) begin() error {
	f.terminal = findTerminal()
	if f.subreaper {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("adopt orphans: %w", err)
		}
	}
	var err error
	if f.signals, err = linux.CatchSignals(passedOn()); err != nil {
		return err
	}
	f.started, f.over, f.done = make(chan struct{}), make(chan struct{}), make(chan struct{})
	go f.forward()
	return nil
}

// wait stays until the process has ended and returns its exit status, or 128
// and the number of the signal that ended it.
func (f *foreground) wait(p *container.Process) (int, error) {
	f.process = p
	if p.Master != nil {
		var err error
		if f.relay, err = startRelay(0, 1, f.terminal, p); err != nil {
			unix.PidfdSendSignal(p.PidFD, unix.SIGKILL, nil, 0)
			_, werr := waitFor(p.PID)
			return 1, errors.Join(err, werr)
		}
	}
	close(f.started)
	status, err := waitFor(p.PID)
	if err != nil {
		return 1, err
	}
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// waitFor reaps whatever mycr has adopted until it reaps the process.
func waitFor(pid int) (unix.WaitStatus, error) {
	for {
		var status unix.WaitStatus
		got, err := unix.Wait4(-1, &status, unix.WALL, nil)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return 0, fmt.Errorf("wait for process %d: %w", pid, err)
		}
		if err == nil && got == pid {
			return status, nil
		}
	}
}

// end gives the terminal back; then what the process has left in its own is
// written out, with signals acting on mycr again.
func (f *foreground) end() {
	f.terminal.restore()
	close(f.over)
	<-f.done
	if f.relay != nil {
		f.signals.Release()
		f.relay.finish()
	}
}

// forward passes signals on, until the process has ended.
func (f *foreground) forward() {
	defer close(f.done)
	defer f.terminal.restoreOnPanic()
	select {
	case <-f.started:
	case <-f.over:
		return
	}
	fds := []unix.PollFd{
		{Fd: int32(f.process.PidFD), Events: unix.POLLIN},
		{Fd: int32(f.signals.FD), Events: unix.POLLIN},
	}
	caught := make([]byte, 64)
	for {
		linux.Poll(fds, -1)
		if fds[0].Revents != 0 {
			return
		}
		n, _ := unix.Read(f.signals.FD, caught)
		for _, s := range caught[:max(0, n)] {
			f.pass(unix.Signal(s))
		}
	}
}

// passedOn are the signals in whose passing on there is something.
func passedOn() []unix.Signal {
	var list []unix.Signal
	for s := unix.Signal(1); s <= sigRTMax; s++ {
		switch s {
		case unix.SIGKILL, unix.SIGSTOP, unix.SIGCHLD, unix.SIGPIPE, unix.SIGTTIN, unix.SIGTTOU, unix.SIGTSTP:
		case unix.SIGURG, 32, 33: // Go's own, and those of the C library's threads
		default:
			list = append(list, s)
		}
	}
	return list
}

// pass passes one signal on. A process that has ended meanwhile is no error:
// its status is on the way.
func (f *foreground) pass(sig unix.Signal) {
	switch {
	case sig == unix.SIGWINCH:
		if f.relay != nil {
			f.relay.resize()
		}
		return
	case sig == unix.SIGCONT && f.relay != nil:
		f.relay.resume()
	case sig == unix.SIGINT && f.impatient:
		now := time.Now()
		if now.Sub(f.interrupt) < 2*time.Second {
			sig = unix.SIGKILL
		}
		f.interrupt = now
	}
	if f.send == nil || sig != unix.SIGINT && sig != unix.SIGTERM {
		unix.PidfdSendSignal(f.process.PidFD, sig, nil, 0)
		return
	}
	note, err := f.send(sig)
	if err != nil && !errors.Is(err, container.ErrNotRunning) {
		note = err.Error()
	}
	if note != "" {
		fmt.Fprintf(os.Stderr, "mycr: note: %s%s", printable(note), f.terminal.newline())
	}
}
