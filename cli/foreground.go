// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mycr/container"
)

// foreground is mycr while it stays with a process: it passes signals on,
// relays the terminal, and gets the exit status.
type foreground struct {
	s         *session
	terminal  *terminal
	subreaper bool
	impatient bool // a second INT within two seconds kills
	send      func(unix.Signal) (note string, err error)

	process   *container.Process
	signals   chan os.Signal
	listening chan struct{} // closed when the first signals are listened to
	ended     chan struct{} // closed when the process has ended
	forwarded chan struct{} // closed when no signal is passed on any more
	relay     *relay        // nil without a terminal
	interrupt time.Time     // of the last INT
}

// begin is called before the process is made: signals that come meanwhile wait
// for it, so that none ends mycr between the process and its state on disk.
func (f *foreground) begin() error {
	f.terminal = findTerminal()
	if f.subreaper {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("adopt orphans: %w", err)
		}
	}
	f.signals = make(chan os.Signal, 64)
	f.listening = make(chan struct{})
	go func() { // while the container is made: each signal costs two changes of thread
		defer close(f.listening)
		f.listen(unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGCONT, unix.SIGWINCH)
	}()
	return nil
}

// listen has signals passed on, but for those that mycr was started to ignore,
// as under nohup.
func (f *foreground) listen(list ...syscall.Signal) {
	for _, s := range list {
		if !signal.Ignored(s) {
			signal.Notify(f.signals, s)
		}
	}
}

// listenToAll has all other signals passed on as well once the process has
// lived for a moment: a process that ends at once is not worth the time.
func (f *foreground) listenToAll() {
	ready, err := unix.Poll([]unix.PollFd{{Fd: int32(f.process.PidFD), Events: unix.POLLIN}}, 30)
	if err != nil || ready > 0 {
		return
	}
	for s := syscall.Signal(1); s <= 64; s++ {
		switch s {
		case unix.SIGKILL, unix.SIGSTOP, unix.SIGCHLD, unix.SIGPIPE, unix.SIGTTIN, unix.SIGTTOU, unix.SIGTSTP:
		case unix.SIGURG: // Go's own
		default:
			f.listen(s)
		}
	}
}

// wait stays until the process has ended and returns its exit status, or 128
// and the number of the signal that ended it.
func (f *foreground) wait(p *container.Process) (int, error) {
	f.process = p
	if p.Master != nil {
		var err error
		if f.relay, err = startRelay(f.terminal, p); err != nil {
			unix.PidfdSendSignal(p.PidFD, unix.SIGKILL, nil, 0)
			_, werr := waitFor(p.PID)
			return 1, errors.Join(err, werr)
		}
	}
	<-f.listening
	f.ended, f.forwarded = make(chan struct{}), make(chan struct{})
	go f.forward()
	status, err := waitFor(p.PID)
	close(f.ended)
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

// end gives the terminal back; then what the process has written is written
// out. Signals go on to be caught, so that none cuts the cleaning-up short.
func (f *foreground) end() {
	f.terminal.restore()
	<-f.listening
	if f.forwarded != nil {
		<-f.forwarded
	}
	if f.relay != nil {
		f.relay.finish()
	}
}

func (f *foreground) forward() {
	defer close(f.forwarded)
	defer f.terminal.restoreOnPanic()
	f.listenToAll()
	for {
		var sig syscall.Signal
		select {
		case <-f.ended:
			return
		case s := <-f.signals:
			sig = s.(syscall.Signal)
		}
		switch {
		case sig == unix.SIGWINCH:
			if f.relay != nil {
				f.relay.resize()
			}
			continue
		case sig == unix.SIGCONT && f.relay != nil:
			f.relay.resume()
		case sig == unix.SIGINT && f.impatient:
			if now := time.Now(); now.Sub(f.interrupt) < 2*time.Second {
				sig = unix.SIGKILL
			} else {
				f.interrupt = now
			}
		}
		f.pass(sig)
	}
}

// pass sends a signal to the process. A process that has ended meanwhile is no
// error: its status is on the way.
func (f *foreground) pass(sig unix.Signal) {
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
