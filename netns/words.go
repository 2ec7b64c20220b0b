// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// ParsePublish reads [ADDR:]HOST:CONTAINER[/tcp|/udp]; HOST and CONTAINER may be
// ranges of the same length, and HOST may be left out for the same port. An
// IPv6 address is in brackets.
func ParsePublish(word string) ([]Port, error) {
	bad := func(why string) ([]Port, error) {
		return nil, fmt.Errorf("--publish %q: %s; it is [ADDR:]HOST:CONTAINER[/udp], as 8080:80", word, why)
	}
	rest, protocol, given := strings.Cut(word, "/")
	if !given {
		protocol = "tcp"
	}
	if protocol != "tcp" && protocol != "udp" {
		return bad("the protocol is neither tcp nor udp")
	}
	var address netip.Addr
	if inside, after, ok := strings.Cut(rest, "]:"); ok && strings.HasPrefix(rest, "[") {
		a, err := netip.ParseAddr(inside[1:])
		if err != nil || !a.Is6() {
			return bad("no IPv6 address is in the brackets")
		}
		address, rest = a, after
	} else if strings.Count(rest, ":") == 2 {
		text, after, _ := strings.Cut(rest, ":")
		if text != "" {
			a, err := netip.ParseAddr(text)
			if err != nil {
				return bad("ADDR is no address of this host")
			}
			address = a
		}
		rest = after
	}
	hostText, containerText, both := strings.Cut(rest, ":")
	if !both {
		containerText = hostText
	}
	host, hostCount, ok := portRange(hostText)
	if !ok {
		return bad("HOST is no port")
	}
	container, count, ok := portRange(containerText)
	if !ok || container == 0 {
		return bad("CONTAINER is no port")
	}
	if hostCount != count {
		return bad("the ranges have different lengths")
	}
	var ports []Port
	for i := range count {
		ports = append(ports, Port{Protocol: protocol, HostAddress: address, HostPort: host + uint16(i), ContainerPort: container + uint16(i)})
	}
	return ports, nil
}

// portRange reads N or N-M.
func portRange(text string) (first uint16, count int, ok bool) {
	low, high, isRange := strings.Cut(text, "-")
	a, err := strconv.ParseUint(low, 10, 16)
	if err != nil {
		return 0, 0, false
	}
	if !isRange {
		return uint16(a), 1, true
	}
	b, err := strconv.ParseUint(high, 10, 16)
	if err != nil || b < a || a == 0 || b-a >= 1024 {
		return 0, 0, false
	}
	return uint16(a), int(b-a) + 1, true
}

// ParseHostEntry reads NAME:ADDR of --add-host.
func ParseHostEntry(word string) (HostEntry, error) {
	name, text, _ := strings.Cut(word, ":")
	address, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil || !isName(name) {
		return HostEntry{}, fmt.Errorf("--add-host %q: it is NAME:ADDR, as db:10.0.0.5", word)
	}
	return HostEntry{name, address}, nil
}

// ParseAllowHost reads NAME[:PORT] of --allow-host.
func ParseAllowHost(word string) (AllowHost, error) {
	name, text, given := strings.Cut(word, ":")
	h := AllowHost{Name: strings.ToLower(strings.TrimSuffix(name, "."))}
	if _, err := netip.ParseAddr(name); err == nil {
		return h, refuse("--allow-net "+word, "--allow-host %q is an address", word)
	}
	ports, err := somePorts(text, given)
	if err != nil || !isName(strings.TrimPrefix(h.Name, "*.")) {
		return h, fmt.Errorf("--allow-host %q: it is NAME[:PORT], as example.org:443, or *.example.org for the names below", word)
	}
	h.Ports = ports
	return h, nil
}

// ParseAllowNet reads CIDR[:PORT] of --allow-net; an address alone is a CIDR, too.
func ParseAllowNet(word string) (AllowNet, error) {
	bad := fmt.Errorf("--allow-net %q: it is CIDR[:PORT], as 10.1.0.0/16:5432 or [fd00::]/8:5432", word)
	text, portText, given := word, "", false
	if strings.HasPrefix(word, "[") || strings.Count(word, ":") < 2 {
		if i := strings.LastIndexByte(word, ':'); i > strings.LastIndexByte(word, ']') && i > 0 {
			text, portText, given = word[:i], word[i+1:], true
		}
		text = strings.NewReplacer("[", "", "]", "").Replace(text)
	}
	prefix, err := parsePrefix(text)
	if err != nil {
		return AllowNet{}, bad
	}
	ports, err := somePorts(portText, given)
	if err != nil {
		return AllowNet{}, bad
	}
	return AllowNet{Prefix: prefix, Ports: ports}, nil
}

// ParseDenyNet reads CIDR of --deny-net.
func ParseDenyNet(word string) (netip.Prefix, error) {
	prefix, err := parsePrefix(word)
	if err != nil {
		return prefix, fmt.Errorf("--deny-net %q: it is a CIDR, as 10.0.0.0/8", word)
	}
	return prefix, nil
}

func parsePrefix(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	return prefix.Masked(), err
}

func somePorts(text string, given bool) ([]uint16, error) {
	if !given {
		return nil, nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("%q is no port", text)
	}
	return []uint16{uint16(port)}, nil
}

// isName tells whether a text is a host name (RFC 1123), underscores tolerated.
func isName(text string) bool {
	if text == "" || len(text) > 253 {
		return false
	}
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}
