// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// hostsTTL is short, since nothing is saved by a longer one.
const hostsTTL = 60

// hosts are the names that the user gave addresses to.
type hosts map[string][]netip.Addr

func newHosts(given map[string][]netip.Addr) hosts {
	h := hosts{}
	for name, addresses := range given {
		h[strings.ToLower(strings.TrimSuffix(name, "."))+"."] = addresses
	}
	return h
}

// answer answers for such a name, also that it has no record of another type.
// It gives nil where the name is another one.
func (h hosts) answer(query dnsmessage.Header, question dnsmessage.Question, names Names) []byte {
	name := strings.ToLower(question.Name.String())
	addresses, known := h[name]
	if !known || question.Class != dnsmessage.ClassINET {
		return nil
	}
	message := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: query.ID, Response: true, Authoritative: true, RecursionDesired: query.RecursionDesired, RecursionAvailable: true,
		},
		Questions: []dnsmessage.Question{question},
	}
	for _, address := range addresses {
		resource := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{
			Name: question.Name, Class: dnsmessage.ClassINET, TTL: hostsTTL,
		}}
		switch {
		case address.Is4() && question.Type == dnsmessage.TypeA:
			resource.Body = &dnsmessage.AResource{A: address.As4()}
		case address.Is6() && question.Type == dnsmessage.TypeAAAA:
			resource.Body = &dnsmessage.AAAAResource{AAAA: address.As16()}
		default:
			continue
		}
		if names.Learn(name, address, 0, true) {
			message.Answers = append(message.Answers, resource)
		}
	}
	packed, err := message.Pack()
	if err != nil {
		return nil // more addresses than a message has room for
	}
	return packed
}
