// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"mycr/container"
)

// pidfdSocket is the connected socket of --pidfd-socket, -1 for none. It is
// connected before anything is made, so that a wrong path leaves nothing.
type pidfdSocket int

func connectPidfdSocket(path string) (pidfdSocket, error) {
	if path == "" {
		return -1, nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("--pidfd-socket: %w", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("--pidfd-socket: connect to %q: %w", path, err)
	}
	return pidfdSocket(fd), nil
}

// send hands a process's descriptor over. word is what runc sends beside it.
func (s pidfdSocket) send(word string, pidfd int) error {
	if s < 0 {
		return nil
	}
	if err := unix.Sendmsg(int(s), []byte(word), unix.UnixRights(pidfd), nil, unix.MSG_NOSIGNAL); err != nil {
		return fmt.Errorf("--pidfd-socket: send: %w", err)
	}
	return nil
}

func (s pidfdSocket) close() {
	if s >= 0 {
		unix.Close(int(s))
	}
}

// make makes a container and sends its pidfd to who asked for it; where that
// fails there is no container.
func (c *creation) make(root *container.Root, o container.CreateOptions) (*container.Container, *container.Process, error) {
	socket, err := connectPidfdSocket(c.pidfdSocket)
	if err != nil {
		return nil, nil, err
	}
	defer socket.close()
	made, p, err := root.Create(o)
	if err != nil {
		return nil, nil, err
	}
	if err := socket.send("standard", p.PidFD); err != nil {
		_, undo := made.Delete(true)
		made.Close()
		return nil, nil, errors.Join(err, undo)
	}
	return made, p, nil
}

// join starts a process in a container and sends its pidfd to who asked for it.
func (e *execute) join(c *container.Container, o container.ExecOptions) (*container.Process, error) {
	socket, err := connectPidfdSocket(e.pidfdSocket)
	if err != nil {
		return nil, err
	}
	defer socket.close()
	p, err := c.Exec(o)
	if err != nil {
		return nil, err
	}
	if err := socket.send("setns", p.PidFD); err != nil {
		unix.PidfdSendSignal(p.PidFD, unix.SIGKILL, nil, 0)
		_, undo := waitFor(p.PID)
		return nil, errors.Join(err, undo)
	}
	return p, nil
}
