// SPDX-License-Identifier: Apache-2.0

package sni

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
)

// hello is the first flight of Go's own TLS client.
func hello(t testing.TB, name string) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer server.Close()
	go func() {
		tls.Client(client, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake()
		client.Close()
	}()
	buffer := make([]byte, 1<<16)
	n, err := server.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return buffer[:n]
}

// split makes records of at most size bytes out of one.
func split(record []byte, size int) (stream []byte) {
	for body := record[recordHeader:]; len(body) > 0; {
		part := body[:min(size, len(body))]
		stream = append(stream, record[0], record[1], record[2], byte(len(part)>>8), byte(len(part)))
		stream = append(stream, part...)
		body = body[len(part):]
	}
	return stream
}

func TestServerName(t *testing.T) {
	for _, name := range []string{"example.org", "", strings.Repeat("a", 63) + ".test"} {
		whole := hello(t, name)
		for _, stream := range [][]byte{whole, split(whole, 1), split(whole, 100), append(whole[:len(whole):len(whole)], "more"...)} {
			if got, err := ServerName(stream); err != nil || got != name {
				t.Errorf("%q: %q, %v", name, got, err)
			}
		}
		for end := range len(whole) {
			if got, err := ServerName(whole[:end]); !errors.Is(err, ErrMore) {
				t.Fatalf("%d of %d bytes: %q, %v", end, len(whole), got, err)
			}
		}
	}
}

func TestServerNameRefusals(t *testing.T) {
	whole := hello(t, "example.org")
	at := strings.Index(string(whole), "example.org")
	change := func(f func([]byte)) []byte {
		changed := append([]byte(nil), whole...)
		f(changed)
		return changed
	}
	for name, c := range map[string]struct {
		stream []byte
		want   error
	}{
		"HTTP":                            {[]byte("GET / HTTP/1.1\r\n"), ErrNotTLS},
		"SSH":                             {[]byte("SSH-2.0-OpenSSH"), ErrNotTLS},
		"alert":                           {[]byte{21, 3, 3, 0, 2, 1, 0}, ErrNotTLS},
		"SSL 2":                           {[]byte{0x80, 0x2e, 1, 3, 1}, ErrNotTLS},
		"major version":                   {change(func(b []byte) { b[1] = 4 }), ErrNotTLS},
		"server hello":                    {change(func(b []byte) { b[5] = 2 }), ErrMalformed},
		"empty record":                    {[]byte{22, 3, 1, 0, 0}, ErrMalformed},
		"large record":                    {[]byte{22, 3, 1, 0xff, 0xff}, ErrMalformed},
		"large hello":                     {[]byte{22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff}, ErrMalformed},
		"NUL in a name":                   {change(func(b []byte) { b[at] = 0 }), ErrMalformed},
		"space in a name":                 {change(func(b []byte) { b[at+3] = ' ' }), ErrMalformed},
		"byte after ASCII":                {change(func(b []byte) { b[at] = 0xe4 }), ErrMalformed},
		"another name type":               {change(func(b []byte) { b[at-3] = 1 }), ErrMalformed},
		"name too long":                   {change(func(b []byte) { b[at-1] = 200 }), ErrMalformed},
		"two names":                       {change(func(b []byte) { b[at-1] = 1 }), ErrMalformed},
		"another protocol after a record": {append(split(whole, 10)[:15], "GET / HTTP/1.1\r\n"...), ErrMalformed},
		"endless":                         {split(append([]byte{22, 3, 1, 0, 0, 1, 0, 0x7f, 0xff}, make([]byte, 1<<16)...), 1)[:MostHello], ErrMalformed},
	} {
		if got, err := ServerName(c.stream); !errors.Is(err, c.want) || got != "" {
			t.Errorf("%s: %q, %v, not %v", name, got, err, c.want)
		}
	}
}

// FuzzServerName: any bytes give a name or an error; a name is of printable
// characters, and does not depend on how the records are cut, nor on what
// follows.
func FuzzServerName(f *testing.F) {
	f.Add(hello(f, "example.org"))
	f.Add(split(hello(f, "example.org"), 50))
	f.Add([]byte{22, 3, 1, 0, 4, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, stream []byte) {
		name, err := ServerName(stream)
		if err != nil {
			if name != "" {
				t.Errorf("%q and %v", name, err)
			}
			return
		}
		if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) || len(name) > mostServerName {
			t.Errorf("%q", name)
		}
		if again, err := ServerName(append(stream[:len(stream):len(stream)], 0xff)); again != name || err != nil {
			t.Errorf("%q with a byte more is %q, %v", name, again, err)
		}
		body, err := message(stream)
		if err != nil {
			t.Fatal(err)
		}
		length := len(body)
		record := append([]byte{22, 3, 1, 0, 0, typeClientHello, byte(length >> 16), byte(length >> 8), byte(length)}, body...)
		if again, err := ServerName(split(record, 7)); (again != name || err != nil) && 12*len(record)/7 < MostHello {
			t.Errorf("%q cut anew is %q, %v", name, again, err)
		}
	})
}
