// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"mycr/linux"
)

// addressesOf are those that pasta has copied into the namespace of a process,
// but for link-local ones; none where the kernel does not tell.
func addressesOf(pid int) []netip.Prefix {
	var list []netip.Prefix
	if text, err := linux.ReadFile(fmt.Sprintf("/proc/%d/net/fib_trie", pid)); err == nil {
		routes, _ := linux.ReadFile(fmt.Sprintf("/proc/%d/net/route", pid))
		for _, a := range localIPv4(string(text)) {
			list = append(list, netip.PrefixFrom(a, prefixBits(string(routes), a)))
		}
	}
	if text, err := linux.ReadFile(fmt.Sprintf("/proc/%d/net/if_inet6", pid)); err == nil {
		list = append(list, globalIPv6(string(text))...)
	}
	return list
}

// localIPv4 are the host routes of type LOCAL in /proc/net/fib_trie, which is a tree in lines.
func localIPv4(text string) []netip.Addr {
	var list []netip.Addr
	var last netip.Addr
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[0] == "|--":
			last, _ = netip.ParseAddr(f[1])
		case len(f) == 3 && f[0] == "/32" && f[2] == "LOCAL" && last.IsValid() && !last.IsLoopback():
			if !slices.Contains(list, last) { // there is a tree for each of two tables
				list = append(list, last)
			}
		}
	}
	return list
}

// prefixBits is the length of the connected route of /proc/net/route that has the address, 32 without one.
func prefixBits(text string, a netip.Addr) int {
	four := a.As4()
	number := binary.NativeEndian.Uint32(four[:])
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 || f[2] != "00000000" {
			continue
		}
		network, err := strconv.ParseUint(f[1], 16, 32)
		mask, merr := strconv.ParseUint(f[7], 16, 32)
		if err == nil && merr == nil && mask != 0 && number&uint32(mask) == uint32(network) {
			return bits.OnesCount32(uint32(mask))
		}
	}
	return 32
}

// globalIPv6 reads lines of /proc/net/if_inet6: address, device, length, scope (0 is global), flags, name.
func globalIPv6(text string) []netip.Prefix {
	var list []netip.Prefix
	for line := range bytes.Lines([]byte(text)) {
		f := bytes.Fields(line)
		if len(f) != 6 || string(f[3]) != "00" || string(f[5]) == "lo" {
			continue
		}
		raw, err := hex.DecodeString(string(f[0]))
		length, lerr := strconv.ParseUint(string(f[2]), 16, 8)
		if a, ok := netip.AddrFromSlice(raw); err == nil && lerr == nil && ok {
			list = append(list, netip.PrefixFrom(a, int(length)))
		}
	}
	return list
}
