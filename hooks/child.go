// SPDX-License-Identifier: Apache-2.0

package hooks

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/linux"
)

// child is a hook that runs. It is not an os/exec.Cmd: that has goroutines, a
// probe process for pidfds, and waits for a background process that keeps the
// hook's standard output.
type child struct {
	pid    int
	pidfd  int
	output int // read end of the pipe that is its stdout and stderr
	tail   []byte
}

// maxTail is how much of the end of a hook's output is kept for the error.
const maxTail = 2048

func start(h *specs.Hook, state []byte, dir string) (*child, error) {
	// "Everything is close-on-exec" holds for what mycr opened; what its caller
	// left open must not reach a hook either.
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return nil, fmt.Errorf("mark descriptors close-on-exec: %w", err)
	}
	stdin, err := stateFile(state)
	if err != nil {
		return nil, err
	}
	defer unix.Close(stdin)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	defer unix.Close(pipe[1])
	if err := unix.SetNonblock(pipe[0], true); err != nil {
		unix.Close(pipe[0])
		return nil, fmt.Errorf("pipe: %w", err)
	}
	args := h.Args
	if len(args) == 0 {
		args = []string{h.Path}
	}
	env := h.Env
	if env == nil {
		env = []string{} // nil would be the caller's, in some of Go's packages
	}
	c := &child{pidfd: -1, output: pipe[0]}
	c.pid, err = linux.ForkExec(h.Path, args, &syscall.ProcAttr{
		Dir:   dir,
		Env:   env,
		Files: []uintptr{uintptr(stdin), uintptr(pipe[1]), uintptr(pipe[1])},
		Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, PidFD: &c.pidfd},
	})
	if err != nil {
		unix.Close(pipe[0])
		return nil, fmt.Errorf("start: %w", err)
	}
	if c.pidfd < 0 { // clone's PIDFD is refused: an outer seccomp filter, perhaps
		if c.pidfd, err = unix.PidfdOpen(c.pid, 0); err != nil {
			c.kill()
			c.reap()
			unix.Close(pipe[0])
			return nil, fmt.Errorf("pidfd_open: %w", err)
		}
	}
	return c, nil
}

// stateFile returns a file with the state, at its beginning. A pipe could be
// too small for the state's annotations, and a hook need not read it.
func stateFile(state []byte) (int, error) {
	fd, err := unix.MemfdCreate("state", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // before Linux 6.3
		fd, err = unix.MemfdCreate("state", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return -1, fmt.Errorf("memfd_create for the state: %w", err)
	}
	for at := 0; at < len(state); {
		n, err := unix.Pwrite(fd, state[at:], int64(at))
		if err != nil && err != unix.EINTR {
			unix.Close(fd)
			return -1, fmt.Errorf("write the state: %w", err)
		}
		at += max(n, 0)
	}
	return fd, nil
}

// wait reads the hook's output until it exits, or kills it after the deadline
// (none if zero). It closes and reaps everything.
func (c *child) wait(deadline time.Time) (status syscall.WaitStatus, late bool, err error) {
	defer c.close()
	for {
		timeout := -1
		if !deadline.IsZero() {
			left := time.Until(deadline)
			if left <= 0 {
				c.kill()
				c.read()
				_, err := c.reap()
				return 0, true, err
			}
			timeout = int(min(left.Milliseconds()+1, 1<<30))
		}
		fds := []unix.PollFd{{Fd: int32(c.pidfd), Events: unix.POLLIN}, {Fd: int32(c.output), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, timeout); err != nil && err != unix.EINTR {
			c.kill()
			c.reap()
			return 0, false, fmt.Errorf("poll: %w", err)
		}
		ended := c.read()
		if fds[0].Revents != 0 {
			c.read() // what it wrote between the two
			status, err = c.reap()
			return status, false, err
		}
		if ended {
			// It closed its output, which would be ready from now on: poll(2)
			// leaves negative descriptors out.
			unix.Close(c.output)
			c.output = -1
		}
	}
}

func (c *child) close() {
	unix.Close(c.pidfd)
	if c.output >= 0 {
		unix.Close(c.output)
	}
}

// read takes what is there, up to what a pipe can hold a few times over (its
// background processes may never stop), and says whether the end was reached.
func (c *child) read() (ended bool) {
	if c.output < 0 {
		return false
	}
	var buf [4096]byte
	for range 64 {
		n, err := unix.Read(c.output, buf[:])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return false
		case n == 0:
			return true
		}
		c.tail = append(c.tail, buf[:n]...)
		if len(c.tail) > maxTail {
			c.tail = append(c.tail[:0], c.tail[len(c.tail)-maxTail:]...)
		}
	}
	return false
}

// kill ends the hook and its process group: setsid made it the leader.
func (c *child) kill() {
	_ = unix.Kill(-c.pid, unix.SIGKILL)
	_ = unix.Kill(c.pid, unix.SIGKILL)
}

func (c *child) reap() (syscall.WaitStatus, error) {
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(c.pid, &status, 0, nil)
		if err == nil {
			return status, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return 0, fmt.Errorf("wait: %w", err)
		}
	}
}

// said returns ": " and the end of the output as one line without control
// characters, or nothing.
func (c *child) said() string {
	text := strings.ToValidUTF8(string(c.tail), "?")
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	line := strings.TrimSpace(strings.Join(lines, "; "))
	line = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, line)
	if line == "" {
		return ""
	}
	const most = 400 // bytes, so that an engine reads the whole error in one go
	if len(line) > most {
		line = "..." + strings.ToValidUTF8(line[len(line)-most:], "")
	}
	return ": " + line
}
