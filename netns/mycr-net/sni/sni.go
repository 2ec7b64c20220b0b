// SPDX-License-Identifier: Apache-2.0

// Package sni reads the server name from the first message of a TLS client.
//
// See RFC 8446 sections 4.1.2, 4.2 and 5.1, RFC 6066 section 3.
package sni

import (
	"errors"

	"golang.org/x/crypto/cryptobyte"
)

// MostHello bounds what is read for one ClientHello. Those with post-quantum
// keys and a resumed session have two kilobytes.
const MostHello = 32 << 10

const (
	recordHeader     = 5
	mostRecord       = 1 << 14
	typeHandshake    = 22
	typeClientHello  = 1
	extensionName    = 0
	nameTypeHost     = 0
	handshakeHeader  = 4
	mostServerName   = 255
	versionMajorByte = 3
)

var (
	// ErrMore says that the hello is not complete.
	ErrMore = errors.New("the hello is not complete")
	// ErrNotTLS says that this is another protocol.
	ErrNotTLS = errors.New("not a TLS hello")
	// ErrMalformed says that this looked like a hello at first.
	ErrMalformed = errors.New("malformed TLS hello")
)

// ServerName is the name that the stream's first bytes ask for, "" where they
// ask for none. A hello may be split over records, and the stream over reads:
// then the error is ErrMore.
func ServerName(stream []byte) (string, error) {
	hello, err := message(stream)
	if err != nil {
		return "", err
	}
	return nameOf(hello)
}

// message joins the records that hold the first handshake message, and gives
// its body.
func message(stream []byte) ([]byte, error) {
	var joined []byte
	for rest := stream; ; {
		switch {
		case len(rest) > 0 && rest[0] != typeHandshake, len(rest) > 1 && rest[1] != versionMajorByte:
			if len(joined) > 0 {
				return nil, ErrMalformed
			}
			return nil, ErrNotTLS
		case len(rest) < recordHeader:
			return nil, more(stream)
		}
		size := int(rest[3])<<8 | int(rest[4])
		if size == 0 || size > mostRecord {
			return nil, ErrMalformed
		}
		rest = rest[recordHeader:]
		joined = append(joined, rest[:min(size, len(rest))]...)
		if len(joined) > 0 && joined[0] != typeClientHello {
			return nil, ErrMalformed
		}
		if len(joined) >= handshakeHeader {
			length := int(joined[1])<<16 | int(joined[2])<<8 | int(joined[3])
			if length > MostHello {
				return nil, ErrMalformed
			}
			if len(joined) >= handshakeHeader+length {
				return joined[handshakeHeader : handshakeHeader+length], nil
			}
		}
		if len(rest) < size {
			return nil, more(stream)
		}
		rest = rest[size:]
	}
}

// more is ErrMore as long as there is room for more.
func more(stream []byte) error {
	if len(stream) >= MostHello {
		return ErrMalformed
	}
	return ErrMore
}

func nameOf(hello cryptobyte.String) (string, error) {
	var session, suites, compression, extensions cryptobyte.String
	if !hello.Skip(2+32) || // version, random
		!hello.ReadUint8LengthPrefixed(&session) ||
		!hello.ReadUint16LengthPrefixed(&suites) ||
		!hello.ReadUint8LengthPrefixed(&compression) {
		return "", ErrMalformed
	}
	if hello.Empty() {
		return "", nil // no extensions, as before RFC 3546
	}
	if !hello.ReadUint16LengthPrefixed(&extensions) || !hello.Empty() {
		return "", ErrMalformed
	}
	name, seen := "", false
	for !extensions.Empty() {
		var kind uint16
		var data cryptobyte.String
		if !extensions.ReadUint16(&kind) || !extensions.ReadUint16LengthPrefixed(&data) {
			return "", ErrMalformed
		}
		if kind != extensionName {
			continue
		}
		if seen {
			return "", ErrMalformed // a server might take the other one
		}
		seen = true
		var ok bool
		if name, ok = hostName(data); !ok {
			return "", ErrMalformed
		}
	}
	return name, nil
}

// hostName reads a list of exactly one name: RFC 6066 allows one of a type, and
// there is one type.
func hostName(data cryptobyte.String) (string, bool) {
	var list, name cryptobyte.String
	var kind uint8
	if !data.ReadUint16LengthPrefixed(&list) || !data.Empty() ||
		!list.ReadUint8(&kind) || kind != nameTypeHost ||
		!list.ReadUint16LengthPrefixed(&name) || !list.Empty() ||
		len(name) == 0 || len(name) > mostServerName {
		return "", false
	}
	for _, b := range name {
		if b <= ' ' || b >= 0x7f {
			return "", false
		}
	}
	return string(name), true
}
