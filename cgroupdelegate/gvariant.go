// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/godbus/dbus/v5"
)

// keyword is the code of a type that is written out before a value; see "GVariant Text Format" of GLib.
func keyword(word string) string {
	switch word {
	case "boolean":
		return "b"
	case "byte":
		return "y"
	case "int16":
		return "n"
	case "uint16":
		return "q"
	case "int32":
		return "i"
	case "uint32":
		return "u"
	case "int64":
		return "x"
	case "uint64":
		return "t"
	case "double":
		return "d"
	case "string":
		return "s"
	case "objectpath":
		return "o"
	}
	return ""
}

// textParser reads GVariant's text format, less dictionaries, variants, maybes,
// handles, signatures and byte strings, which no property of a scope is written in.
type textParser struct{ text, rest string }

// space passes over white space.
func (p *textParser) space() string {
	p.rest = strings.TrimLeft(p.rest, " \t\n\r")
	return p.rest
}

// take passes over one character, if it is next.
func (p *textParser) take(c string) (ok bool) {
	p.rest, ok = strings.CutPrefix(p.space(), c)
	return ok
}

func (p *textParser) unexpected(wanted string) error {
	at := len(p.text) - len(p.rest)
	return fmt.Errorf("%q: %s expected at byte %d", p.text, wanted, at)
}

// word takes letters, digits and what numbers have.
func (p *textParser) word() string {
	s := p.space()
	n := strings.IndexFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("+-._", r)
	})
	if n < 0 {
		n = len(s)
	}
	p.rest = s[n:]
	return s[:n]
}

// annotation takes a type written before a value: uint64, or @t. It is "" where there is none.
func (p *textParser) annotation() string {
	before := p.rest
	if p.take("@") {
		n := strings.IndexAny(p.rest, " \t\n\r")
		if n < 0 {
			n = len(p.rest)
		}
		code := p.rest[:n]
		p.rest = p.rest[n:]
		return code
	}
	if code := keyword(p.word()); code != "" {
		return code
	}
	p.rest = before
	return ""
}

func (p *textParser) value(t reflect.Type) (reflect.Value, error) {
	v := reflect.New(t).Elem()
	if code := p.annotation(); code != "" {
		named, rest, err := goType(code, 0)
		if err != nil || rest != "" || named != t {
			return v, fmt.Errorf("%q: %s is not the type that it has to be", p.text, code)
		}
	}
	switch t.Kind() {
	case reflect.Slice:
		return v, p.array(v)
	case reflect.Struct:
		return v, p.fields(v)
	case reflect.String:
		s, err := p.str()
		if err == nil && t == reflect.TypeFor[dbus.ObjectPath]() && !dbus.ObjectPath(s).IsValid() {
			err = fmt.Errorf("%q is no object path", s)
		}
		v.SetString(s)
		return v, err
	}
	before := p.space()
	if err := setWord(v, p.word()); err != nil {
		p.rest = before
		if errors.Is(err, strconv.ErrRange) {
			return v, fmt.Errorf("%q: out of range of %s", p.text, t)
		}
		return v, p.unexpected("a " + t.String())
	}
	return v, nil
}

// setWord sets a value that is one word.
func setWord(v reflect.Value, word string) error {
	bits := int(v.Type().Size()) * 8
	digits, base := strings.TrimLeft(word, "+-"), 10
	sign := word[:len(word)-len(digits)]
	switch {
	case strings.HasPrefix(digits, "0x"):
		digits, base = digits[2:], 16
	case len(digits) > 1 && digits[0] == '0':
		base = 8
	}
	if len(sign) > 1 || strings.ContainsAny(digits, "+-_") && v.Kind() != reflect.Float64 {
		return strconv.ErrSyntax
	}
	switch v.Kind() {
	case reflect.Bool:
		if word != "true" && word != "false" {
			return strconv.ErrSyntax
		}
		v.SetBool(word == "true")
	case reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(strings.TrimPrefix(sign, "+")+digits, base, bits)
		v.SetInt(n)
		return err
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if sign == "-" {
			return strconv.ErrSyntax
		}
		n, err := strconv.ParseUint(digits, base, bits)
		v.SetUint(n)
		return err
	case reflect.Float64:
		if strings.ContainsAny(word, "xXpP_") {
			return strconv.ErrSyntax
		}
		n, err := strconv.ParseFloat(word, 64)
		v.SetFloat(n)
		return err
	}
	return nil
}

func (p *textParser) array(v reflect.Value) error {
	if !p.take("[") {
		return p.unexpected("[")
	}
	for v.Set(reflect.MakeSlice(v.Type(), 0, 0)); !p.take("]"); {
		if v.Len() > 0 && !p.take(",") {
			return p.unexpected(", or ]")
		}
		e, err := p.value(v.Type().Elem())
		if err != nil {
			return err
		}
		v.Set(reflect.Append(v, e))
	}
	return nil
}

// fields reads a tuple: (1, "a"), and (1,) where it has one field.
func (p *textParser) fields(v reflect.Value) error {
	if !p.take("(") {
		return p.unexpected("(")
	}
	for i := range v.NumField() {
		if i > 0 && !p.take(",") {
			return p.unexpected(",")
		}
		f, err := p.value(v.Field(i).Type())
		if err != nil {
			return err
		}
		v.Field(i).Set(f)
	}
	if v.NumField() == 1 && !p.take(",") {
		return p.unexpected(",")
	}
	if !p.take(")") {
		return p.unexpected(")")
	}
	return nil
}

func (p *textParser) str() (string, error) {
	quote := p.space()
	if quote == "" || quote[0] != '"' && quote[0] != '\'' {
		return "", p.unexpected("a quoted text")
	}
	var s strings.Builder
	for rest := quote[1:]; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		switch {
		case r == utf8.RuneError && size == 1, r == 0: // neither is in D-Bus' strings
			return "", fmt.Errorf("%q: not UTF-8 without NUL", p.text)
		case byte(r) == quote[0] && size == 1:
			p.rest = rest[1:]
			return s.String(), nil
		case r == '\\':
			if r, size = unescape(rest); size == 0 {
				return "", fmt.Errorf("%q: an escape that is none", p.text)
			}
		}
		s.WriteRune(r)
		rest = rest[size:]
	}
	return "", fmt.Errorf("%q: the quote is not closed", p.text)
}

// unescape reads one escape of GVariant's; its size is 0 where it is none.
func unescape(s string) (r rune, size int) {
	if len(s) < 2 {
		return 0, 0
	}
	digits := 0
	switch s[1] {
	case '"', '\'', '\\':
		return rune(s[1]), 2
	case 'a', 'b', 'f', 'n', 'r', 't', 'v':
		return rune("\a\b\f\n\r\t\v"[strings.IndexByte("abfnrtv", s[1])]), 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	default:
		return 0, 0
	}
	if len(s) < 2+digits {
		return 0, 0
	}
	n, err := strconv.ParseUint(s[2:2+digits], 16, 32)
	if err != nil || n == 0 || n > math.MaxInt32 || !utf8.ValidRune(rune(n)) {
		return 0, 0
	}
	return rune(n), 2 + digits
}
