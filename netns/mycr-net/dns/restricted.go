// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// upstreamSize is what we ask a server for at once by UDP. It arrives without
// fragments on any network, see dnsflagday.net/2020.
const upstreamSize = 1232

// clientSize is the size of answer that a client takes: without limit by TCP,
// by UDP what an OPT record says, RFC 6891.
func clientSize(parser *dnsmessage.Parser, stream bool) int {
	if stream {
		return mostMessage
	}
	if parser.SkipAllQuestions() != nil || parser.SkipAllAnswers() != nil || parser.SkipAllAuthorities() != nil {
		return plainSize
	}
	for {
		header, err := parser.AdditionalHeader()
		if err != nil {
			return plainSize
		}
		if header.Type == dnsmessage.TypeOPT {
			return max(plainSize, int(header.Class))
		}
		if parser.SkipAdditional() != nil {
			return plainSize
		}
	}
}

// restricted asks for an allowed name. The query is made anew, so that nothing
// but the name leaves, and the answer, so that no address comes in that may not
// be connected to.
func (s *Server) restricted(ctx context.Context, client dnsmessage.Header, question dnsmessage.Question, name string, size int) ([]byte, error) {
	if unaskable(question) {
		return refusal(client, &question, dnsmessage.RCodeSuccess), nil
	}
	query, err := anew(client.ID, question)
	if err != nil {
		return nil, err
	}
	answer, err := s.upstream.exchange(ctx, query, false)
	if err == nil && answer[2]&0x02 != 0 { // truncated
		answer, err = s.upstream.exchange(ctx, query, true)
	}
	if err != nil {
		return nil, err
	}
	var message dnsmessage.Message
	if err := message.Unpack(answer); err != nil {
		return nil, fmt.Errorf("answer for %s: %w", name, err)
	}
	message.Questions = []dnsmessage.Question{question}
	message.Answers = s.keep(message.Answers, name)
	message.Additionals = nil
	message.AuthenticData = false // some records may be missing
	packed, err := message.Pack()
	if err != nil {
		return nil, fmt.Errorf("answer for %s: %w", name, err)
	}
	if len(packed) > size {
		message.Answers, message.Authorities, message.Truncated = nil, nil, true
		return message.Pack()
	}
	return packed, nil
}

// unaskable are types that hold addresses, or what hides a name from a look at
// a TLS hello (SVCB and HTTPS, RFC 9460), and those that ask for everything.
func unaskable(question dnsmessage.Question) bool {
	switch question.Type {
	case dnsmessage.TypeSVCB, dnsmessage.TypeHTTPS, dnsmessage.TypeALL, dnsmessage.TypeAXFR:
		return true
	}
	return question.Class != dnsmessage.ClassINET
}

func anew(id uint16, question dnsmessage.Question) ([]byte, error) {
	builder := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: id, RecursionDesired: true})
	var opt dnsmessage.ResourceHeader
	err := errors.Join(
		opt.SetEDNS0(upstreamSize, dnsmessage.RCodeSuccess, false),
		builder.StartQuestions(),
		builder.Question(question),
		builder.StartAdditionals(),
		builder.OPTResource(opt, dnsmessage.OPTResource{}),
	)
	if err != nil {
		return nil, err
	}
	return builder.Finish()
}

// keep removes the addresses that the policy does not take, and has it learn
// the others.
func (s *Server) keep(answers []dnsmessage.Resource, name string) []dnsmessage.Resource {
	var kept []dnsmessage.Resource
	for _, one := range answers {
		var address netip.Addr
		switch body := one.Body.(type) {
		case *dnsmessage.AResource:
			address = netip.AddrFrom4(body.A)
		case *dnsmessage.AAAAResource:
			address = netip.AddrFrom16(body.AAAA)
		}
		if !address.IsValid() || s.names.Learn(name, address, time.Duration(one.Header.TTL)*time.Second, false) {
			kept = append(kept, one)
		}
	}
	return kept
}
