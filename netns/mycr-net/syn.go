// SPDX-License-Identifier: Apache-2.0

package main

import (
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// synHeads has of each connection that is being made what an ICMP error about
// it has to repeat: the container's kernel compares the sequence number, and
// gVisor's forwarder does not tell it.
type synHeads struct {
	mu   sync.Mutex
	byID map[stack.TransportEndpointID][]byte
}

func (s *synHeads) note(id stack.TransportEndpointID, pkt *stack.PacketBuffer) {
	flags := header.TCP(pkt.TransportHeader().Slice()).Flags()
	if flags&(header.TCPFlagSyn|header.TCPFlagAck) != header.TCPFlagSyn {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// What the forwarder dropped is never forgotten one by one.
	if s.byID == nil || len(s.byID) > 2*mostConnecting {
		s.byID = map[stack.TransportEndpointID][]byte{}
	}
	s.byID[id] = head(pkt)
}

func (s *synHeads) get(id stack.TransportEndpointID) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id]
}

func (s *synHeads) forget(id stack.TransportEndpointID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, id)
}
