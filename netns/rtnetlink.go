// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// route is a rtnetlink(7) socket of the calling thread's network namespace.
type route struct {
	fd       int
	sequence uint32
}

func openRoute() (*route, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("rtnetlink socket: %w", err)
	}
	return &route{fd: fd}, nil
}

func (r *route) close() { unix.Close(r.fd) }

// request builds one message: a header of the family's own, then attributes.
type request struct{ data []byte }

func newRequest(header []byte) *request {
	return &request{append(make([]byte, unix.NLMSG_HDRLEN), header...)}
}

func (m *request) attribute(kind uint16, value []byte) {
	m.data = binary.NativeEndian.AppendUint16(m.data, uint16(unix.SizeofRtAttr+len(value)))
	m.data = binary.NativeEndian.AppendUint16(m.data, kind)
	m.data = append(m.data, value...)
	for len(m.data)%unix.NLMSG_ALIGNTO != 0 {
		m.data = append(m.data, 0)
	}
}

func (m *request) number(kind uint16, value uint32) {
	m.attribute(kind, binary.NativeEndian.AppendUint32(nil, value))
}

// do sends a message and waits for the kernel's acknowledgement.
func (r *route) do(kind, flags uint16, m *request) error {
	r.sequence++
	order := binary.NativeEndian
	order.PutUint32(m.data, uint32(len(m.data)))
	order.PutUint16(m.data[4:], kind)
	order.PutUint16(m.data[6:], flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	order.PutUint32(m.data[8:], r.sequence)
	if err := unix.Sendto(r.fd, m.data, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	for {
		n, _, err := unix.Recvfrom(r.fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n < unix.NLMSG_HDRLEN+4 || order.Uint32(buf[8:]) != r.sequence || order.Uint16(buf[4:]) != unix.NLMSG_ERROR {
			continue
		}
		if errno := int32(order.Uint32(buf[unix.NLMSG_HDRLEN:])); errno != 0 {
			return unix.Errno(-errno)
		}
		return nil
	}
}

func (r *route) index(name string) (int32, error) {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(r.fd, unix.SIOCGIFINDEX, request); err != nil {
		return 0, err
	}
	return int32(request.Uint32()), nil
}

// up is struct ifinfomsg with the device's address and MTU.
func (r *route) up(index int32, mac []byte, mtu int) error {
	header := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	binary.NativeEndian.PutUint32(header[8:], unix.IFF_UP)
	binary.NativeEndian.PutUint32(header[12:], unix.IFF_UP)
	m := newRequest(header)
	m.attribute(unix.IFLA_ADDRESS, mac)
	m.number(unix.IFLA_MTU, uint32(mtu))
	return r.do(unix.RTM_NEWLINK, 0, m)
}

func family(a []byte) byte {
	if len(a) == 4 {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// add is struct ifaddrmsg; nobody else on the wire could have the address, so
// that it is not tentative first.
func (r *route) add(index int32, address []byte, bits int) error {
	header := []byte{family(address), byte(bits), unix.IFA_F_NODAD, unix.RT_SCOPE_UNIVERSE, 0, 0, 0, 0}
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	m := newRequest(header)
	m.attribute(unix.IFA_LOCAL, address)
	m.attribute(unix.IFA_ADDRESS, address)
	return r.do(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, m)
}

// routeHeader is struct rtmsg.
func routeHeader(to []byte, bits int, kind byte) []byte {
	return []byte{family(to), byte(bits), 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_BOOT, unix.RT_SCOPE_UNIVERSE, kind, 0, 0, 0, 0}
}

func (r *route) gateway(index int32, gateway []byte) error {
	m := newRequest(routeHeader(gateway, 0, unix.RTN_UNICAST))
	m.attribute(unix.RTA_GATEWAY, gateway)
	m.number(unix.RTA_OIF, uint32(index))
	return r.do(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, m)
}

func (r *route) unreachable(to []byte) error {
	m := newRequest(routeHeader(to, 8*len(to), unix.RTN_UNREACHABLE))
	m.attribute(unix.RTA_DST, to)
	return r.do(unix.RTM_NEWROUTE, unix.NLM_F_CREATE, m)
}
