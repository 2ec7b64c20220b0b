// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// Up configures the network namespace of the calling thread, which has
// CAP_NET_ADMIN over it. tap is the descriptor of the container's device, -1
// where the plan has none.
func (p *Inside) Up() (tap int, err error) {
	tap = -1
	if !p.Loopback {
		return tap, nil
	}
	if err := loopback(); err != nil {
		return tap, err
	}
	if p.Device.Name == "" && len(p.Blocked) == 0 {
		return tap, nil
	}
	defer func() {
		if err != nil && tap >= 0 {
			unix.Close(tap)
		}
	}()
	r, err := openRoute()
	if err != nil {
		return tap, err
	}
	defer r.close()
	if p.Device.Name != "" {
		if tap, err = p.Device.open(); err != nil {
			return tap, err
		}
		if err := p.Device.address(r); err != nil {
			return tap, fmt.Errorf("network device %s: %w", p.Device.Name, err)
		}
	}
	for _, a := range p.Blocked {
		err := r.unreachable(a)
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
			continue // a kernel without IPv6 reaches none of its addresses
		}
		if err != nil {
			return tap, fmt.Errorf("make %s unreachable: %w", net.IP(a), err)
		}
	}
	return tap, nil
}

func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("bring up lo: socket: %w", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	return nil
}

// open makes the device. It lives as long as somebody has the descriptor. The
// offload header lets both sides leave out checksums; see the kernel's tuntap.rst.
func (d *Device) open() (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, refuse(tunRemedy(err.Error()), "open /dev/net/tun: %v", err)
	}
	request, err := unix.NewIfreq(d.Name)
	if err == nil {
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("make network device %s: %w", d.Name, err)
	}
	return fd, nil
}

// deviceMAC is that of every container: nobody but its driver is on the wire.
var deviceMAC = net.HardwareAddr{0x52, 0x55, 0x0a, 0x00, 0x02, 0x64}

// address gives the device what the plan says, and the default routes.
func (d *Device) address(r *route) error {
	index, err := r.index(d.Name)
	if err != nil {
		return err
	}
	if err := r.up(index, deviceMAC, d.MTU); err != nil {
		return fmt.Errorf("set it up with an MTU of %d bytes: %w", d.MTU, err)
	}
	for _, a := range d.Addresses {
		if err := r.add(index, a.IP, a.Bits); err != nil {
			return fmt.Errorf("add address %s/%d: %w", net.IP(a.IP), a.Bits, err)
		}
		if err := r.gateway(index, a.Gateway); err != nil {
			return fmt.Errorf("add the default route by %s: %w", net.IP(a.Gateway), err)
		}
	}
	return nil
}
