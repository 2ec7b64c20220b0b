// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"mycr/container"
)

// notifier hands on to the service manager what the container tells it, as
// mycr's own words: a unit of Type=notify listens to its main process only.
type notifier struct {
	notify *container.Notify
	over   chan struct{} // closed when nothing more comes
	err    error         // the last that was not heard
}

// mostNotice is the longest datagram that systemd reads, in bytes.
const mostNotice = 4096

// startNotifier returns nil for a container without one.
func startNotifier(notify *container.Notify) *notifier {
	if notify == nil {
		return nil
	}
	n := &notifier{notify: notify, over: make(chan struct{})}
	// A service manager that does not read must not keep a container from ending.
	unix.SetsockoptTimeval(notify.To, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 5})
	go n.relay()
	return n
}

// relay ends when the read deadline has come.
func (n *notifier) relay() {
	defer close(n.over)
	// Descriptors that come along, as for BARRIER=1, are closed by the kernel, which is what their sender waits for.
	buffer := make([]byte, mostNotice+1)
	for {
		size, err := n.notify.From.Read(buffer)
		switch {
		case errors.Is(err, io.EOF): // an empty datagram
		case errors.Is(err, os.ErrDeadlineExceeded):
			return
		case err != nil:
			n.err = err
			return
		default:
			n.hand(buffer[:size])
		}
	}
}

// hand hands one datagram on.
func (n *notifier) hand(datagram []byte) {
	if len(datagram) > mostNotice {
		n.err = fmt.Errorf("more than %d bytes", mostNotice)
		return
	}
	if words := notices(datagram); len(words) > 0 {
		if _, err := unix.Write(n.notify.To, words); err != nil {
			n.err = err
		}
	}
}

// notices are those lines of a datagram that mean outside what they mean
// inside. A pid does not, a file descriptor store is mycr's to fill, and
// nothing of what is handed on is known by the time of a barrier.
func notices(datagram []byte) []byte {
	var out []byte
	for line := range bytes.SplitSeq(datagram, []byte("\n")) {
		name, _, found := bytes.Cut(line, []byte("="))
		if !found || !oneOf(string(name), "READY RELOADING STOPPING STATUS ERRNO BUSERROR VARLINKERROR EXIT_STATUS MONOTONIC_USEC "+
			"WATCHDOG WATCHDOG_USEC EXTEND_TIMEOUT_USEC") {
			continue
		}
		out = append(append(out, line...), '\n')
	}
	return out
}

// finish hands on what the container has said before it ended.
func (n *notifier) finish() error {
	if n == nil {
		return nil
	}
	defer n.notify.Close()
	n.notify.From.SetReadDeadline(time.Now())
	<-n.over
	raw, err := n.notify.From.SyscallConn()
	if err != nil {
		return err
	}
	buffer := make([]byte, mostNotice+1)
	err = raw.Control(func(fd uintptr) {
		for {
			size, err := unix.Read(int(fd), buffer)
			if err != nil { // EAGAIN: there is no more
				return
			}
			n.hand(buffer[:size])
		}
	})
	if err = errors.Join(n.err, err); err != nil {
		return fmt.Errorf("the service manager at NOTIFY_SOCKET was not told everything: %w", err)
	}
	return nil
}
