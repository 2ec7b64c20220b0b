// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// number is the text of the number that is next.
func (d *decoder) number() string {
	start := d.at
	digits := func() bool {
		from := d.at
		for d.at < len(d.text) && '0' <= d.text[d.at] && d.text[d.at] <= '9' {
			d.at++
		}
		return d.at > from
	}
	skip := func(set string) bool {
		if d.at < len(d.text) && strings.IndexByte(set, d.text[d.at]) >= 0 {
			d.at++
			return true
		}
		return false
	}
	skip("-")
	ok := skip("0") || digits() // no leading zeroes
	if ok && skip(".") {
		ok = digits()
	}
	if ok && skip("eE") {
		skip("+-")
		ok = digits()
	}
	if !ok {
		d.malformed("a digit")
		return ""
	}
	return d.text[start:d.at]
}

// string is the string that is next, which shares the memory of the text
// unless it has escapes.
func (d *decoder) string() string {
	d.at++
	start, ascii := d.at, true
	for ; d.at < len(d.text); d.at++ {
		switch c := d.text[d.at]; {
		case c == '"':
			s := d.text[start:d.at]
			if !ascii && !utf8.ValidString(s) {
				d.fail("%q is not valid UTF-8", shorten(s))
				return ""
			}
			d.at++
			return s
		case c == '\\':
			return d.escaped(start)
		case c < ' ':
			d.malformed("no control character in a string")
			return ""
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	d.malformed("'\"'")
	return ""
}

// escaped is string from the first backslash on.
func (d *decoder) escaped(start int) string {
	out := append(make([]byte, 0, 64), d.text[start:d.at]...)
	for d.at < len(d.text) {
		c := d.text[d.at]
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				d.fail("%q is not valid UTF-8", shorten(string(out)))
				return ""
			}
			d.at++
			return string(out)
		case c < ' ':
			d.malformed("no control character in a string")
			return ""
		case c != '\\':
			out = append(out, c)
			d.at++
			continue
		}
		d.at++
		if d.at == len(d.text) {
			break
		}
		c = d.text[d.at]
		if c == 'u' {
			r, ok := d.unicode()
			if !ok {
				return ""
			}
			out = utf8.AppendRune(out, r)
			continue
		}
		i := strings.IndexByte(`"\/bfnrt`, c)
		if i < 0 {
			d.malformed("an escape")
			return ""
		}
		out = append(out, "\"\\/\b\f\n\r\t"[i])
		d.at++
	}
	d.malformed("'\"'")
	return ""
}

// unicode reads uXXXX, or two of them that are one character.
func (d *decoder) unicode() (rune, bool) {
	hex := func() rune {
		if d.at+5 > len(d.text) {
			return -1
		}
		var r rune
		for _, c := range []byte(d.text[d.at+1 : d.at+5]) {
			switch {
			case '0' <= c && c <= '9':
				r = r<<4 | rune(c-'0')
			case 'a' <= c|0x20 && c|0x20 <= 'f':
				r = r<<4 | rune(c|0x20-'a'+10)
			default:
				return -1
			}
		}
		d.at += 5
		return r
	}
	r := hex()
	if r < 0 {
		d.malformed("four hexadecimal digits")
		return 0, false
	}
	if utf16.IsSurrogate(r) {
		second := rune(-1)
		if strings.HasPrefix(d.text[d.at:], `\u`) {
			d.at++
			second = hex()
		}
		if r = utf16.DecodeRune(r, second); r == utf8.RuneError {
			d.fail("half of a surrogate pair is no character")
			return 0, false
		}
	}
	if r == 0 {
		// No string of the kernel's interface can hold it: what comes
		// after would be lost in silence.
		d.fail("holds the character \\u0000")
		return 0, false
	}
	return r, true
}
