// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// only allows one name.
type only string

func (only) Restricted() bool                                   { return true }
func (o only) Name(name string) bool                            { return name == string(o) }
func (only) Learn(string, netip.Addr, time.Duration, bool) bool { return true }

func query(t testing.TB, name string, kind dnsmessage.Type) []byte {
	t.Helper()
	packed, err := (&dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 0x1234, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}).Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// FuzzQuery: whatever a container sends, the answer is none, or one to it.
func FuzzQuery(f *testing.F) {
	server := New(filepath.Join(f.TempDir(), "none"), map[string][]netip.Addr{"mine.test": {netip.MustParseAddr("192.0.2.1")}}, only("mine.test."))
	f.Add(query(f, "mine.test.", dnsmessage.TypeA))
	f.Add(query(f, "mine.test.", dnsmessage.TypeAAAA))
	f.Add(query(f, "other.test.", dnsmessage.TypeHTTPS))
	f.Add([]byte{0, 1, 0x28, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, message []byte) {
		answer := server.answer(message, false)
		if answer == nil {
			return
		}
		var parsed dnsmessage.Message
		if err := parsed.Unpack(answer); err != nil {
			t.Fatalf("the answer is malformed: %v", err)
		}
		if !parsed.Response || !bytes.Equal(answer[:2], message[:2]) {
			t.Errorf("not an answer: %+v", parsed.Header)
		}
		for _, one := range parsed.Answers {
			if a, ok := one.Body.(*dnsmessage.AResource); !ok || a.A != [4]byte{192, 0, 2, 1} {
				t.Errorf("%+v", one)
			}
		}
	})
}

// TestDotInALabel: the name of such a message reads as an allowed one.
func TestDotInALabel(t *testing.T) {
	server := New("", nil, only("mine.test."))
	message := append([]byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 9}, "mine.test\x00\x00\x01\x00\x01"...)
	if answer := server.answer(message, false); answer == nil || dnsmessage.RCode(answer[3]&0xf) == dnsmessage.RCodeSuccess {
		t.Errorf("answer %x", answer)
	}
}

// TestAnswersOnlyTheQuestion: a forged answer has to guess more than a port.
func TestAnswersOnlyTheQuestion(t *testing.T) {
	question := query(t, "mine.test.", dnsmessage.TypeA)
	good := bytes.Clone(question)
	good[2] |= 0x80
	for name, c := range map[string]struct {
		change func([]byte)
		want   bool
	}{
		"the answer":         {func([]byte) {}, true},
		"other case":         {func(b []byte) { b[13] = 'M' }, true},
		"identifier":         {func(b []byte) { b[0]++ }, false},
		"not an answer":      {func(b []byte) { b[2] &^= 0x80 }, false},
		"another name":       {func(b []byte) { b[13] = 'x' }, false},
		"another type":       {func(b []byte) { b[len(b)-3] = 28 }, false},
		"no question":        {func(b []byte) { b[5] = 0 }, false},
		"refusal without it": {func(b []byte) { b[5] = 0; b[3] = 5 }, true},
	} {
		answer := bytes.Clone(good)
		c.change(answer)
		if got := answers(question, answer); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	for end := range len(good) {
		if answers(question, good[:end]) && end < headerSize {
			t.Errorf("%d bytes are an answer", end)
		}
	}
}

func TestNameservers(t *testing.T) {
	for text, want := range map[string][]string{
		"": {"127.0.0.1:53"},
		"# nothing\nsearch example.org\noptions edns0\n": {"127.0.0.1:53"},
		"nameserver 192.0.2.1\nnameserver  2001:db8::1 \n;nameserver 192.0.2.9\nnameserver fe80::1%eth0\nnameserver nonsense\nnameserver\n": {
			"192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%eth0]:53"},
	} {
		var got []string
		for _, server := range nameservers([]byte(text)) {
			got = append(got, server.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
	}
}

// TestFileThatIsMissing: as the C library does, the resolver of this host is
// asked then; and the file is read as soon as it is there.
func TestFileThatIsMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	u := newUpstream(path)
	if got, err := u.current(); err != nil || got[0] != netip.MustParseAddrPort("127.0.0.1:53") {
		t.Errorf("%v, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("nameserver 192.0.2.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := u.current(); err != nil || got[0] != netip.MustParseAddrPort("192.0.2.1:53") {
		t.Errorf("%v, %v", got, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := u.current(); err == nil {
		t.Errorf("a directory: %v", got)
	}
	if _, err := u.exchange(context.Background(), query(t, "mine.test.", dnsmessage.TypeA), false); err == nil {
		t.Error("an exchange without servers")
	}
}
