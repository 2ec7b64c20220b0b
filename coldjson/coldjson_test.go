// SPDX-License-Identifier: Apache-2.0

package coldjson

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
)

type word string

type inner struct {
	Name   string `json:"name"`
	Number uint16 `json:"number,omitempty"`
}

type addresses struct {
	Address  netip.Addr       `json:"address"`
	Zero     netip.Addr       `json:"zero,omitzero"`
	Prefixes []netip.Prefix   `json:"prefixes"`
	Port     *netip.AddrPort  `json:"port,omitempty"`
	ByName   map[string]inner `json:"byName"`
}

// outer has what Marshal takes, with each option.
type outer struct {
	Bool     bool              `json:"bool"`
	Maybe    bool              `json:"maybe,omitempty"`
	Int      int               `json:"int"`
	Small    int8              `json:"small,omitempty"`
	Big      uint64            `json:"big"`
	Text     string            `json:"text"`
	Word     word              `json:"word,omitempty"`
	Texts    []string          `json:"texts"`
	Few      []word            `json:"few,omitempty"`
	Inner    inner             `json:"inner"`
	Empty    inner             `json:"empty,omitempty"`
	NotZero  inner             `json:"notZero,omitzero"`
	Pointer  *inner            `json:"pointer"`
	Number   *int64            `json:"number,omitempty"`
	Inners   []inner           `json:"inners,omitempty"`
	Pointers []*inner          `json:"pointers"`
	Table    map[string]string `json:"table"`
	Numbers  map[word]uint64   `json:"numbers,omitempty"`
	Lists    map[string][]int  `json:"lists,omitempty"`
	Unnamed  string
	Left     string `json:"-"`
}

func same(t *testing.T, v any, fresh func() any) bool {
	t.Helper()
	want, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Marshal(v)
	if err != nil || string(got) != string(want) {
		t.Errorf("Marshal: %v\n got %s\nwant %s", err, got, want)
		return false
	}
	pretty, _ := json.MarshalIndent(v, "", "  ")
	if got, err = MarshalIndent(v, "  "); err != nil || string(got) != string(pretty) {
		t.Errorf("MarshalIndent: %v\n got %s\nwant %s", err, got, pretty)
		return false
	}
	theirs, ours := fresh(), fresh()
	if err := json.Unmarshal(pretty, theirs); err != nil {
		t.Fatal(err)
	}
	if err := Unmarshal(pretty, ours); err != nil || !reflect.DeepEqual(ours, theirs) {
		t.Errorf("Unmarshal: %v\n got %+v\nwant %+v\nof %s", err, ours, theirs, want)
		return false
	}
	return true
}

func TestAsEncodingJSON(t *testing.T) {
	check := func(v outer) bool { return same(t, &v, func() any { return new(outer) }) }
	if err := quick.Check(check, &quick.Config{MaxCount: 500}); err != nil {
		t.Error(err)
	}
	same(t, struct {
		A      int
		hidden string
	}{1, "x"}, func() any { return new(inner) })
	check(outer{Text: "<&> \" \\ \n \x00 \u2028 \xff ü", Table: map[string]string{"<": "", "a\n": "é"}, Few: []word{}, Lists: map[string][]int{"a": nil, "b": {}}})
	port := netip.MustParseAddrPort("[::1]:80")
	same(t, &addresses{}, func() any { return new(addresses) })
	same(t, addresses{
		Address: netip.MustParseAddr("10.0.2.2"), Zero: netip.MustParseAddr("fe80::1%eth0"), Port: &port,
		Prefixes: []netip.Prefix{netip.MustParsePrefix("fd00::/64"), {}}, ByName: map[string]inner{"b": {"x", 1}, "a": {}},
	}, func() any { return new(addresses) })
	for _, v := range []any{[]string(nil), map[string]int{}, "text", 7, (*inner)(nil), true} {
		same(t, v, func() any { return reflect.New(reflect.TypeOf(v)).Interface() })
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	for text, names := range map[string]string{
		``:                                   "unexpected end",
		`{"text": "a"`:                       "unexpected end",
		`{"text": "\`:                        "string escape",
		`{"inners": [{"name": "a"}`:          "unexpected end",
		`{"other": [1, {"a": 2}`:             "unexpected end",
		`{} {}`:                              "after top-level value",
		`[]`:                                 "[ for coldjson.outer",
		`{"text": 1}`:                        "text: 1 for string",
		`{"int": "1"}`:                       `int: "1" for int`,
		`{"int": 1.5}`:                       "int: 1.5 for int",
		`{"small": 128}`:                     "small: 128 for int8",
		`{"big": -1}`:                        "big: -1 for uint64",
		`{"bool": {}}`:                       "bool: { for bool",
		`{"text": true}`:                     "text: true for string",
		`{"inner": {"number": 65536}}`:       "inner: number: 65536 for uint16",
		`{"table": {"a": 1}}`:                "table: a: 1 for string",
		`{"texts": ["a", 1]}`:                "texts: 1 for string",
		`{"text" "a"}`:                       "invalid character",
		`{"text": "a",}`:                     "invalid character",
		`{"pointers": [null, {"name": []}`:   "unexpected end",
		`{"pointers": [null, {"name": []}]}`: "name: [ for string",
	} {
		if err := Unmarshal([]byte(text), new(outer)); err == nil || !strings.Contains(err.Error(), names) {
			t.Errorf("%s: %v, not %q", text, err, names)
		}
	}
	if err := Unmarshal([]byte(`{"address": "10.0.0"}`), new(addresses)); err == nil || !strings.Contains(err.Error(), "address: ") {
		t.Error(err)
	}
	if err := Unmarshal([]byte(`{"address": 1}`), new(addresses)); err == nil || !strings.Contains(err.Error(), "address: 1 for netip.Addr") {
		t.Error(err)
	}
}

func TestUnmarshalSkipsTheUnknown(t *testing.T) {
	got := outer{Text: "before", Pointer: &inner{}, Table: map[string]string{"a": "1"}}
	err := Unmarshal([]byte(`{"other": {"text": [1, [], {"a": null}]}, "int": 3, "Text": "other", "more": 1.5e300, "bool": true,
		"text": null, "pointer": null, "table": {"b": "2"}}`), &got)
	want := outer{Text: "before", Int: 3, Bool: true, Table: map[string]string{"a": "1", "b": "2"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestPanicsForWhatIsNotPlain(t *testing.T) {
	type embedded struct{ inner }
	for _, v := range []any{1.5, []byte("x"), map[int]string{}, struct{ A any }{1}, struct {
		A int `json:"a,string"`
	}{}, struct{ A [2]int }{}, embedded{}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%T was written", v)
				}
			}()
			Marshal(v)
		}()
	}
}

// FuzzUnmarshal: what both read is the same, and what is written from it.
func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"bool": true, "inners": [{"name": "a", "number": 3}], "lists": {"a": [1]}, "number": -1}`))
	f.Add([]byte(`{"texts": ["\ud800"], "pointer": {}, "other": [[{}]]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		ours := new(outer)
		if Unmarshal(text, ours) != nil {
			return
		}
		written, err := Marshal(ours)
		if err != nil {
			t.Fatal(err)
		}
		theirs, again := new(outer), new(outer)
		if err := json.Unmarshal(written, theirs); err != nil {
			t.Fatalf("%v of %s", err, written)
		}
		if err := Unmarshal(written, again); err != nil || !reflect.DeepEqual(again, theirs) {
			t.Errorf("%v: %+v, not %+v, of %s", err, again, theirs, written)
		}
	})
}
