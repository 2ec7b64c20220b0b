// SPDX-License-Identifier: Apache-2.0

package container

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

type wired struct {
	B     bool
	I     int
	U     uint64
	S     string
	P     *int32
	L     []string
	Empty []string
	Nil   []string
	A     [3]uint16
	M     map[string]specs.LinuxTimeOffset
	Deep  []struct{ X *wired }
}

func TestOrdersCodecRoundTrip(t *testing.T) {
	n := int32(-7)
	in := wired{B: true, I: -1 << 40, U: 1<<64 - 1, S: "a\x00b", P: &n, L: []string{"", "x"}, Empty: []string{},
		A: [3]uint16{1, 2, 65535}, M: map[string]specs.LinuxTimeOffset{"boottime": {Secs: -1}, "monotonic": {Nanosecs: 9}},
		Deep: []struct{ X *wired }{{&wired{S: "inner"}}, {nil}}}
	var out wired
	if err := unmarshal(marshal(&in), &out); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(in, out); d != "" {
		t.Fatal(d)
	}
}

// Every prefix of a message, and a message with something behind it, is an error.
func TestOrdersCodecRefusesDamage(t *testing.T) {
	b := marshal(&wired{S: "text", L: []string{"a", "b"}})
	for i := range b {
		var out wired
		if unmarshal(b[:i], &out) == nil {
			t.Errorf("prefix of %d of %d bytes was taken", i, len(b))
		}
	}
	var out wired
	if unmarshal(append(b, 0), &out) == nil {
		t.Error("left-over byte was taken")
	}
}

// The orders themselves are plain data: encoding them does not panic.
func TestOrdersArePlainData(t *testing.T) {
	in := Orders{Version: ordersVersion, ID: "x", Sysctls: []Sysctl{{"a.b", "a/b", "1"}}}
	var out Orders
	if err := unmarshal(marshal(&in), &out); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(in, out); d != "" {
		t.Fatal(d)
	}
	var base execBase
	if err := unmarshal(marshal(&execBase{Version: 1}), &base); err != nil {
		t.Fatal(err)
	}
}

// What the other side has said is heard, also when it has ended without hearing us.
func TestHearAfterAReset(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	if err := say(pair[0], wordMapped, nil); err != nil {
		t.Fatal(err)
	}
	if err := say(pair[1], wordFault, []byte("why")); err != nil {
		t.Fatal(err)
	}
	unix.Close(pair[1])
	if m, err := hear(pair[0]); err != nil || m.word != wordFault || string(m.rest) != "why" {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := hear(pair[0]); err != errSilent {
		t.Errorf("at the end: %v", err)
	}
}

func FuzzOrdersDecoder(f *testing.F) {
	f.Add(marshal(&wired{S: "text", L: []string{"a"}, M: map[string]specs.LinuxTimeOffset{"x": {}}}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		var out wired
		if unmarshal(b, &out) == nil {
			var again wired
			if err := unmarshal(marshal(&out), &again); err != nil {
				t.Fatal(err)
			}
		}
	})
}
