// SPDX-License-Identifier: Apache-2.0

// Package link carries packets between the container's TAP device and the
// user-space stack.
//
// The only neighbour on this wire is the container, so the stack needs to know
// nothing of Ethernet: frames get their header here, and every question of the
// container for a neighbour is answered with the same address.
package link

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	headerSize = header.EthernetMinimumSize
	frameSize  = buffer.MaxChunkSize // a larger one is not pooled

	// smallFrame is the size up to which a frame is copied: what is received has to
	// stay a while in a queue, and would keep a buffer of frameSize there.
	smallFrame = 4096

	// MaxMTU leaves room for the Ethernet header in one buffer.
	MaxMTU = 65520
)

// mac is the address of everything that is not the container.
var mac = [6]byte{0x52, 0x55, 0x0a, 0x00, 0x02, 0x02}

// An Endpoint is the stack's side of a TAP device. It is a stack.LinkEndpoint.
type Endpoint struct {
	tap        *os.File
	raw        syscall.RawConn
	offload    bool // an offload header is before each frame
	fd         int
	own        []netip.Addr // the container's own addresses, which nobody else answers for
	mtu        uint32
	peer       atomic.Uint64 // the container's address, in the lower 48 bits
	dispatcher stack.NetworkDispatcher
	acks       acks
}

// New takes over a TAP device in non-blocking mode. peer is the container's
// hardware address; it follows the frames that arrive, since root in the
// container may change it. own are the container's addresses.
func New(tap *os.File, peer [6]byte, own []netip.Addr, mtu int) (*Endpoint, error) {
	raw, err := tap.SyscallConn()
	if err != nil {
		return nil, err
	}
	e := &Endpoint{tap: tap, raw: raw, own: own, mtu: uint32(mtu)}
	if err := raw.Control(func(fd uintptr) { e.fd = int(fd) }); err != nil {
		return nil, err
	}
	if e.offload, err = probeOffload(e.fd); err != nil {
		return nil, err
	}
	e.peer.Store(hardware(peer[:]))
	return e, e.startTimer()
}

// Run reads frames until the device is gone.
func (e *Endpoint) Run() error {
	view := buffer.NewViewSize(frameSize)
	for {
		n, err := e.read(view.AsSlice())
		if err != nil {
			return fmt.Errorf("read from the container's device: %w", err)
		}
		if n < headerSize {
			continue
		}
		frame := view.AsSlice()[:n]
		if sender := hardware(frame[6:12]); sender != e.peer.Load() {
			e.peer.Store(sender)
		}
		protocol := tcpip.NetworkProtocolNumber(binary.BigEndian.Uint16(frame[12:]))
		if !e.wanted(protocol, frame[headerSize:]) {
			continue
		}
		packet := view
		if n <= smallFrame {
			packet = buffer.NewViewWithData(frame[headerSize:])
		} else {
			view = buffer.NewViewSize(frameSize)
			packet.CapLength(n)
			packet.TrimFront(headerSize)
		}
		pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(packet)})
		e.dispatcher.DeliverNetworkPacket(protocol, pkt)
		pkt.DecRef()
		if n <= smallFrame {
			// What a small one brings goes on before we look whether there are more.
			runtime.Gosched()
		}
	}
}

// Send gives the container one whole IP packet.
func (e *Endpoint) Send(protocol tcpip.NetworkProtocolNumber, packet []byte) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: headerSize,
		Payload:            buffer.MakeWithData(packet),
	})
	defer pkt.DecRef()
	pkt.NetworkProtocolNumber = protocol
	e.AddHeader(pkt)
	e.write(pkt)
}

// WritePackets implements stack.LinkWriter. It is called from many goroutines
// at once: a write is one frame, and the kernel receives it in the writer's
// thread.
func (e *Endpoint) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range list.AsSlice() {
		e.writeOrKeep(pkt)
	}
	return list.Len(), nil
}

// AddHeader implements stack.NetworkLinkEndpoint.
func (e *Endpoint) AddHeader(pkt *stack.PacketBuffer) {
	ethernet := pkt.LinkHeader().Push(headerSize)
	peer := e.peer.Load()
	binary.BigEndian.PutUint16(ethernet, uint16(peer>>32))
	binary.BigEndian.PutUint32(ethernet[2:], uint32(peer))
	copy(ethernet[6:], mac[:])
	binary.BigEndian.PutUint16(ethernet[12:], uint16(pkt.NetworkProtocolNumber))
}

// Attach implements stack.NetworkLinkEndpoint.
func (e *Endpoint) Attach(dispatcher stack.NetworkDispatcher) { e.dispatcher = dispatcher }

// IsAttached implements stack.NetworkLinkEndpoint.
func (e *Endpoint) IsAttached() bool { return e.dispatcher != nil }

// MTU implements stack.NetworkLinkEndpoint.
func (e *Endpoint) MTU() uint32 { return e.mtu }

// SetMTU implements stack.NetworkLinkEndpoint; the device's does not change.
func (e *Endpoint) SetMTU(uint32) {}

// MaxHeaderLength implements stack.NetworkLinkEndpoint.
func (e *Endpoint) MaxHeaderLength() uint16 { return headerSize }

// LinkAddress implements stack.NetworkLinkEndpoint.
func (e *Endpoint) LinkAddress() tcpip.LinkAddress { return tcpip.LinkAddress(mac[:]) }

// SetLinkAddress implements stack.NetworkLinkEndpoint; it does not change.
func (e *Endpoint) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities implements stack.NetworkLinkEndpoint. What the container sends
// came through memory, so its checksums are not looked at.
func (e *Endpoint) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityRXChecksumOffload
}

// SupportedGSO implements stack.GSOEndpoint.
func (e *Endpoint) SupportedGSO() stack.SupportedGSO {
	if e.offload {
		return stack.HostGSOSupported
	}
	return stack.GSONotSupported
}

// GSOMaxSize implements stack.GSOEndpoint: a packet's, with headers.
func (e *Endpoint) GSOMaxSize() uint32 { return MaxMTU }

// ARPHardwareType implements stack.NetworkLinkEndpoint. The stack asks for no
// neighbours.
func (e *Endpoint) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }

// ParseHeader implements stack.NetworkLinkEndpoint.
func (e *Endpoint) ParseHeader(*stack.PacketBuffer) bool { return true }

// Wait implements stack.NetworkLinkEndpoint.
func (e *Endpoint) Wait() {}

// Close implements stack.NetworkLinkEndpoint.
func (e *Endpoint) Close() {}

// SetOnCloseAction implements stack.NetworkLinkEndpoint.
func (e *Endpoint) SetOnCloseAction(func()) {}

func hardware(address []byte) uint64 {
	return uint64(binary.BigEndian.Uint16(address))<<32 | uint64(binary.BigEndian.Uint32(address[2:]))
}
