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
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	// mostConnecting bounds the connections whose other side has not answered
	// yet; a SYN beyond is dropped, and the container's kernel repeats it.
	mostConnecting = 4096
	// mostConnections bounds the connections, each a descriptor here.
	mostConnections = 16384
	// connectPatience is longer than the container's own, net.ipv4.tcp_syn_retries.
	connectPatience = 130 * time.Second
)

// A tcpForwarder connects to the outside what the container connects.
type tcpForwarder struct {
	*network
	open   atomic.Int64
	budget budget
}

func newTCPForwarder(n *network) *tcpForwarder {
	f := &tcpForwarder{network: n}
	forwarder := tcp.NewForwarder(n.stack, mostBuffer, mostConnecting, f.forward)
	n.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, forwarder.HandlePacket)
	return f
}

// forward connects to the outside first, so that the container sees a refusal
// as one.
func (f *tcpForwarder) forward(request *tcp.ForwarderRequest) {
	id := request.ID()
	to := addrPort(id.LocalAddress, id.LocalPort)
	decision := f.policy.TCP(to)
	if decision.Refused != "" || f.open.Load() >= mostConnections {
		request.Complete(true)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectPatience)
	defer cancel()
	outside, err := connect(ctx, decision.Target)
	if err != nil {
		request.Complete(!errors.Is(err, unix.ETIMEDOUT) && ctx.Err() == nil)
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
	f.relay(inside, outside)
}

func connect(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
	var dialer net.Dialer
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

// insideTCP is the container's side of a connection.
type insideTCP struct {
	ep    tcpip.Endpoint
	queue waiter.Queue
}
