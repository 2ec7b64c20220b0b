// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"

	"mycr/netns/mycr-net/rawio"
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
		n, err := rawio.Write(w.fd, p[done:])
		if err != nil {
			w.err = err
			return done, err
		}
		done += n
	}
	return done, nil
}

// receiveFrom writes what comes from a socket to the container, at most chunk
// bytes at once, until the socket is at its end. Many bytes are read straight
// into the packets in which they are sent.
func (i *insideTCP) receiveFrom(socket syscall.RawConn, chunk int) error {
	entry, event := waiter.NewChannelEntry(anything &^ waiter.ReadableEvents)
	i.queue.EventRegister(&entry)
	defer i.queue.EventUnregister(&entry)
	in := newSocketReader()
	for {
		var err error
		// Within one Read no event of the socket is lost: what is known to be empty need not be read to wait for it.
		if pollErr := socket.Read(func(fd uintptr) bool {
			in.fd = int(fd)
			for err = in.look(chunk); err == nil; err = in.look(chunk) {
				if full, failed := i.give(in); full || failed != nil {
					err = failed
					return true
				}
				if in.empty {
					return false
				}
			}
			return err != unix.EAGAIN
		}); pollErr != nil {
			return pollErr
		}
		if err == io.EOF {
			return nil
		}
		for full := true; full && err == nil; full, err = i.give(in) {
			<-event
		}
		if err != nil {
			return err
		}
	}
}

// give writes to the container what was read; full says that it does not take
// all of it now.
func (i *insideTCP) give(in *socketReader) (full bool, err error) {
	for in.Len() > 0 {
		switch _, failed := i.ep.Write(in, tcpip.WriteOptions{}); failed.(type) {
		case nil:
			if in.err != nil {
				return false, in.err
			}
		case *tcpip.ErrWouldBlock:
			return true, nil
		default:
			return false, fmt.Errorf("write to the container: %s", failed)
		}
	}
	return false, nil
}

// A socketReader reads the bytes that a socket is known to have. It is a
// tcpip.Payloader, which has to know how many they are.
type socketReader struct {
	fd    int
	first [1024]byte // what was read to learn that there is something
	kept  []byte     // the part of it that is not taken yet
	more  int        // what the socket has besides
	empty bool       // the socket had no more, and was not at its end
	err   error

	message unix.Msghdr
	vector  unix.Iovec
	control [inqSpace]byte
}

// inqSpace takes a control message of one int.
const inqSpace = unix.SizeofCmsghdr + 8

func newSocketReader() *socketReader {
	r := &socketReader{}
	r.vector.Base = &r.first[0]
	r.vector.SetLen(len(r.first))
	r.message.Iov = &r.vector
	r.message.SetIovlen(1)
	return r
}

// look reads the first bytes, and learns whether there are more. It is one call
// where there are few, as in a conversation, and one more where there are many.
func (r *socketReader) look(chunk int) error {
	r.message.Control = &r.control[0]
	r.message.SetControllen(len(r.control))
	n, err := rawio.Recvmsg(r.fd, &r.message)
	if err != nil {
		return err
	}
	if n == 0 {
		return io.EOF
	}
	r.kept = r.first[:n]
	r.empty = r.drained()
	if n == len(r.first) && !r.empty {
		waiting, err := unix.IoctlGetInt(r.fd, unix.SIOCINQ)
		if err != nil {
			return fmt.Errorf("SIOCINQ: %w", err)
		}
		r.more = min(waiting, chunk-n)
	}
	return nil
}

// drained looks at what the kernel says besides about the bytes that it has
// still (TCP_INQ, tcp(7)). It counts the other side's end as one more, which is
// why the number is good for this alone.
func (r *socketReader) drained() bool {
	header := (*unix.Cmsghdr)(unsafe.Pointer(&r.control[0]))
	return r.message.Controllen >= unix.SizeofCmsghdr+4 && header.Level == unix.SOL_TCP && header.Type == unix.TCP_CM_INQ &&
		binary.NativeEndian.Uint32(r.control[unix.SizeofCmsghdr:]) == 0
}

// Len implements tcpip.Payloader.
func (r *socketReader) Len() int { return len(r.kept) + r.more }

func (r *socketReader) Read(p []byte) (int, error) {
	if r.Len() == 0 {
		return 0, io.EOF
	}
	done := copy(p, r.kept)
	r.kept = r.kept[done:]
	if size := min(len(p)-done, r.more); size > 0 {
		n, err := rawio.Read(r.fd, p[done:done+size])
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			r.err = err
			return done, err
		}
		r.more -= n
		done += n
	}
	return done, nil
}
