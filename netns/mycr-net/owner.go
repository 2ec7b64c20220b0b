// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// owner tells who listens where we wanted to, as "nginx (pid 123)"; "" where
// that cannot be seen, as with another user's processes.
func owner(protocol string, wanted netip.AddrPort) string {
	for _, table := range []string{protocol, protocol + "6"} {
		data, err := os.ReadFile("/proc/net/" + table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if inode := takenBy(line, protocol, wanted); inode != "" {
				if who := holder(inode); who != "" {
					return who
				}
			}
		}
	}
	return ""
}

// takenBy gives the inode of a line of /proc/net/tcp or udp, see proc(5),
// that takes the address.
func takenBy(line, protocol string, wanted netip.AddrPort) string {
	fields := strings.Fields(line)
	if len(fields) < 10 {
		return ""
	}
	const stateListen = "0A"
	local, ok := parseSocketAddress(fields[1])
	if !ok || local.Port() != wanted.Port() || protocol == "tcp" && fields[3] != stateListen {
		return ""
	}
	a, b := local.Addr(), wanted.Addr()
	if a.IsUnspecified() || b.IsUnspecified() || a.Unmap() == b.Unmap() {
		return fields[9]
	}
	return ""
}

// parseSocketAddress reads 0100007F:1F90: each four bytes are a number as the
// processor has it.
func parseSocketAddress(text string) (netip.AddrPort, bool) {
	address, port, _ := strings.Cut(text, ":")
	words, err := hex.DecodeString(address)
	number, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(words)%4 != 0 {
		return netip.AddrPort{}, false
	}
	bytes := make([]byte, len(words))
	for i := 0; i < len(words); i += 4 {
		binary.NativeEndian.PutUint32(bytes[i:], binary.BigEndian.Uint32(words[i:]))
	}
	ip, ok := netip.AddrFromSlice(bytes)
	return netip.AddrPortFrom(ip, uint16(number)), ok
}

// holder looks for the process that has a socket.
func holder(inode string) string {
	descriptors, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, descriptor := range descriptors {
		if target, err := os.Readlink(descriptor); err != nil || target != "socket:["+inode+"]" {
			continue
		}
		pid := strings.Split(descriptor, "/")[2]
		name, err := os.ReadFile("/proc/" + pid + "/comm")
		if err != nil {
			continue
		}
		return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(name)), pid)
	}
	return ""
}
