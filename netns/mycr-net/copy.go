// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

const anything = waiter.ReadableEvents | waiter.WritableEvents | waiter.EventHUp | waiter.EventErr

// sendTo writes what the container sends to a socket, straight out of the
// packets in which it came, until the container has no more.
func (i *insideTCP) sendTo(socket syscall.RawConn) error {
	entry, event := waiter.NewChannelEntry(anything &^ waiter.WritableEvents)
	i.queue.EventRegister(&entry)
	defer i.queue.EventUnregister(&entry)
	for {
		var failed tcpip.Error
		var out socketWriter
		if err := socket.Write(func(fd uintptr) bool {
			// The endpoint is locked while it is read, so that the socket must not block.
			out = socketWriter{fd: int(fd)}
			_, failed = i.ep.Read(&out, tcpip.ReadOptions{})
			return out.err != unix.EAGAIN
		}); err != nil {
			return err
		}
		if out.err != nil {
			return out.err
		}
		switch failed.(type) {
		case nil:
		case *tcpip.ErrWouldBlock:
			<-event
		case *tcpip.ErrClosedForReceive:
			return nil
		default:
			return fmt.Errorf("read from the container: %s", failed)
		}
	}
}

// A socketWriter writes to a socket that does not block.
type socketWriter struct {
	fd  int
	err error
}

func (w *socketWriter) Write(p []byte) (done int, err error) {
	for done < len(p) {
		n, err := unix.Write(w.fd, p[done:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			w.err = err
			return done, err
		default:
			done += n
		}
	}
	return done, nil
}

// receiveFrom writes what comes from a socket to the container, at most chunk
// bytes at once, until the socket is at its end. The bytes are read straight
// into the packets in which they are sent.
func (i *insideTCP) receiveFrom(socket syscall.RawConn, chunk int) error {
	entry, event := waiter.NewChannelEntry(anything &^ waiter.ReadableEvents)
	i.queue.EventRegister(&entry)
	defer i.queue.EventUnregister(&entry)
	for {
		var failed tcpip.Error
		var in socketReader
		if err := socket.Read(func(fd uintptr) bool {
			in = socketReader{fd: int(fd)}
			if !in.look(chunk) {
				return false
			}
			if in.left > 0 {
				_, failed = i.ep.Write(&in, tcpip.WriteOptions{})
			}
			return true
		}); err != nil {
			return err
		}
		switch failed.(type) {
		case nil:
			if in.err == io.EOF {
				return nil
			}
			if in.err != nil {
				return in.err
			}
		case *tcpip.ErrWouldBlock:
			<-event
		default:
			return fmt.Errorf("write to the container: %s", failed)
		}
	}
}

// A socketReader reads the bytes that a socket is known to have. It is a
// tcpip.Payloader, which has to know how many they are.
type socketReader struct {
	fd   int
	left int
	err  error
}

// look tells whether there is something to read, which may be the end or an
// error.
func (r *socketReader) look(chunk int) bool {
	n, err := unix.IoctlGetInt(r.fd, unix.SIOCINQ)
	if err != nil {
		r.err = err
		return true
	}
	if n > 0 {
		r.left = min(n, chunk)
		return true
	}
	var one [1]byte
	for {
		if n, _, err = unix.Recvfrom(r.fd, one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT); err != unix.EINTR {
			break
		}
	}
	switch {
	case err == unix.EAGAIN:
		return false
	case err != nil:
		r.err = err
	case n == 0:
		r.err = io.EOF
	default:
		r.left = 1 // it came just now
	}
	return true
}

// Len implements tcpip.Payloader.
func (r *socketReader) Len() int { return r.left }

func (r *socketReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, err := unix.Read(r.fd, p[:min(len(p), r.left)])
		switch {
		case err == unix.EINTR:
		case err != nil:
			r.err = err
			return 0, err
		case n == 0:
			r.err = io.ErrUnexpectedEOF
			return 0, r.err
		default:
			r.left -= n
			return n, nil
		}
	}
}
