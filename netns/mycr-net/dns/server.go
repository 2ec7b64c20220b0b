// SPDX-License-Identifier: Apache-2.0

// Package dns answers the container's queries by the host's resolvers.
//
// Queries go out as they came, and answers come in as they are, but where names
// are restricted: then each is read and made anew.
package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	mostMessage = 1<<16 - 1
	headerSize  = 12
	// mostQueries bounds those that wait for an answer; a further one is dropped,
	// and asked again by the client.
	mostQueries = 512
	// patience is for one query, over all servers; a client has 5 s for each try.
	patience  = 8 * time.Second
	idleTCP   = 10 * time.Second
	plainSize = 512 // of an answer by UDP where the client says nothing, RFC 1035
)

// Names restricts what is answered, see policy.Policy.
type Names interface {
	Restricted() bool
	Name(name string) bool
	Learn(name string, address netip.Addr, ttl time.Duration, byUser bool) bool
}

// A Server answers queries.
type Server struct {
	upstream *upstream
	hosts    hosts
	names    Names
	slots    chan struct{}
}

// New makes a server that asks the resolvers in the file resolvConf, and
// answers for the names in addHosts itself.
func New(resolvConf string, addHosts map[string][]netip.Addr, names Names) *Server {
	return &Server{
		upstream: newUpstream(resolvConf),
		hosts:    newHosts(addHosts),
		names:    names,
		slots:    make(chan struct{}, mostQueries),
	}
}

// ServePacket answers queries by UDP until the socket is closed.
func (s *Server) ServePacket(c net.PacketConn) error {
	buffer := make([]byte, mostMessage)
	for {
		n, from, err := c.ReadFrom(buffer)
		if err != nil {
			return err
		}
		query := append([]byte(nil), buffer[:n]...)
		select {
		case s.slots <- struct{}{}:
		default:
			continue
		}
		go func() {
			defer func() { <-s.slots }()
			if answer := s.answer(query, false); answer != nil {
				c.WriteTo(answer, from) // what does not arrive is asked again
			}
		}()
	}
}

// Serve answers queries by TCP until the listener is closed.
func (s *Server) Serve(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		select {
		case s.slots <- struct{}{}:
		default:
			c.Close()
			continue
		}
		go func() {
			defer func() { <-s.slots }()
			defer c.Close()
			s.serveStream(c)
		}()
	}
}

// serveStream answers one query after the other, RFC 7766.
func (s *Server) serveStream(c net.Conn) {
	for {
		if c.SetDeadline(time.Now().Add(idleTCP)) != nil {
			return
		}
		query, err := readFramed(c)
		if err != nil {
			return
		}
		answer := s.answer(query, true)
		if answer == nil {
			return
		}
		if _, err := c.Write(framed(answer)); err != nil {
			return
		}
	}
}

func readFramed(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, message)
	return message, err
}

func framed(message []byte) []byte {
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(message)), uint16(len(message))), message...)
}

// answer gives the answer to one query; nil where there is none to be given.
func (s *Server) answer(query []byte, stream bool) []byte {
	var parser dnsmessage.Parser
	header, err := parser.Start(query)
	if err != nil || header.Response {
		return nil
	}
	question, err := parser.Question()
	if err != nil || header.OpCode != 0 {
		return refusal(header, nil, dnsmessage.RCodeNotImplemented)
	}
	if _, err := parser.Question(); !errors.Is(err, dnsmessage.ErrSectionDone) {
		return refusal(header, nil, dnsmessage.RCodeFormatError)
	}
	name := strings.ToLower(question.Name.String())
	if !s.names.Name(name) {
		return refusal(header, &question, dnsmessage.RCodeRefused)
	}
	if answer := s.hosts.answer(header, question, s.names); answer != nil {
		return answer
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var answer []byte
	if s.names.Restricted() {
		answer, err = s.restricted(ctx, header, question, name, clientSize(&parser, stream))
	} else {
		answer, err = s.upstream.exchange(ctx, query, stream)
	}
	if err != nil {
		return refusal(header, &question, dnsmessage.RCodeServerFailure)
	}
	return answer
}

// refusal is an answer with nothing but a code.
func refusal(query dnsmessage.Header, question *dnsmessage.Question, code dnsmessage.RCode) []byte {
	message := dnsmessage.Message{Header: dnsmessage.Header{
		ID: query.ID, Response: true, OpCode: query.OpCode, RecursionDesired: query.RecursionDesired,
		RecursionAvailable: true, RCode: code,
	}}
	if question != nil {
		message.Questions = []dnsmessage.Question{*question}
	}
	packed, err := message.Pack()
	if err != nil {
		return nil // not with a question that was read
	}
	return packed
}
