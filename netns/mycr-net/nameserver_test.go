// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// A nameserver answers from a table, by UDP and TCP, on a port 53 of the host
// or the world.
type nameserver struct {
	mu      sync.Mutex
	table   map[string][]netip.Addr
	ttl     uint32
	code    dnsmessage.RCode
	queries []string // "udp name."
}

// startNameserver serves on address, in the host where where is nil.
func startNameserver(t testing.TB, where *namespace, address string, table map[string][]netip.Addr) *nameserver {
	t.Helper()
	s := &nameserver{table: table, ttl: 60}
	var packets net.PacketConn
	var streams net.Listener
	var err error
	listen := func() {
		at := net.JoinHostPort(address, "53")
		if packets, err = net.ListenPacket("udp", at); err == nil {
			streams, err = net.Listen("tcp", at)
		}
	}
	if where == nil {
		listen()
	} else {
		where.do(listen)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close(); streams.Close() })
	go func() {
		buffer := make([]byte, 1<<16)
		for {
			n, from, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			if answer := s.answer("udp", buffer[:n]); answer != nil {
				packets.WriteTo(answer, from)
			}
		}
	}()
	go func() {
		for {
			c, err := streams.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for {
					var size [2]byte
					if _, err := io.ReadFull(c, size[:]); err != nil {
						return
					}
					query := make([]byte, binary.BigEndian.Uint16(size[:]))
					if _, err := io.ReadFull(c, query); err != nil {
						return
					}
					answer := s.answer("tcp", query)
					c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
				}
			}()
		}
	}()
	return s
}

func (s *nameserver) answer(network string, query []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var message dnsmessage.Message
	if message.Unpack(query) != nil || len(message.Questions) != 1 {
		return nil
	}
	question := message.Questions[0]
	name := strings.ToLower(question.Name.String())
	s.queries = append(s.queries, network+" "+name)
	message.Response, message.RecursionAvailable, message.RCode = true, true, s.code
	message.Additionals = nil
	addresses, known := s.table[strings.TrimSuffix(name, ".")]
	if !known && s.code == 0 {
		message.RCode = dnsmessage.RCodeNameError
	}
	for _, address := range addresses {
		resource := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: s.ttl}}
		switch {
		case address.Is4() && question.Type == dnsmessage.TypeA:
			resource.Body = &dnsmessage.AResource{A: address.As4()}
		case address.Is6() && question.Type == dnsmessage.TypeAAAA:
			resource.Body = &dnsmessage.AAAAResource{AAAA: address.As16()}
		default:
			continue
		}
		message.Answers = append(message.Answers, resource)
	}
	packed, err := message.Pack()
	if err != nil {
		return nil
	}
	if network == "udp" && len(packed) > 512 {
		message.Answers, message.Truncated = nil, true
		packed, _ = message.Pack()
	}
	return packed
}

func (s *nameserver) change(f func(*nameserver)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// resolvConf writes a file that names servers.
func resolvConf(t testing.TB, servers ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "resolv.conf")
	writeResolvConf(t, path, servers...)
	return path
}

func writeResolvConf(t testing.TB, path string, servers ...string) {
	t.Helper()
	text := "# made by a test\n"
	for _, server := range servers {
		text += "nameserver " + server + "\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A reply is what a query was answered with.
type reply struct {
	dnsmessage.RCode
	truncated bool
	addresses []netip.Addr
}

// lookup asks one of mycr-net's DNS addresses, or another server, out of the
// container.
func (c *container) lookup(t testing.TB, network, server, name string, kind dnsmessage.Type) (reply, error) {
	t.Helper()
	conn, err := c.dial(network, net.JoinHostPort(server, "53"))
	if err != nil {
		return reply{}, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(limit / 2))
	id := uint16(rand.Uint32())
	query, err := (&dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name + "."), Type: kind, Class: dnsmessage.ClassINET}},
	}).Pack()
	if err != nil {
		t.Fatal(err)
	}
	if network == "tcp" {
		query = append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)
	}
	if _, err := conn.Write(query); err != nil {
		return reply{}, err
	}
	packet := make([]byte, 1<<16)
	if network == "tcp" {
		if _, err := io.ReadFull(conn, packet[:2]); err != nil {
			return reply{}, err
		}
		packet = packet[:binary.BigEndian.Uint16(packet)]
		if _, err := io.ReadFull(conn, packet); err != nil {
			return reply{}, err
		}
	} else {
		n, err := conn.Read(packet)
		if err != nil {
			return reply{}, err
		}
		packet = packet[:n]
	}
	var message dnsmessage.Message
	if err := message.Unpack(packet); err != nil {
		return reply{}, err
	}
	if message.ID != id || !message.Response {
		return reply{}, fmt.Errorf("not the answer: %+v", message.Header)
	}
	r := reply{RCode: message.RCode, truncated: message.Truncated}
	for _, one := range message.Answers {
		switch body := one.Body.(type) {
		case *dnsmessage.AResource:
			r.addresses = append(r.addresses, netip.AddrFrom4(body.A))
		case *dnsmessage.AAAAResource:
			r.addresses = append(r.addresses, netip.AddrFrom16(body.AAAA))
		}
	}
	return r, nil
}

// wantAddresses looks a name up and compares.
func (c *container) wantAddresses(t testing.TB, name string, kind dnsmessage.Type, want ...string) {
	t.Helper()
	got, err := c.lookup(t, "udp", "10.0.2.3", name, kind)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if text := fmt.Sprint(got.addresses); text != fmt.Sprint(want) {
		t.Errorf("%s: %s %s, want %s", name, got.RCode, text, want)
	}
}

func addresses(list ...string) (parsed []netip.Addr) {
	for _, one := range list {
		parsed = append(parsed, netip.MustParseAddr(one))
	}
	return parsed
}
