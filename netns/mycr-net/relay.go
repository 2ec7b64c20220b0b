// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// relay carries bytes both ways until both sides are at their end, or one is
// reset, which resets the other. It closes both.
//
// No bytes are kept here: what one side does not take stays in the other's
// receive buffer, and its sender is slowed down by the window.
func (f *tcpForwarder) relay(inside *insideTCP, outside *net.TCPConn, first *gate) {
	size := f.budget.take()
	defer f.budget.give(size)
	inside.ep.SocketOptions().SetReceiveBufferSize(int64(size), true)
	inside.ep.SocketOptions().SetSendBufferSize(int64(size), true)

	var once sync.Once
	abort := func() {
		once.Do(func() {
			inside.ep.Abort()
			reset(outside)
		})
	}
	// A reset from inside arrives also while both directions wait for the outside.
	dead := waiter.NewFunctionEntry(waiter.EventErr, func(waiter.EventMask) {
		if tcp.EndpointState(inside.ep.State()) == tcp.StateError {
			go abort() // the endpoint is locked here
		}
	})
	inside.queue.EventRegister(&dead)
	defer inside.queue.EventUnregister(&dead)

	raw, err := outside.SyscallConn()
	if err == nil {
		err = tellWaiting(raw)
	}
	if err != nil {
		abort()
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		if enter(first, inside, outside) != nil || inside.sendTo(raw) != nil || outside.CloseWrite() != nil {
			abort()
		}
	})
	if inside.receiveFrom(raw, f.chunk()) != nil || inside.ep.Shutdown(tcpip.ShutdownWrite) != nil {
		abort()
	}
	both.Wait()
	once.Do(func() {
		inside.ep.Close()
		outside.Close()
	})
}

// tellWaiting has the kernel say with what it gives how much it has besides.
func tellWaiting(socket syscall.RawConn) (err error) {
	failed := socket.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_TCP, unix.TCP_INQ, 1) })
	return errors.Join(failed, err)
}

// enter lets the first bytes through the gate, where there is one.
func enter(first *gate, inside *insideTCP, outside *net.TCPConn) error {
	if first == nil {
		return nil
	}
	stream, err := first.pass(inside)
	if err != nil {
		return err
	}
	_, err = outside.Write(stream)
	return err
}

// chunk is how much is read from outside at once: a whole number of segments,
// or each read would end in a small packet.
func (f *tcpForwarder) chunk() int {
	segment := f.config.MTU - header.IPv6MinimumSize - header.TCPMinimumSize - header.TCPOptionTSLength - 2
	return segment * max(1, (512<<10)/segment)
}
