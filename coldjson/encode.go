// SPDX-License-Identifier: Apache-2.0

// Package coldjson is encoding/json for plain data, in a program that starts,
// handles one value of a type, and ends. encoding/json compiles each type
// before its first value, which takes a tenth of the time of `mycr state`; here
// the value is walked. The text is the same.
//
// Plain data are booleans, integers, strings, whatever has MarshalText and
// UnmarshalText, and slices, maps with string keys, structs and pointers of
// these. For anything else, floating-point numbers, bytes, embedded fields and
// the tag's option string among it, the functions panic: that is a fault of the
// program, and not of its input.
package coldjson

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Marshal gives the text of [json.Marshal]. Its errors are those of MarshalText.
func Marshal(v any) ([]byte, error) {
	e := encoder{text: make([]byte, 0, 1<<10)}
	e.value(reflect.ValueOf(v))
	return e.text, e.err
}

// MarshalIndent gives the text of [json.MarshalIndent] without a prefix.
func MarshalIndent(v any, indent string) ([]byte, error) {
	e := encoder{text: make([]byte, 0, 2<<10), pretty: true, indent: indent}
	e.value(reflect.ValueOf(v))
	return e.text, e.err
}

type encoder struct {
	text   []byte
	pretty bool
	indent string
	depth  int
	err    error
}

func (e *encoder) value(v reflect.Value) {
	if isText(v.Type()) {
		text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
		if err != nil && e.err == nil {
			e.err = err
		}
		e.string(string(text))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		e.text = strconv.AppendBool(e.text, v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.text = strconv.AppendInt(e.text, v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		e.text = strconv.AppendUint(e.text, v.Uint(), 10)
	case reflect.String:
		e.string(v.String())
	case reflect.Pointer:
		if v.IsNil() {
			e.null()
			return
		}
		e.value(v.Elem())
	case reflect.Slice:
		e.slice(v)
	case reflect.Map:
		e.table(v)
	case reflect.Struct:
		e.structure(v)
	default:
		panic(notPlain(v.Type()))
	}
}

func (e *encoder) null() { e.text = append(e.text, "null"...) }

// string leaves what may need escapes to encoding/json, which compiles nothing for it.
func (e *encoder) string(s string) {
	if isPlain(s) {
		e.text = append(append(append(e.text, '"'), s...), '"')
		return
	}
	text, err := json.Marshal(s)
	if err != nil && e.err == nil {
		e.err = err
	}
	e.text = append(e.text, text...)
}

// isPlain tells that a string is of characters that stand for themselves.
func isPlain(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}

func (e *encoder) slice(v reflect.Value) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		panic(notPlain(v.Type()))
	}
	if v.IsNil() {
		e.null()
		return
	}
	e.open('[')
	for i := range v.Len() {
		e.next(i == 0)
		e.value(v.Index(i))
	}
	e.close(']', v.Len() == 0)
}

func (e *encoder) table(v reflect.Value) {
	if v.Type().Key().Kind() != reflect.String || isText(v.Type().Key()) {
		panic(notPlain(v.Type()))
	}
	if v.IsNil() {
		e.null()
		return
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	e.open('{')
	for i, key := range keys {
		e.next(i == 0)
		e.key(key.String())
		e.value(v.MapIndex(key))
	}
	e.close('}', len(keys) == 0)
}

func (e *encoder) structure(v reflect.Value) {
	first := true
	e.open('{')
	for i := range v.NumField() {
		name, options, ok := property(v.Type().Field(i))
		field := v.Field(i)
		if !ok || options.omitEmpty && isEmpty(field) || options.omitZero && field.IsZero() {
			continue
		}
		e.next(first)
		first = false
		e.key(name)
		e.value(field)
	}
	e.close('}', first)
}

func (e *encoder) open(bracket byte) {
	e.text = append(e.text, bracket)
	e.depth++
}

func (e *encoder) next(first bool) {
	if !first {
		e.text = append(e.text, ',')
	}
	e.newline()
}

func (e *encoder) key(name string) {
	e.string(name)
	e.text = append(e.text, ':')
	if e.pretty {
		e.text = append(e.text, ' ')
	}
}

func (e *encoder) close(bracket byte, empty bool) {
	e.depth--
	if !empty {
		e.newline()
	}
	e.text = append(e.text, bracket)
}

func (e *encoder) newline() {
	if !e.pretty {
		return
	}
	e.text = append(e.text, '\n')
	for range e.depth {
		e.text = append(e.text, e.indent...)
	}
}

// isEmpty is what the option omitempty means.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

var (
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// isText tells that a type, which is not a pointer, is written as a string.
func isText(t reflect.Type) bool {
	return t.Kind() != reflect.Pointer && t.Name() != "" && t.PkgPath() != "" && t.Implements(textMarshaler)
}

type options struct{ omitEmpty, omitZero bool }

// property gives the name and options of a field; ok is false for a field that
// is no property.
func property(f reflect.StructField) (name string, o options, ok bool) {
	if f.Anonymous {
		panic("coldjson: embedded field " + f.Name)
	}
	tag := f.Tag.Get("json")
	if !f.IsExported() || tag == "-" {
		return "", o, false
	}
	name, words, _ := strings.Cut(tag, ",")
	for word := range strings.SplitSeq(words, ",") {
		switch word {
		case "":
		case "omitempty":
			o.omitEmpty = true
		case "omitzero":
			o.omitZero = true
		default:
			panic(fmt.Sprintf("coldjson: option %q of field %s", word, f.Name))
		}
	}
	if name == "" {
		name = f.Name
	}
	return name, o, true
}

func notPlain(t reflect.Type) string { return "coldjson: " + t.String() + " is no plain data" }
