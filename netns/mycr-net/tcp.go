// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

const (
	// mostConnecting bounds the connections whose other side has not answered
	// yet; a SYN beyond is dropped, and the container's kernel repeats it.
	mostConnecting = 4096
	// connectPatience is longer than the container's own, net.ipv4.tcp_syn_retries.
	connectPatience = 130 * time.Second
)

// A tcpForwarder connects to the outside what the container connects.
type tcpForwarder struct {
	*network
	open   atomic.Int64
	budget budget
	syn    synHeads
}

func newTCPForwarder(n *network) *tcpForwarder {
	f := &tcpForwarder{network: n}
	forwarder := tcp.NewForwarder(n.stack, mostBuffer, mostConnecting, f.forward)
	n.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, func(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
		f.syn.note(id, pkt)
		return forwarder.HandlePacket(id, pkt)
	})
	return f
}

// begin counts a connection, unless there are too many; end has to follow.
func (f *tcpForwarder) begin() bool {
	if f.open.Add(1) > int64(f.most) {
		f.open.Add(-1)
		return false
	}
	return true
}

func (f *tcpForwarder) end() { f.open.Add(-1) }

// forward connects to the outside first, so that the container sees a refusal
// as one.
func (f *tcpForwarder) forward(request *tcp.ForwarderRequest) {
	id := request.ID()
	defer f.syn.forget(id)
	to := addrPort(id.LocalAddress, id.LocalPort)
	decision := f.policy.TCP(to)
	if decision.Refused != "" || !f.begin() {
		request.Complete(true)
		return
	}
	defer f.end()
	ctx, cancel := context.WithTimeout(context.Background(), connectPatience)
	defer cancel()
	outside, err := connect(ctx, decision.Target)
	if err != nil {
		f.refuse(request, err)
		return
	}
	inside := &insideTCP{}
	var failed tcpip.Error
	inside.ep, failed = request.CreateEndpoint(&inside.queue)
	request.Complete(failed != nil)
	if failed != nil {
		reset(outside)
		return
	}
	release := f.policy.Hold(to.Addr())
	defer release()
	var first *gate
	if decision.CheckTLS {
		first = &gate{f.policy, to}
	}
	f.relay(inside, outside, first)
}

// refuse says to the container what the outside said to us; where that is
// nothing, it says nothing.
func (f *tcpForwarder) refuse(request *tcp.ForwarderRequest, err error) {
	why, known := asUnreachable(err)
	syn := f.syn.get(request.ID())
	switch {
	case known && why != noPort && syn != nil:
		f.sendUnreachable(syn, why)
		request.Complete(false)
	case errors.Is(err, unix.ETIMEDOUT), errors.Is(err, context.DeadlineExceeded):
		request.Complete(false)
	default:
		request.Complete(true)
	}
}

func connect(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
	// Whether an idle connection is probed is the container's to decide, as it
	// would be without us.
	dialer := net.Dialer{KeepAlive: -1}
	c, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// reset ends a connection so that the other side sees that something failed.
func reset(c *net.TCPConn) {
	c.SetLinger(0) // an error means that it is broken already
	c.Close()
}
