// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"iter"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// decoder reads JSON (RFC 8259) straight into the types of runtime-spec. The
// reflection of encoding/json costs half a millisecond in a process that
// decodes one file and ends. It is also stricter, because two programs that
// read one config.json must not see two containers: a property given twice, or
// in another case (which encoding/json takes for the same), is an error, as are
// a byte order mark, trailing data, invalid UTF-8 and characters of code 0.
//
// The first error is kept and the position moves to the end, so that all loops
// end; callers look at err once.
type decoder struct {
	text  string
	at    int
	path  []step
	err   error
	alien bool // the property just handled was not one of the specification's
}

// step is one part of a JSON path: a property, or, where key is empty and
// index not negative, an element.
type step struct {
	key   string
	index int
}

// maxDepth bounds the nesting of values that are skipped, so that a bomb of
// brackets is an error and not a deep stack.
const maxDepth = 500

// fail keeps the first error, told at the current path.
func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		where := ""
		if path := d.where(); path != "" {
			where = path + ": "
		}
		d.err = fmt.Errorf("%s"+format, append([]any{where}, args...)...)
	}
	d.at = len(d.text)
}

// malformed is fail for what is not JSON: the path is of less use there than
// the line.
func (d *decoder) malformed(want string) {
	if d.err != nil {
		return
	}
	at := min(d.at, len(d.text))
	line := 1 + strings.Count(d.text[:at], "\n")
	column := at - strings.LastIndexByte(d.text[:at], '\n')
	got := "the end"
	if at < len(d.text) {
		got = strconv.QuoteToASCII(d.text[at : at+1])
	}
	d.err = fmt.Errorf("not valid JSON: line %d, column %d: want %s, got %s", line, column, want, got)
	d.at = len(d.text)
}

func (d *decoder) where() string {
	var b strings.Builder
	for _, s := range d.path {
		switch {
		case s.index >= 0:
			fmt.Fprintf(&b, "[%d]", s.index)
		case plainKey(s.key):
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.key)
		default:
			b.WriteString("[" + strconv.Quote(s.key) + "]")
		}
	}
	return b.String()
}

// plainKey says whether key needs no quotes in a JSON path.
func plainKey(key string) bool {
	for _, c := range []byte(key) {
		if c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return key != ""
}

// peek is the first byte of the next value, 0 at the end.
func (d *decoder) peek() byte {
	for d.at < len(d.text) {
		switch c := d.text[d.at]; c {
		case ' ', '\t', '\n', '\r':
			d.at++
		default:
			return c
		}
	}
	return 0
}

func (d *decoder) take(c byte) bool {
	if d.peek() != c {
		return false
	}
	d.at++
	return true
}

func (d *decoder) word(word string) bool {
	d.peek()
	if !strings.HasPrefix(d.text[d.at:], word) {
		return false
	}
	d.at += len(word)
	return true
}

// wrong fails with what was wanted and what is there instead.
func (d *decoder) wrong(want string) {
	start := d.at
	c := d.peek()
	var got string
	switch {
	case c == '{':
		got = "an object"
	case c == '[':
		got = "an array"
	case c == '"':
		got = "the string " + strconv.Quote(shorten(d.string()))
	case c == '-' || '0' <= c && c <= '9':
		got = "the number " + shorten(d.number())
	case d.word("true") || d.word("false"):
		got = strings.TrimSpace(d.text[start:d.at])
	case d.word("null"):
		got = "null"
	default:
		d.malformed(want)
	}
	d.fail("want %s, got %s", want, got)
}

func shorten(s string) string {
	if len(s) <= 80 {
		return s
	}
	cut := 80
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}

// object goes over the properties of the object that is next; the body of the
// loop reads the value, or calls unknown. It is for a structure of the
// specification, into, whose properties may come once only.
func (d *decoder) object(into any) iter.Seq[string] {
	return func(yield func(string) bool) {
		var room [24]string
		seen := room[:0]
		for key := range d.members() {
			for _, s := range seen {
				if s == key {
					d.fail("given twice")
					return
				}
			}
			if !yield(key) {
				return
			}
			if !d.alien {
				seen = append(seen, key)
			}
			d.alien = false // whoever is further out asks for its own
		}
	}
}

// members goes over an object whatever it holds.
func (d *decoder) members() iter.Seq[string] {
	return func(yield func(string) bool) {
		if !d.take('{') {
			d.wrong("an object")
			return
		}
		if d.take('}') {
			return
		}
		depth := len(d.path)
		for d.err == nil {
			if d.peek() != '"' {
				d.malformed("a property's name in quotes")
				return
			}
			key := d.string()
			if !d.take(':') {
				d.malformed("':'")
				return
			}
			d.path = append(d.path[:depth], step{key, -1})
			if !yield(key) {
				return
			}
			d.path = d.path[:depth]
			if d.take('}') {
				return
			}
			if !d.take(',') {
				d.malformed("',' or '}'")
				return
			}
		}
	}
}

// unknown skips a property that the specification does not have, as it asks.
// One that differs from a known one only in case is an error: encoding/json,
// hence runc and the engines, would obey it.
func (d *decoder) unknown(key string, into any) {
	if known := sameButCase(reflect.TypeOf(into).Elem(), key); known != "" {
		d.fail("unknown property, %q in another case", known)
		return
	}
	d.skip(0)
	d.alien = true // after skip: what is nested sets it as well
}

func sameButCase(t reflect.Type, key string) string {
	for i := range t.NumField() {
		field := t.Field(i)
		if field.Anonymous {
			if known := sameButCase(field.Type, key); known != "" {
				return known
			}
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if strings.EqualFold(name, key) {
			return name
		}
	}
	return ""
}

// skip reads any value and forgets it.
func (d *decoder) skip(depth int) {
	if depth > maxDepth {
		d.fail("nested deeper than %d", maxDepth)
		return
	}
	switch c := d.peek(); {
	case c == '{':
		for range d.members() {
			d.skip(depth + 1)
		}
	case c == '[':
		for range d.elements("") {
			d.skip(depth + 1)
		}
	case c == '"':
		d.string()
	case c == '-' || '0' <= c && c <= '9':
		d.number()
	case d.word("true"), d.word("false"), d.word("null"):
	default:
		d.malformed("a value")
	}
}

// elements goes over the array that is next; want says what of.
func (d *decoder) elements(want string) iter.Seq[int] {
	return func(yield func(int) bool) {
		if !d.take('[') {
			d.wrong("an array" + want)
			return
		}
		if d.take(']') {
			return
		}
		depth := len(d.path)
		for i := 0; d.err == nil; i++ {
			d.path = append(d.path[:depth], step{"", i})
			if !yield(i) {
				return
			}
			d.path = d.path[:depth]
			if d.take(']') {
				return
			}
			if !d.take(',') {
				d.malformed("',' or ']'")
				return
			}
		}
	}
}
