// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"bytes"
	"encoding/binary"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"pgregory.net/rapid"
)

func TestPropertiesAsSystemdHasThem(t *testing.T) {
	type device struct {
		F0 string
		F1 uint64
	}
	for _, c := range []struct {
		signature, text string
		want            any
	}{
		{"t", "134217728", uint64(134217728)},
		{"t", "18446744073709551615", uint64(math.MaxUint64)},
		{"t", "uint64 5", uint64(5)},
		{"t", "@t 5", uint64(5)},
		{"t", "0x1f", uint64(31)},
		{"t", "017", uint64(15)}, // GLib's strtoull() has it so
		{"t", "+5", uint64(5)},
		{"u", " 4294967295\n", uint32(math.MaxUint32)},
		{"i", "-2147483648", int32(math.MinInt32)},
		{"x", "-0x10", int64(-16)},
		{"q", "65535", uint16(65535)},
		{"n", "-32768", int16(-32768)},
		{"y", "255", byte(255)},
		{"b", "true", true},
		{"b", "boolean false", false},
		{"d", "1.5e3", 1500.0},
		{"d", "2", 2.0},
		{"s", `"text"`, "text"},
		{"s", `'it "is" \'text\''`, `it "is" 'text'`},
		{"s", `"\a\b\f\n\r\t\v\\\"\u00e4\U0001f600"`, "\a\b\f\n\r\t\v\\\"ä😀"},
		{"o", "objectpath '/org/a'", dbus.ObjectPath("/org/a")},
		{"as", `["a", 'b']`, []string{"a", "b"}},
		{"as", "@as []", []string{}},
		{"as", "[ ]", []string{}},
		{"ay", "[1, 2]", []byte{1, 2}},
		{"ay", "[byte 0x3]", []byte{3}},
		{"a(st)", `[("/dev/sda", 1048576), ("/dev/sdb", uint64 5)]`, []device{{"/dev/sda", 1048576}, {"/dev/sdb", 5}}},
		{"(s)", `("a",)`, struct{ F0 string }{"a"}},
		{"aas", `[[], ["a"]]`, [][]string{{}, {"a"}}},
	} {
		v, err := Property{Type: c.signature, Value: c.text}.variant()
		if err != nil {
			t.Errorf("%s %s: %v", c.signature, c.text, err)
			continue
		}
		// StructOf's type has no name: what is sent is compared.
		if got, want := sent(t, v.Value()), sent(t, c.want); !bytes.Equal(got, want) || v.Signature().String() != c.signature {
			t.Errorf("%s %s: %#v, %s", c.signature, c.text, v.Value(), v.Signature())
		}
	}
}

// sent is the body of a message with a value.
func sent(t *testing.T, value any) []byte {
	m := dbus.Message{Type: dbus.TypeSignal, Body: []any{value}, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/")), dbus.FieldInterface: dbus.MakeVariant("a.b"),
		dbus.FieldMember: dbus.MakeVariant("c"), dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(value))}}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
		t.Fatal(err)
	}
	body := binary.LittleEndian.Uint32(b.Bytes()[4:])
	return b.Bytes()[b.Len()-int(body):]
}

