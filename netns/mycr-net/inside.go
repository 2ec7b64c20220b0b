// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// insideTCP is the container's side of a connection.
type insideTCP struct {
	ep    tcpip.Endpoint
	queue waiter.Queue
}

// dialInside connects to a port of the container, from the gateway's address.
func (n *network) dialInside(ctx context.Context, to netip.AddrPort) (*insideTCP, error) {
	inside := &insideTCP{}
	var failed tcpip.Error
	if inside.ep, failed = n.stack.NewEndpoint(tcp.ProtocolNumber, protocolOf(to.Addr()), &inside.queue); failed != nil {
		return nil, fmt.Errorf("connect to the container's %s: %s", to, failed)
	}
	entry, event := waiter.NewChannelEntry(anything)
	inside.queue.EventRegister(&entry)
	defer inside.queue.EventUnregister(&entry)
	if failed = inside.ep.Bind(fullAddress(netip.AddrPortFrom(n.gateway(to.Addr()), 0))); failed == nil {
		failed = inside.ep.Connect(fullAddress(to))
	}
	if _, started := failed.(*tcpip.ErrConnectStarted); started {
		select {
		case <-event:
			failed = inside.ep.LastError()
		case <-ctx.Done():
			inside.ep.Abort()
			return nil, fmt.Errorf("connect to the container's %s: %w", to, ctx.Err())
		}
	}
	if failed != nil {
		inside.ep.Close()
		return nil, fmt.Errorf("connect to the container's %s: %s", to, failed)
	}
	return inside, nil
}

// gateway is our address of the same kind.
func (n *network) gateway(like netip.Addr) netip.Addr {
	if like.Is4() {
		return n.config.Gateway4
	}
	return n.config.Gateway6
}
