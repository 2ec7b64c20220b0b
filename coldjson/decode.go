// SPDX-License-Identifier: Apache-2.0

package coldjson

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
)

// Unmarshal reads what [Marshal] or [json.Marshal] made into the pointer v. It
// is [json.Unmarshal], but that the names of properties are taken as they stand.
// Properties that v does not have are skipped.
func Unmarshal(text []byte, v any) error {
	d := decoder{tokens: json.NewDecoder(bytes.NewReader(text))}
	d.tokens.UseNumber()
	if err := d.value(reflect.ValueOf(v).Elem()); err != nil {
		return fmt.Errorf("at byte %d: %w", d.tokens.InputOffset(), err)
	}
	if _, err := d.tokens.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("at byte %d: more than one value", d.tokens.InputOffset())
	}
	return nil
}

// decoder takes encoding/json's tokens, which need no types.
type decoder struct{ tokens *json.Decoder }

func (d *decoder) token() (json.Token, error) {
	token, err := d.tokens.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return token, err
}

func (d *decoder) value(v reflect.Value) error {
	token, err := d.token()
	if err != nil {
		return err
	}
	return d.take(token, v)
}

// take reads the value that begins with this token.
func (d *decoder) take(token json.Token, v reflect.Value) error {
	if token == nil { // null
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
		return d.take(token, v.Elem())
	}
	if reflect.PointerTo(v.Type()).Implements(textUnmarshaler) {
		text, ok := token.(string)
		if !ok {
			return wrong(token, v)
		}
		return v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
	}
	switch token := token.(type) {
	case bool:
		if v.Kind() != reflect.Bool {
			return wrong(token, v)
		}
		v.SetBool(token)
	case string:
		if v.Kind() != reflect.String {
			return wrong(token, v)
		}
		v.SetString(token)
	case json.Number:
		return setNumber(token, v)
	case json.Delim:
		switch {
		case token == '[' && v.Kind() == reflect.Slice:
			return d.slice(v)
		case token == '{' && v.Kind() == reflect.Map:
			return d.table(v)
		case token == '{' && v.Kind() == reflect.Struct:
			return d.structure(v)
		}
		return wrong(token, v)
	}
	return nil
}

func setNumber(number json.Number, v reflect.Value) error {
	switch {
	case v.CanInt():
		n, err := strconv.ParseInt(number.String(), 10, v.Type().Bits())
		if err != nil {
			return wrong(number, v)
		}
		v.SetInt(n)
	case v.CanUint():
		n, err := strconv.ParseUint(number.String(), 10, v.Type().Bits())
		if err != nil {
			return wrong(number, v)
		}
		v.SetUint(n)
	default:
		return wrong(number, v)
	}
	return nil
}

func (d *decoder) slice(v reflect.Value) error {
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	for {
		token, err := d.token()
		if err != nil {
			return err
		}
		if token == json.Delim(']') {
			return nil
		}
		element := reflect.New(v.Type().Elem()).Elem()
		if err := d.take(token, element); err != nil {
			return err
		}
		v.Set(reflect.Append(v, element))
	}
}

func (d *decoder) table(v reflect.Value) error {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	return d.properties(func(name string) error {
		element := reflect.New(v.Type().Elem()).Elem()
		if err := d.value(element); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), element)
		return nil
	})
}

func (d *decoder) structure(v reflect.Value) error {
	return d.properties(func(name string) error {
		for i := range v.NumField() {
			if own, _, ok := property(v.Type().Field(i)); ok && own == name {
				return d.value(v.Field(i))
			}
		}
		return d.skip()
	})
}

// properties calls property with the name of each, to read its value.
func (d *decoder) properties(property func(name string) error) error {
	for {
		token, err := d.token()
		if err != nil {
			return err
		}
		name, ok := token.(string)
		if !ok { // the end: the tokens are in order
			return nil
		}
		if err := property(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
}

// skip reads a value to nothing.
func (d *decoder) skip() error {
	for depth := 0; ; {
		token, err := d.token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

func wrong(token json.Token, v reflect.Value) error {
	return fmt.Errorf("%v for %s", token, v.Type())
}
