// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// largeAnswer is how many addresses large.test has: more than one datagram holds.
const largeAnswer = 200

// names is what the servers know. which.test is another address with each of them, and so tells who was asked.
var names = map[string][]string{
	"allowed.test.": {worldA, worldA6},
	"denied.test.":  {worldB, worldB6},
	"rebind.test.":  {"127.0.0.1", "10.9.0.254", metadataAddress, "::1", "fd09::fe"},
	"host.test.":    {hostAddress},
}

func serveDNS(address string) {
	own := netip.MustParseAddr(address)
	datagrams, err := net.ListenPacket("udp", join(address, 53))
	if err == nil {
		var l net.Listener
		if l, err = net.Listen("tcp", join(address, 53)); err == nil {
			go serveDNSByTCP(l, own)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := datagrams.ReadFrom(buffer)
		if err != nil {
			continue
		}
		if reply := answer(buffer[:n], own, true); reply != nil {
			datagrams.WriteTo(reply, from)
		}
	}
}

func serveDNSByTCP(l net.Listener, own netip.Addr) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for {
				query, err := readDNS(c)
				if err != nil {
					return
				}
				writeDNS(c, answer(query, own, false))
			}
		}()
	}
}

// readDNS and writeDNS have the length before the message, see RFC 1035 section 4.2.2.
func readDNS(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, message)
	return message, err
}

func writeDNS(w io.Writer, message []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...))
	return err
}

func answer(query []byte, own netip.Addr, datagram bool) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	limit := 512
	for _, extra := range m.Additionals {
		if extra.Header.Type == dnsmessage.TypeOPT {
			limit = max(limit, int(extra.Header.Class))
		}
	}
	q := m.Questions[0]
	reply := dnsmessage.Message{
		Header: dnsmessage.Header{ID: m.ID, Response: true, RecursionDesired: m.RecursionDesired, RecursionAvailable: true,
			Authoritative: true},
		Questions: m.Questions,
	}
	addresses, known := addressesOf(strings.ToLower(q.Name.String()), own)
	if !known {
		reply.RCode = dnsmessage.RCodeNameError
	}
	for _, address := range addresses {
		var body dnsmessage.ResourceBody
		switch {
		case q.Type == dnsmessage.TypeA && address.Is4():
			body = &dnsmessage.AResource{A: address.As4()}
		case q.Type == dnsmessage.TypeAAAA && address.Is6():
			body = &dnsmessage.AAAAResource{AAAA: address.As16()}
		default:
			continue
		}
		reply.Answers = append(reply.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: dnsmessage.ClassINET, TTL: 1},
			Body:   body,
		})
	}
	packed, err := reply.Pack()
	if err != nil {
		return nil
	}
	if datagram && len(packed) > limit {
		reply.Truncated, reply.Answers = true, nil
		packed, _ = reply.Pack()
	}
	return packed
}

func addressesOf(name string, own netip.Addr) ([]netip.Addr, bool) {
	switch name {
	case "which.test.":
		// As an address that nobody takes for a private one: the resolver on the loopback too.
		last := own.As4()
		return []netip.Addr{netip.AddrFrom4([4]byte{198, 51, 100, last[0]})}, true
	case "large.test.":
		var many []netip.Addr
		for i := range largeAnswer {
			many = append(many, netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}))
		}
		return many, true
	}
	var addresses []netip.Addr
	list, known := names[name]
	for _, text := range list {
		addresses = append(addresses, netip.MustParseAddr(text))
	}
	return addresses, known
}
