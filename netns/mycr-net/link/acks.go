// SPDX-License-Identifier: Apache-2.0

package link

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"mycr/netns/mycr-net/rawio"
)

const (
	// fewBytes is how many bytes an acknowledgement may be for to be kept.
	fewBytes = 2048
	// ackDelay is how long it is kept at least, and half of how long at most.
	// RFC 1122 section 4.2.3.2 allows 500 ms.
	ackDelay = time.Millisecond
	// plainAck is the size of a TCP header with timestamps and no other option.
	plainAck = header.TCPMinimumSize + header.TCPOptionTSLength + 2
)

// acks keeps acknowledgements of a few bytes back, as RFC 1122 wants it and the
// stack does not do it: where bytes for the container follow soon, as in a
// conversation, they carry it, and the container receives one packet instead
// of two. One is kept at a time, so that two segments are never without.
type acks struct {
	mu    sync.Mutex
	flows [256]flowAcks // by a hash; of two flows with the same, the later one has it
	timer int           // a timerfd
	armed bool
}

// flowAcks is what is known of one direction of one connection.
type flowAcks struct {
	flow
	sent uint32              // the last number that was acknowledged, or kept
	kept *stack.PacketBuffer // nil: none
	old  bool                // it was there before the timer's last tick
}

type flow struct {
	from, to         tcpip.Address
	fromPort, toPort uint16
}

// writeOrKeep writes a packet unless it is an acknowledgement to be kept.
func (e *Endpoint) writeOrKeep(pkt *stack.PacketBuffer) {
	of, tcp, ok := segment(pkt)
	if !ok {
		e.write(pkt)
		return
	}
	e.acks.mu.Lock()
	defer e.acks.mu.Unlock()
	f := &e.acks.flows[(of.fromPort^of.toPort^of.toPort>>8)%uint16(len(e.acks.flows))]
	if f.flow != of {
		e.release(f)
		*f = flowAcks{flow: of, sent: tcp.AckNumber()}
		e.write(pkt)
		return
	}
	bytes := tcp.AckNumber() - f.sent
	f.sent = tcp.AckNumber()
	if f.kept != nil {
		f.drop() // what is written now acknowledges as much
	} else if bytes > 0 && bytes <= fewBytes && tcp.Flags() == header.TCPFlagAck && len(tcp) <= plainAck && pkt.Data().Size() == 0 && e.arm() {
		f.kept, f.old = pkt.IncRef(), false
		return
	}
	e.write(pkt)
}

// segment gives the TCP segment of a packet, and whose it is.
func segment(pkt *stack.PacketBuffer) (flow, header.TCP, bool) {
	tcp := header.TCP(pkt.TransportHeader().Slice())
	if pkt.TransportProtocolNumber != header.TCPProtocolNumber || len(tcp) < header.TCPMinimumSize {
		return flow{}, nil, false
	}
	of := flow{fromPort: tcp.SourcePort(), toPort: tcp.DestinationPort()}
	of.from, of.to = pkt.Network().SourceAddress(), pkt.Network().DestinationAddress()
	return of, tcp, true
}

// release writes what is kept of a flow.
func (e *Endpoint) release(f *flowAcks) {
	if f.kept != nil {
		e.write(f.kept)
		f.drop()
	}
}

func (f *flowAcks) drop() {
	f.kept.DecRef()
	f.kept = nil
}

// startTimer makes the timer by which what is kept is written at last. It is
// not one of Go's: each wait for a packet would be until it, and would set the
// processor's timer, which a virtual machine does by asking its host.
func (e *Endpoint) startTimer() error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("timerfd_create: %w", err)
	}
	file, err := os.NewFile(uintptr(fd), "timer").SyscallConn()
	if err != nil {
		return err
	}
	e.acks.timer = fd
	// It is never read: to set it again takes its ticks away, and each is an event.
	go func() {
		file.Read(func(uintptr) bool {
			e.tick()
			return false
		})
		// It can be waited for no more: nothing is kept from now on.
		e.acks.mu.Lock()
		defer e.acks.mu.Unlock()
		e.acks.timer, e.acks.armed = -1, false
		for i := range e.acks.flows {
			e.release(&e.acks.flows[i])
		}
	}()
	return nil
}

// arm lets the timer tick once more, or says that it does not: then nothing may
// be kept. It is asked last, since it costs a system call.
func (e *Endpoint) arm() bool {
	if !e.acks.armed {
		once := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(ackDelay))}
		e.acks.armed = rawio.Settime(e.acks.timer, &once) == nil
	}
	return e.acks.armed
}

// tick writes what has been kept since the last tick.
func (e *Endpoint) tick() {
	e.acks.mu.Lock()
	defer e.acks.mu.Unlock()
	e.acks.armed = false
	for i := range e.acks.flows {
		f := &e.acks.flows[i]
		if f.kept == nil {
			continue
		}
		if f.old {
			e.release(f)
			continue
		}
		f.old = true
		if !e.arm() {
			e.release(f)
		}
	}
}