func TestTextThatIsNoValueIsRefused(t *testing.T) {
	for _, c := range []struct{ signature, text, err string }{
		{"t", "", `"": a uint64 expected at byte 0`},
		{"t", "-1", `"-1": a uint64 expected at byte 0`},
		{"t", "5 6", `"5 6": the end expected at byte 2`},
		{"t", "5M", `"5M": a uint64 expected at byte 0`},
		{"t", "1_0", `"1_0": a uint64 expected at byte 0`},
		{"t", "0b1", `"0b1": a uint64 expected at byte 0`},
		{"t", "08", `"08": a uint64 expected at byte 0`},
		{"t", "++5", `"++5": a uint64 expected at byte 0`},
		{"t", "0x-5", `"0x-5": a uint64 expected at byte 0`},
		{"t", "5.0", `"5.0": a uint64 expected at byte 0`},
		{"t", "18446744073709551616", `"18446744073709551616": out of range of uint64`},
		{"y", "256", `"256": out of range of uint8`},
		{"i", "uint64 5", `"uint64 5": t is not the type that it has to be`},
		{"i", "@", `"@": a int32 expected at byte 1`},
		{"i", "@zz 5", `"@zz 5": zz is not the type that it has to be`},
		{"b", "1", `"1": a bool expected at byte 0`},
		{"b", "True", `"True": a bool expected at byte 0`},
		{"d", "0x1p4", `"0x1p4": a float64 expected at byte 0`},
		{"s", "text", `"text": a quoted text expected at byte 0`},
		{"s", `"text`, `"\"text": the quote is not closed`},
		{"s", `"\`, `"\"\\": an escape that is none`},
		{"s", `"\x41"`, `"\"\\x41\"": an escape that is none`},
		{"s", `"\u12"`, `"\"\\u12\"": an escape that is none`},
		{"s", `"\u0000"`, `"\"\\u0000\"": an escape that is none`},
		{"s", `"\ud800"`, `"\"\\ud800\"": an escape that is none`},
		{"s", "\"\xff\"", `"\"\xff\"": not UTF-8 without NUL`},
		{"s", "\"\x00\"", `"\"\x00\"": not UTF-8 without NUL`},
		{"o", "'a'", `"a" is no object path`},
		{"as", `["a" "b"]`, `"[\"a\" \"b\"]": , or ] expected at byte 5`},
		{"as", `["a",]`, `"[\"a\",]": a quoted text expected at byte 5`},
		{"as", `[`, `"[": a quoted text expected at byte 1`},
		{"as", `"a"`, `"\"a\"": [ expected at byte 0`},
		{"(st)", `("a")`, `"(\"a\")": , expected at byte 4`},
		{"(s)", `("a")`, `"(\"a\")": , expected at byte 4`},
		{"(s)", `("a",`, `"(\"a\",": ) expected at byte 5`},
		{"", "5", `"" is no type of a property`},
		{"tt", "5", `"tt" is more than one type`},
		{"v", "<5>", `"v" is no type of a property`},
		{"a{sv}", "{}", `"{sv}" is no type of a property`},
		{"()", "()", "() is no type of a property"},
		{"(", "()", `"" is no type of a property`},
		{strings.Repeat("a", 20) + "s", "[]", `"` + strings.Repeat("a", 11) + `s" is no type of a property`},
	} {
		_, err := Property{Name: "P", Type: c.signature, Value: c.text}.variant()
		if err == nil || err.Error() != "property P: "+c.err {
			t.Errorf("%s %q: %v", c.signature, c.text, err)
		}
	}
}

// signatures draws types of properties.
func signatures(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		kinds := "ybnqiuxtdso"
		if depth > 0 {
			kinds += "aa(("
		}
		k := kinds[rapid.IntRange(0, len(kinds)-1).Draw(t, "kind")]
		switch k {
		case 'a':
			return "a" + signatures(depth-1).Draw(t, "of")
		case '(':
			return "(" + strings.Join(rapid.SliceOfN(signatures(depth-1), 1, 3).Draw(t, "fields"), "") + ")"
		}
		return string(k)
	})
}

func fill(t *rapid.T, v reflect.Value) {
	switch {
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rapid.IntRange(0, 3).Draw(t, "len"), 3))
		for i := range v.Len() {
			fill(t, v.Index(i))
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case v.Type() == reflect.TypeFor[dbus.ObjectPath]():
		v.SetString(rapid.StringMatching(`/([a-z_]+(/[a-z0-9]+)*)?`).Draw(t, "path"))
	case v.Kind() == reflect.String:
		v.SetString(strings.ReplaceAll(rapid.String().Draw(t, "s"), "\x00", ""))
	case v.CanInt():
		v.SetInt(rapid.Int64().Draw(t, "int"))
	case v.CanUint():
		v.SetUint(rapid.Uint64().Draw(t, "uint"))
	case v.CanFloat():
		v.SetFloat(rapid.Float64().Draw(t, "float"))
	default:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	}
}

func TestTextOfAnyValueIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		signature := signatures(3).Draw(t, "signature")
		typ, _, err := goType(signature, 0)
		if err != nil {
			t.Fatal(err)
		}
		v := reflect.New(typ).Elem()
		fill(t, v)
		sig, err := dbus.ParseSignature(signature)
		if err != nil {
			t.Fatal(err)
		}
		p := propertyOf("P", dbus.MakeVariantWithSignature(v.Interface(), sig))
		if p.Type != signature {
			t.Fatalf("%+v of %s", p, signature)
		}
		back, err := p.variant()
		if err != nil {
			t.Fatalf("%+v: %v", p, err)
		}
		if !reflect.DeepEqual(back.Value(), v.Interface()) || propertyOf("P", back) != p {
			t.Errorf("%#v became %#v through %s", v.Interface(), back.Value(), p.Value)
		}
	})
}

func FuzzValue(f *testing.F) {
	for _, text := range []string{"uint64 5", "@as []", `[("a", 1)]`, "true", "'x\\u0041'", "((1,),)", "[[[]]]", "-0x5", "1e5", "@(st) ('a', 5)"} {
		f.Add("t", text)
	}
	f.Add("a(st)", `[("a", 1)]`)
	f.Fuzz(func(t *testing.T, signature, text string) {
		for _, parse := range []func() (dbus.Variant, error){
			func() (dbus.Variant, error) { return parseValue(signature, text) },
			func() (dbus.Variant, error) { return parseAny(text) },
		} {
			v, err := parse()
			if err != nil {
				continue
			}
			p := propertyOf("P", v)
			if back, err := p.variant(); err != nil || propertyOf("P", back) != p {
				t.Errorf("%q: %+v, %v", text, p, err)
			}
		}
	})
}
