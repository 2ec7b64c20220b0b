// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"mycr/linux"
)

// Alive tells whether the process is the one that was recorded in this boot.
func (r Running) Alive() bool {
	return r.PID > 0 && linux.Alive(r.PID, r.StartTime)
}

// Alive tells whether the network works: the keeper ends when its driver does.
func (r *Record) Alive() bool {
	return r.Keeper.Alive() && (r.Process.PID == 0 || r.Process.Alive())
}

// End ends keeper and driver and waits until both are gone.
func (r *Record) End() error {
	return errors.Join(r.Keeper.kill(unix.SIGTERM), r.Process.kill(unix.SIGKILL), r.Keeper.kill(unix.SIGKILL))
}

// kill signals the process, if it still is that one, and waits for its end.
func (r Running) kill(signal unix.Signal) error {
	if r.PID <= 0 {
		return nil
	}
	pidfd, err := unix.PidfdOpen(r.PID, 0)
	if err != nil {
		return nil // gone
	}
	defer unix.Close(pidfd)
	if !r.Alive() {
		return nil
	}
	if err := unix.PidfdSendSignal(pidfd, signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("end process %d of the network: %w", r.PID, err)
	}
	patience := 2000
	if signal == unix.SIGKILL {
		patience = 10_000
	}
	n, err := linux.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, patience)
	if err == nil && n == 0 && signal == unix.SIGKILL {
		err = fmt.Errorf("process %d of the network was killed, but is not gone", r.PID)
	}
	return err
}

// Client is a connection to mycr-net.
type Client struct{ fd int }

// clientPatience is how long mycr-net has to take a request and, from when it is waited for, to answer. It does neither
// while it is stopped.
const clientPatience = 5 * time.Second

// Dial connects to the mycr-net of the container with that state directory.
func Dial(dir int) (*Client, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("connect to mycr-net: %w", err)
	}
	patience := unix.NsecToTimeval(int64(clientPatience))
	err = errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience), // of connect(2) too
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience))
	if err == nil {
		err = unix.Connect(fd, linux.SocketIn(dir, ControlName))
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("connect to mycr-net: %w", late(err))
	}
	return &Client{fd}, nil
}

// late has words for what the kernel says when one of the two times has passed.
func late(err error) error {
	if errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("nothing within %v; it may be stopped", clientPatience)
	}
	return err
}

// Close closes the connection.
func (c *Client) Close() { unix.Close(c.fd) }

// Send sends a request.
func (c *Client) Send(request HelperRequest) error {
	data, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if _, err := unix.Write(c.fd, data); err != nil {
		return fmt.Errorf("ask mycr-net: %w", late(err))
	}
	return nil
}

// Receive waits for the answer to a request; what mycr-net refuses is the error.
func (c *Client) Receive() (answer HelperAnswer, err error) {
	buf := make([]byte, 256<<10)
	for {
		n, err := unix.Read(c.fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err == nil && n == 0 {
			err = errEnded
		}
		if err != nil {
			return answer, fmt.Errorf("mycr-net did not answer: %w", late(err))
		}
		if err := json.Unmarshal(buf[:n], &answer); err != nil {
			return answer, fmt.Errorf("the answer of mycr-net: %w", err)
		}
		if answer.Error != "" {
			return answer, refuse(answer.Hint, "%s", answer.Error)
		}
		return answer, nil
	}
}

var errEnded = errors.New("it has ended")

// Ask sends a request and waits for its answer.
func (c *Client) Ask(request HelperRequest) (HelperAnswer, error) {
	if err := c.Send(request); err != nil {
		return HelperAnswer{}, err
	}
	return c.Receive()
}
