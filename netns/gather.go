// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"bytes"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"mycr/linux"
)

// Gather finds what Resolve needs of the host, where it may need it.
func Gather(o *Options, f *Facts) {
	if !o.wants(f) {
		return
	}
	h := &f.Host
	h.Tun = tunProblem()
	dirs := linux.HelperDirs()
	h.Internal = find("mycr-net", dirs)
	h.Pasta, h.Slirp = find("pasta", dirs), find("slirp4netns", dirs)
	if h.Internal.Path == "" && missing(f) {
		return // the rest is for a driver
	}
	h.IPv6 = defaultRoute6()
	h.Search = search()
	h.Addresses = ownAddresses()
}

// ownAddresses are the host's, which a driver that translates addresses leads to; those that
// come later are not among them.
func ownAddresses() []netip.Addr {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var own []netip.Addr
	for _, one := range list {
		network, ok := one.(*net.IPNet)
		if !ok {
			continue
		}
		if a, ok := netip.AddrFromSlice(network.IP); ok && !a.Unmap().IsLoopback() && !a.IsLinkLocalUnicast() {
			own = append(own, a.Unmap())
		}
	}
	return own
}

func find(name string, dirs []string) Program {
	path, looked := linux.FindHelper(name, dirs)
	return Program{Path: path, Looked: looked}
}

// tunProblem tells why /dev/net/tun cannot be opened.
func tunProblem() string {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err.Error()
	}
	unix.Close(fd)
	return ""
}

// defaultRoute6 tells whether there is one that is not a refusal; see
// net/ipv6/route.c: destination, its length, …, metric, …, flags, device.
func defaultRoute6() bool {
	text, err := linux.ReadFile("/proc/net/ipv6_route")
	if err != nil {
		return false
	}
	for line := range bytes.SplitSeq(text, []byte{'\n'}) {
		f := bytes.Fields(line)
		if len(f) == 10 && string(f[0]) == strings.Repeat("0", 32) && string(f[1]) == "00" && string(f[9]) != "lo" {
			return true
		}
	}
	return false
}

// search is the last search line of the host's resolv.conf(5).
func search() []string {
	text, err := linux.ReadFile("/etc/resolv.conf")
	if err != nil {
		return nil
	}
	var list []string
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && (f[0] == "search" || f[0] == "domain") {
			list = list[:0]
			for _, name := range f[1:] {
				if isName(strings.TrimSuffix(name, ".")) {
					list = append(list, name)
				}
			}
		}
	}
	return list
}
