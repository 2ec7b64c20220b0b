// SPDX-License-Identifier: Apache-2.0

package link

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"mycr/netns/mycr-net/rawio"
)

// offloadSize is that of struct virtio_net_hdr, which stands before each frame
// of a device made with IFF_VNET_HDR. With it the two kernels' checksums and
// the cutting into segments are left out: no wire is between them.
const offloadSize = 10

// Of linux/virtio_net.h.
const (
	needsChecksum = 1
	gsoTCPv4      = 1
	gsoTCPv6      = 4
)

// probeOffload tells whether frames have that header, and then has the kernel
// send large segments without checksums.
func probeOffload(fd int) (bool, error) {
	request, err := unix.NewIfreq("")
	if err != nil {
		return false, err
	}
	if err := unix.IoctlIfreq(fd, unix.TUNGETIFF, request); err != nil {
		return false, fmt.Errorf("TUNGETIFF: %w", err)
	}
	flags := request.Uint16()
	if flags&unix.IFF_TAP == 0 || flags&unix.IFF_NO_PI == 0 {
		return false, fmt.Errorf("flags %#x are not those of a TAP device with IFF_NO_PI", flags)
	}
	if flags&unix.IFF_VNET_HDR == 0 {
		return false, nil
	}
	if size, err := unix.IoctlGetInt(fd, unix.TUNGETVNETHDRSZ); err != nil || size != offloadSize {
		return false, fmt.Errorf("TUNGETVNETHDRSZ: %d, %w", size, err)
	}
	const offloads = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloads); err != nil {
		return false, fmt.Errorf("TUNSETOFFLOAD: %w", err)
	}
	return true, nil
}

// read fills a buffer with one frame; the offload header goes elsewhere, since
// nothing in it matters to a stack that takes checksums for granted.
func (e *Endpoint) read(frame []byte) (n int, err error) {
	var offload [offloadSize]byte
	vectors := [2]unix.Iovec{vector(offload[:]), vector(frame)}
	pollErr := e.raw.Read(func(fd uintptr) bool {
		if e.offload {
			n, err = rawio.Readv(int(fd), vectors[:])
			n -= offloadSize
		} else {
			n, err = rawio.Read(int(fd), frame)
		}
		return err != unix.EAGAIN
	})
	if pollErr != nil {
		return 0, pollErr
	}
	return n, err
}

// write gives up a frame that the device does not take, as a wire would.
func (e *Endpoint) write(pkt *stack.PacketBuffer) {
	var vectors [8]unix.Iovec
	list := vectors[:0]
	var offload [offloadSize]byte
	if e.offload {
		describe(offload[:], pkt)
		list = append(list, vector(offload[:]))
	}
	for _, part := range pkt.AsSlices() {
		if len(part) > 0 {
			list = append(list, vector(part))
		}
	}
	rawio.Writev(e.fd, list) // whatever the error is, the packet is lost
}

// describe fills the offload header for one packet.
func describe(offload []byte, pkt *stack.PacketBuffer) {
	gso := &pkt.GSOOptions
	if gso.Type == stack.GSONone {
		return
	}
	if gso.NeedsCsum {
		offload[0] = needsChecksum
		binary.NativeEndian.PutUint16(offload[6:], header.EthernetMinimumSize+gso.L3HdrLen)
		binary.NativeEndian.PutUint16(offload[8:], gso.CsumOffset)
	}
	if pkt.Data().Size() > int(gso.MSS) {
		offload[1] = gsoTCPv6
		if gso.Type == stack.GSOTCPv4 {
			offload[1] = gsoTCPv4
		}
		binary.NativeEndian.PutUint16(offload[2:], uint16(pkt.HeaderSize()))
		binary.NativeEndian.PutUint16(offload[4:], gso.MSS)
	}
}

func vector(p []byte) unix.Iovec {
	v := unix.Iovec{Base: unsafe.SliceData(p)}
	v.SetLen(len(p))
	return v
}
