// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// routes asks the kernel's routing. Sockets are kept for the next question.
type routes struct{ free chan int }

func newRoutes() *routes { return &routes{free: make(chan int, 4)} }

// isHost tells whether a packet to the address would stay on this host. A list
// of the interfaces' addresses is always a moment too old, and does not have
// routes of type local, which need no address. An address that nothing routes to
// is not the host's.
func (r *routes) isHost(address netip.Addr) (bool, error) {
	var sock int
	select {
	case sock = <-r.free:
	default:
		var err error
		if sock, err = netlink(); err != nil {
			return false, err
		}
	}
	host, err := ask(sock, address)
	if err == nil {
		select {
		case r.free <- sock:
			return host, nil
		default:
		}
	}
	unix.Close(sock) // one with an error may have a late answer
	return host, err
}

func netlink() (int, error) {
	sock, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, fmt.Errorf("netlink socket: %w", err)
	}
	timeout := unix.NsecToTimeval(int64(time.Second))
	if err := unix.SetsockoptTimeval(sock, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		unix.Close(sock)
		return -1, fmt.Errorf("netlink socket: %w", err)
	}
	return sock, nil
}

func ask(sock int, address netip.Addr) (bool, error) {
	family := byte(unix.AF_INET6)
	if address.Is4() {
		family = unix.AF_INET
	}
	if err := unix.Sendto(sock, routeRequest(family, address.AsSlice()), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return false, fmt.Errorf("ask for a route: %w", err)
	}
	var buffer [4096]byte
	for {
		n, from, err := unix.Recvfrom(sock, buffer[:], 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("answer about a route: %w", err)
		}
		if kernel, ok := from.(*unix.SockaddrNetlink); !ok || kernel.Pid != 0 {
			continue // another process may write to this socket
		}
		return routeAnswer(buffer[:n])
	}
}

// routeRequest is an RTM_GETROUTE with the destination alone, see
// rtnetlink(7).
func routeRequest(family byte, address []byte) []byte {
	request := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+unix.SizeofRtMsg+unix.SizeofRtAttr+len(address)))
	request = binary.NativeEndian.AppendUint16(request, unix.RTM_GETROUTE)
	request = binary.NativeEndian.AppendUint16(request, unix.NLM_F_REQUEST)
	request = append(request, make([]byte, 8)...)                  // sequence and port
	request = append(request, family, byte(len(address)*8))        // length of the destination
	request = append(request, make([]byte, unix.SizeofRtMsg-2)...) // everything else
	request = binary.NativeEndian.AppendUint16(request, uint16(unix.SizeofRtAttr+len(address)))
	request = binary.NativeEndian.AppendUint16(request, unix.RTA_DST)
	return append(request, address...)
}

func routeAnswer(answer []byte) (bool, error) {
	if len(answer) < unix.SizeofNlMsghdr+4 {
		return false, errors.New("answer about a route: too short")
	}
	body := answer[unix.SizeofNlMsghdr:]
	switch kind := binary.NativeEndian.Uint16(answer[4:]); kind {
	case unix.RTM_NEWROUTE:
		if len(body) < unix.SizeofRtMsg {
			return false, errors.New("answer about a route: too short")
		}
		return slices.Contains([]byte{unix.RTN_LOCAL, unix.RTN_BROADCAST, unix.RTN_ANYCAST, unix.RTN_MULTICAST}, body[7]), nil
	case unix.NLMSG_ERROR:
		errno := unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
		if slices.Contains([]unix.Errno{unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EACCES, unix.EINVAL}, errno) {
			return false, nil // no route, or one of type unreachable, prohibit, blackhole
		}
		return false, fmt.Errorf("ask for a route: %w", errno)
	default:
		return false, fmt.Errorf("answer about a route: message of type %d", kind)
	}
}
