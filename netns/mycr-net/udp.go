// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// A udpForwarder sends to the outside what the container sends.
//
// Each pair of addresses has a socket of its own, which is connected: so the
// kernel lets pass only the answers, and tells of a port that nobody listens
// on.
type udpForwarder struct {
	*network
	flows *flows[stack.TransportEndpointID]
}

func newUDPForwarder(n *network) *udpForwarder {
	f := &udpForwarder{network: n, flows: newFlows[stack.TransportEndpointID](n.mostFlows)}
	n.stack.SetTransportProtocolHandler(udp.ProtocolNumber, f.forward)
	return f
}

// forward starts a flow with its first packet; the further ones go to the
// endpoint.
func (f *udpForwarder) forward(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
	head := head(pkt)
	decision := f.policy.UDP(addrPort(id.LocalAddress, id.LocalPort))
	if decision.Refused != "" {
		f.sendUnreachable(head, prohibited)
		return true
	}
	outside, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(decision.Target))
	if err != nil {
		if why, ok := asUnreachable(err); ok {
			f.sendUnreachable(head, why)
		}
		return true
	}
	inside := &insideUDP{}
	request := udp.NewForwarderRequest(f.stack, id, pkt.Clone())
	var failed tcpip.Error
	if inside.ep, failed = request.CreateEndpoint(&inside.queue); failed != nil {
		outside.Close()
		return true
	}
	started := f.flows.add(id, func() {
		inside.ep.Close()
		outside.Close()
	})
	go f.relay(id, started, inside, outside, head)
	return true
}

// relay carries datagrams both ways until the flow is removed.
func (f *udpForwarder) relay(id stack.TransportEndpointID, of *flow, inside *insideUDP, outside *net.UDPConn, head []byte) {
	defer f.flows.remove(id, of)
	go func() {
		defer f.flows.remove(id, of)
		inside.receive(func(datagram []byte) error {
			f.flows.touch(of)
			_, err := outside.Write(datagram)
			return f.soft(head, err)
		})
	}()
	raw, err := outside.SyscallConn()
	if err != nil {
		return
	}
	for {
		err := receive(raw, func(datagram []byte) error {
			f.flows.touch(of)
			of.answered.Add(1)
			return inside.send(datagram)
		})
		if f.soft(head, err) != nil {
			return
		}
	}
}

// soft passes an error about one datagram to the container; the flow goes on.
func (f *udpForwarder) soft(head []byte, err error) error {
	if why, ok := asUnreachable(err); ok {
		f.sendUnreachable(head, why)
		return nil
	}
	if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) {
		return nil // it is lost, as it would be further on
	}
	return err
}
