// SPDX-License-Identifier: Apache-2.0

package coldjson

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"unicode/utf8"
)

// Unmarshal reads what [Marshal] or [json.Marshal] made into the pointer v. It
// is [json.Unmarshal], but that the names of properties are taken as they stand.
// Properties that v does not have are skipped.
func Unmarshal(text []byte, v any) error {
	if !json.Valid(text) {
		return json.Unmarshal(text, new(json.RawMessage)) // which says why
	}
	d := decoder{text: text}
	if err := d.take(d.token(), reflect.ValueOf(v).Elem()); err != nil {
		return fmt.Errorf("at byte %d: %w", d.at, err)
	}
	return nil
}

// decoder cuts a text that encoding/json has found valid into tokens. Its own
// decoder of tokens does as much for each as for a whole value.
type decoder struct {
	text []byte
	at   int
}

// A token is a bracket, or the text of a string, a number, true, false or null.
type token []byte

func (t token) is(bracket byte) bool { return t[0] == bracket }

// token is called no more often than there are tokens; commas and colons are
// where they belong.
func (d *decoder) token() token {
	for bytes.IndexByte([]byte(" \t\r\n,:"), d.text[d.at]) >= 0 {
		d.at++
	}
	begin := d.at
	switch d.text[begin] {
	case '{', '}', '[', ']':
		d.at++
	case '"':
		for d.at++; d.text[d.at] != '"'; d.at++ {
			if d.text[d.at] == '\\' {
				d.at++
			}
		}
		d.at++
	default:
		for d.at < len(d.text) && bytes.IndexByte([]byte(" \t\r\n,]}"), d.text[d.at]) < 0 {
			d.at++
		}
	}
	return d.text[begin:d.at]
}

// text is that of a string.
func (t token) text() (s string, err error) {
	if bytes.IndexByte(t, '\\') < 0 && utf8.Valid(t) {
		return string(t[1 : len(t)-1]), nil
	}
	err = json.Unmarshal(t, &s)
	return s, err
}

// take reads the value that begins with this token.
func (d *decoder) take(t token, v reflect.Value) error {
	if t.is('n') { // null
		switch v.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			v.SetZero()
		}
		return nil
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return d.take(t, v.Elem())
	}
	if reflect.PointerTo(v.Type()).Implements(textUnmarshaler) {
		if !t.is('"') {
			return t.wrong(v)
		}
		text, err := t.text()
		if err != nil {
			return err
		}
		return v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
	}
	switch {
	case (t.is('t') || t.is('f')) && v.Kind() == reflect.Bool:
		v.SetBool(t.is('t'))
	case t.is('"') && v.Kind() == reflect.String:
		text, err := t.text()
		if err != nil {
			return err
		}
		v.SetString(text)
	case t.is('[') && v.Kind() == reflect.Slice:
		return d.slice(v)
	case t.is('{') && v.Kind() == reflect.Map:
		return d.table(v)
	case t.is('{') && v.Kind() == reflect.Struct:
		return d.structure(v)
	case v.CanInt():
		n, err := strconv.ParseInt(string(t), 10, v.Type().Bits())
		if err != nil {
			return t.wrong(v)
		}
		v.SetInt(n)
	case v.CanUint():
		n, err := strconv.ParseUint(string(t), 10, v.Type().Bits())
		if err != nil {
			return t.wrong(v)
		}
		v.SetUint(n)
	default:
		return t.wrong(v)
	}
	return nil
}

func (d *decoder) slice(v reflect.Value) error {
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	for t := d.token(); !t.is(']'); t = d.token() {
		element := reflect.New(v.Type().Elem()).Elem()
		if err := d.take(t, element); err != nil {
			return err
		}
		v.Set(reflect.Append(v, element))
	}
	return nil
}

func (d *decoder) table(v reflect.Value) error {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	return d.properties(func(name string) error {
		element := reflect.New(v.Type().Elem()).Elem()
		if err := d.take(d.token(), element); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), element)
		return nil
	})
}

func (d *decoder) structure(v reflect.Value) error {
	fields, likely := v.NumField(), 0 // they are mostly in the order in which Marshal writes them
	return d.properties(func(name string) error {
		for n := range fields {
			i := (likely + n) % fields
			if own, _, ok := property(v.Type().Field(i)); ok && own == name {
				likely = i + 1
				return d.take(d.token(), v.Field(i))
			}
		}
		d.skip()
		return nil
	})
}

// properties calls property with the name of each, to read its value.
func (d *decoder) properties(property func(name string) error) error {
	for t := d.token(); !t.is('}'); t = d.token() {
		name, err := t.text()
		if err != nil {
			return err
		}
		if err := property(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// skip reads a value to nothing.
func (d *decoder) skip() {
	for depth := 0; ; {
		switch t := d.token(); {
		case t.is('['), t.is('{'):
			depth++
		case t.is(']'), t.is('}'):
			depth--
		}
		if depth == 0 {
			return
		}
	}
}

func (t token) wrong(v reflect.Value) error { return fmt.Errorf("%s for %s", t, v.Type()) }
