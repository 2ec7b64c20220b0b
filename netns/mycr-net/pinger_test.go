// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// ping sends an echo request out of the container and waits for the answer.
func (c *container) ping(t testing.TB, address string) error {
	t.Helper()
	to := netip.MustParseAddr(address)
	family, protocol := unix.AF_INET6, unix.IPPROTO_ICMPV6
	var peer unix.Sockaddr = &unix.SockaddrInet6{Addr: to.As16()}
	message := make([]byte, 40)
	message[0] = byte(header.ICMPv6EchoRequest)
	if to.Is4() {
		family, protocol = unix.AF_INET, unix.IPPROTO_ICMP
		peer = &unix.SockaddrInet4{Addr: to.As4()}
		message[0] = byte(header.ICMPv4Echo)
	}
	message[7] = 9 // sequence
	copy(message[8:], "is anybody there")
	var fd int
	var err error
	c.do(func() { fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, protocol) })
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	wait := unix.NsecToTimeval(int64(10 * time.Second))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		return err
	}
	level, option := unix.IPPROTO_IPV6, unix.IPV6_RECVERR
	if to.Is4() {
		level, option = unix.IPPROTO_IP, unix.IP_RECVERR
	}
	if err := unix.SetsockoptInt(fd, level, option, 1); err != nil {
		return err
	}
	if err := unix.Connect(fd, peer); err != nil {
		return err
	}
	if _, err := unix.Write(fd, message); err != nil {
		return err
	}
	answer := make([]byte, 100)
	n, err := unix.Read(fd, answer)
	if err != nil {
		return err
	}
	if n != len(message) || answer[7] != 9 || string(answer[8:24]) != "is anybody there" {
		t.Errorf("%s: answer %x", address, answer[:n])
	}
	return nil
}
