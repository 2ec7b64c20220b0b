// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// tryFor is how long one server may take before the next is asked.
const tryFor = 2 * time.Second

// upstream are the host's resolvers, as the file has them at this moment.
type upstream struct {
	path string

	mu      sync.Mutex
	read    stamp // of the file that servers is from
	servers []netip.AddrPort
	first   int // the server that answered last: one that is dead does not delay every query
}

// A stamp tells two states of a file apart, also where it is replaced by a link
// to another one.
type stamp struct {
	device, inode uint64
	size          int64
	changed       time.Time
}

func newUpstream(path string) *upstream {
	if path == "" {
		path = "/etc/resolv.conf"
	}
	return &upstream{path: path}
}

// current gives the servers in the order in which they are to be asked.
func (u *upstream) current() ([]netip.AddrPort, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now, err := stampOf(u.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if now != u.read || u.servers == nil {
		var data []byte
		if err == nil {
			if data, err = os.ReadFile(u.path); err != nil {
				return nil, err
			}
		}
		u.servers, u.first, u.read = nameservers(data), 0, now
	}
	return append(append([]netip.AddrPort(nil), u.servers[u.first:]...), u.servers[:u.first]...), nil
}

// answered remembers the server that did.
func (u *upstream) answered(server netip.AddrPort) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for i, known := range u.servers {
		if known == server {
			u.first = i
		}
	}
}

// nameservers reads the servers, and gives the one on this host where there is
// none, see resolv.conf(5).
func nameservers(data []byte) []netip.AddrPort {
	var servers []netip.AddrPort
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if address, err := netip.ParseAddr(fields[1]); err == nil {
			servers = append(servers, netip.AddrPortFrom(address, 53))
		}
	}
	if len(servers) == 0 {
		servers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53)}
	}
	return servers
}

// exchange asks one server after the other. What it gives is an answer to the
// query, with the query's identifier.
func (u *upstream) exchange(ctx context.Context, query []byte, stream bool) ([]byte, error) {
	servers, err := u.current()
	if err != nil {
		return nil, err
	}
	network := "udp"
	if stream {
		network = "tcp"
	}
	var failing []byte
	for _, server := range servers {
		answer, tryErr := ask(ctx, network, server, query)
		if tryErr != nil {
			err = tryErr
			continue
		}
		switch dnsmessage.RCode(answer[3] & 0xf) {
		case dnsmessage.RCodeServerFailure, dnsmessage.RCodeRefused, dnsmessage.RCodeNotImplemented:
			failing = answer // another one may know more
		default:
			u.answered(server)
			return answer, nil
		}
	}
	if failing != nil {
		return failing, nil
	}
	return nil, err
}

// ask asks one server. The port, which the kernel chooses, and the identifier
// make it hard to answer in the server's place, RFC 5452.
func ask(ctx context.Context, network string, server netip.AddrPort, query []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, network, server.String())
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", server, err)
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return nil, fmt.Errorf("ask %s: %w", server, err)
	}
	question := bytes.Clone(query)
	rand.Read(question[:2]) // crypto/rand does not fail
	if network == "tcp" {
		_, err = c.Write(framed(question))
	} else {
		_, err = c.Write(question)
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", server, err)
	}
	buffer := make([]byte, mostMessage)
	for {
		answer := buffer
		if network == "tcp" {
			answer, err = readFramed(c)
		} else {
			var n int
			n, err = c.Read(buffer)
			answer = buffer[:n]
		}
		if err != nil {
			return nil, fmt.Errorf("answer of %s: %w", server, err)
		}
		if answers(question, answer) {
			copy(answer, query[:2])
			return answer, nil
		}
	}
}

// answers tells whether a message is the answer to a question.
func answers(question, answer []byte) bool {
	if len(answer) < headerSize || !bytes.Equal(question[:2], answer[:2]) || answer[2]&0x80 == 0 {
		return false
	}
	if binary.BigEndian.Uint16(answer[4:]) == 0 {
		return answer[3]&0xf != 0 // some repeat no question in a refusal
	}
	asked, err := questionOf(question)
	if err != nil {
		return false
	}
	told, err := questionOf(answer)
	return err == nil && told.Type == asked.Type && told.Class == asked.Class && strings.EqualFold(told.Name.String(), asked.Name.String())
}

func questionOf(message []byte) (dnsmessage.Question, error) {
	var parser dnsmessage.Parser
	if _, err := parser.Start(message); err != nil {
		return dnsmessage.Question{}, err
	}
	return parser.Question()
}
