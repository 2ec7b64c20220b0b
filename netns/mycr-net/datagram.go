// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"

	"mycr/netns/mycr-net/rawio"
)

// datagrams are buffers for one datagram. A flow that waits has none.
var datagrams = sync.Pool{New: func() any { return new([1 << 16]byte) }}

// receive waits for a datagram on a socket and hands it to take, until one of
// them fails.
func receive(socket syscall.RawConn, take func(datagram []byte) error) error {
	for {
		buffer := (*[1 << 16]byte)(nil)
		var n int
		var failed error
		err := socket.Read(func(fd uintptr) bool {
			if buffer == nil {
				buffer = datagrams.Get().(*[1 << 16]byte)
			}
			n, failed = rawio.Read(int(fd), buffer[:])
			if failed == unix.EAGAIN {
				datagrams.Put(buffer)
				buffer = nil
				return false
			}
			return true
		})
		if err == nil {
			err = failed
		}
		if err == nil {
			err = take(buffer[:n])
		}
		if buffer != nil {
			datagrams.Put(buffer)
		}
		if err != nil {
			return err
		}
	}
}

// errRefused says that nobody in the container listens.
var errRefused = errors.New("refused by the container")

// insideUDP is the container's side of a flow.
type insideUDP struct {
	ep    tcpip.Endpoint
	queue waiter.Queue
}

// receive waits for a datagram of the container's and hands it to take, until
// one of them fails.
func (i *insideUDP) receive(take func(datagram []byte) error) error {
	entry, event := waiter.NewChannelEntry(anything &^ waiter.WritableEvents)
	i.queue.EventRegister(&entry)
	defer i.queue.EventUnregister(&entry)
	buffer := bytes.Buffer{}
	for {
		buffer.Reset()
		_, failed := i.ep.Read(&buffer, tcpip.ReadOptions{})
		switch failed.(type) {
		case nil:
			if err := take(buffer.Bytes()); err != nil {
				return err
			}
		case *tcpip.ErrWouldBlock:
			buffer = bytes.Buffer{} // nothing is kept while nothing comes
			<-event
		case *tcpip.ErrConnectionRefused:
			return errRefused
		default:
			return fmt.Errorf("read from the container: %s", failed)
		}
	}
}

// send gives the container a datagram. One that it has no room for is lost.
func (i *insideUDP) send(datagram []byte) error {
	reader := bytes.NewReader(datagram)
	switch _, failed := i.ep.Write(reader, tcpip.WriteOptions{}); failed.(type) {
	case nil, *tcpip.ErrWouldBlock, *tcpip.ErrNoBufferSpace, *tcpip.ErrMessageTooLong:
		return nil
	case *tcpip.ErrConnectionRefused: // by a datagram before
		return nil
	default:
		return fmt.Errorf("write to the container: %s", failed)
	}
}
