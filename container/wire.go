// SPDX-License-Identifier: Apache-2.0

package container

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"sort"
)

// Orders travel between two starts of the same program. encoding/json and gob
// both compile a type before its first value, which costs more than the whole
// message; walking the value costs some ten microseconds.

// marshal encodes plain data, given itself or by a pointer: booleans, integers, strings, and slices, arrays,
// maps with string keys, structs and pointers of these.
func marshal(v any) []byte {
	return appendValue(make([]byte, 0, 16<<10), reflect.Indirect(reflect.ValueOf(v)))
}

// unmarshal decodes into the pointer v what marshal made of the same type. It
// returns an error, and never panics, for any other input.
func unmarshal(b []byte, v any) error {
	d := decoder{rest: b}
	d.value(reflect.ValueOf(v).Elem())
	if d.err == nil && len(d.rest) != 0 {
		d.err = errors.New("left-over bytes")
	}
	return d.err
}

func appendValue(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return append(b, 1)
		}
		return append(b, 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return binary.AppendVarint(b, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return binary.AppendUvarint(b, v.Uint())
	case reflect.String:
		b = binary.AppendUvarint(b, uint64(v.Len()))
		return append(b, v.String()...)
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, 0)
		}
		return appendValue(append(b, 1), v.Elem())
	case reflect.Slice:
		if v.IsNil() {
			return append(b, 0)
		}
		b = binary.AppendUvarint(b, uint64(v.Len())+1)
		for i := range v.Len() {
			b = appendValue(b, v.Index(i))
		}
		return b
	case reflect.Array:
		for i := range v.Len() {
			b = appendValue(b, v.Index(i))
		}
		return b
	case reflect.Struct:
		for i := range v.NumField() {
			b = appendValue(b, v.Field(i))
		}
		return b
	case reflect.Map:
		if v.IsNil() {
			return append(b, 0)
		}
		b = binary.AppendUvarint(b, uint64(v.Len())+1)
		keys := v.MapKeys()
		sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
		for _, k := range keys {
			b = appendValue(appendValue(b, k), v.MapIndex(k))
		}
		return b
	}
	panic(fmt.Sprintf("container: %s in orders", v.Type()))
}

type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail() { d.err, d.rest = errors.New("truncated or foreign message"), nil }

func (d *decoder) uvarint() uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) varint() int64 {
	n, size := binary.Varint(d.rest)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

// length reads the length of something whose elements take a byte at least,
// so that a forged one cannot make us allocate much.
func (d *decoder) length(least int) int {
	n := d.uvarint()
	if n > uint64(len(d.rest)/least) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) value(v reflect.Value) {
	if d.err != nil {
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(d.uvarint() == 1)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(d.varint())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		v.SetUint(d.uvarint())
	case reflect.String:
		n := d.length(1)
		v.SetString(string(d.rest[:n]))
		d.rest = d.rest[n:]
	case reflect.Pointer:
		if d.uvarint() == 1 {
			p := reflect.New(v.Type().Elem())
			d.value(p.Elem())
			v.Set(p)
		}
	case reflect.Slice:
		d.slice(v)
	case reflect.Array:
		for i := range v.Len() {
			d.value(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			d.value(v.Field(i))
		}
	case reflect.Map:
		d.mapping(v)
	default:
		d.fail()
	}
}

func (d *decoder) slice(v reflect.Value) {
	n := d.uvarint()
	if n == 0 || d.err != nil {
		return
	}
	n--
	if n > uint64(len(d.rest)) && v.Type().Elem().Size() > 0 {
		d.fail()
		return
	}
	s := reflect.MakeSlice(v.Type(), int(n), int(n))
	for i := 0; i < int(n) && d.err == nil; i++ {
		d.value(s.Index(i))
	}
	v.Set(s)
}

func (d *decoder) mapping(v reflect.Value) {
	n := d.uvarint()
	if n == 0 || d.err != nil {
		return
	}
	m := reflect.MakeMap(v.Type())
	for i := uint64(0); i < n-1 && d.err == nil; i++ {
		k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		d.value(k)
		d.value(e)
		m.SetMapIndex(k, e)
	}
	v.Set(m)
}
