// SPDX-License-Identifier: Apache-2.0

package link

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// An acknowledgement of a few bytes is written in the end where nothing carries it, and at once where no timer would see
// to that.
func TestAcknowledgementsAreNotKeptWithoutATimer(t *testing.T) {
	for _, timer := range []bool{true, false} {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		tap := os.NewFile(uintptr(pair[0]), "tap")
		e := &Endpoint{tap: tap, fd: pair[0], acks: acks{timer: -1}}
		if e.raw, err = tap.SyscallConn(); err != nil {
			t.Fatal(err)
		}
		if timer {
			if err := e.startTimer(); err != nil {
				t.Fatal(err)
			}
		}
		count := func() (frames int) {
			for {
				if _, err := unix.Read(pair[1], make([]byte, 256)); err != nil {
					return frames
				}
				frames++
			}
		}
		acknowledge(e, 1000)
		if n := count(); n != 1 {
			t.Errorf("timer %v: the first acknowledgement of a flow is %d frames at once", timer, n)
		}
		acknowledge(e, 1001)
		n := count()
		if timer {
			fds := []unix.PollFd{{Fd: int32(pair[1]), Events: unix.POLLIN}}
			for n == 0 {
				if ready, err := unix.Poll(fds, 20_000); err != unix.EINTR && ready != 1 {
					t.Fatalf("an acknowledgement is kept for ever: %v", err)
				}
				n += count()
			}
		}
		if n != 1 {
			t.Errorf("timer %v: the second acknowledgement is %d frames", timer, n)
		}
		tap.Close()
		unix.Close(pair[1])
	}
}

// acknowledge has an endpoint send an acknowledgement and nothing else.
func acknowledge(e *Endpoint, number uint32) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: headerSize + header.IPv4MinimumSize + header.TCPMinimumSize, Payload: buffer.Buffer{},
	})
	defer pkt.DecRef()
	tcp := header.TCP(pkt.TransportHeader().Push(header.TCPMinimumSize))
	tcp.Encode(&header.TCPFields{SrcPort: 80, DstPort: 40000, AckNum: number, DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagAck})
	pkt.TransportProtocolNumber = header.TCPProtocolNumber
	ip := header.IPv4(pkt.NetworkHeader().Push(header.IPv4MinimumSize))
	ip.Encode(&header.IPv4Fields{
		TotalLength: header.IPv4MinimumSize + header.TCPMinimumSize, TTL: 64, Protocol: uint8(header.TCPProtocolNumber),
		SrcAddr: tcpip.AddrFrom4([4]byte{10, 0, 2, 2}), DstAddr: tcpip.AddrFrom4([4]byte{10, 0, 2, 100}),
	})
	pkt.NetworkProtocolNumber = header.IPv4ProtocolNumber
	e.AddHeader(pkt)
	var list stack.PacketBufferList
	list.PushBack(pkt)
	e.WritePackets(list)
}
