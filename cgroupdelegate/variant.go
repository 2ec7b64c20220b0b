// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
)

// variant is the property's value on the wire.
//
// godbus has a parser for this notation, too, but it knows no structs, passes
// over what follows a value, and panics on some texts.
func (p Property) variant() (dbus.Variant, error) {
	v, err := parseValue(p.Type, p.Value)
	if err != nil {
		return dbus.Variant{}, fmt.Errorf("property %s: %w", p.Name, err)
	}
	return v, nil
}

// propertyOf is the reverse of variant.
func propertyOf(name string, v dbus.Variant) Property {
	var text strings.Builder
	format(&text, reflect.ValueOf(v.Value()))
	return Property{Name: name, Type: v.Signature().String(), Value: text.String()}
}

func parseValue(signature, text string) (dbus.Variant, error) {
	t, rest, err := goType(signature, 0)
	if err == nil && rest != "" {
		err = fmt.Errorf("%q is more than one type", signature)
	}
	if err != nil {
		return dbus.Variant{}, err
	}
	p := &textParser{text: text, rest: text}
	v, err := p.value(t)
	if err == nil && p.space() != "" {
		err = p.unexpected("the end")
	}
	if err != nil {
		return dbus.Variant{}, err
	}
	sig, err := dbus.ParseSignature(signature)
	return dbus.MakeVariantWithSignature(v.Interface(), sig), err
}

// deepest is how far arrays and structs may be inside each other; systemd's
// deepest property has three.
const deepest = 8

// goType turns the first type of a D-Bus signature into the Go type that
// encodes so.
func goType(signature string, depth int) (t reflect.Type, rest string, err error) {
	if signature == "" || depth > deepest {
		return nil, "", fmt.Errorf("%q is no type of a property", signature)
	}
	code, rest := signature[0], signature[1:]
	if t := basic(code); t != nil {
		return t, rest, nil
	}
	switch code {
	case 'a':
		t, rest, err := goType(rest, depth+1)
		if err != nil {
			return nil, "", err
		}
		return reflect.SliceOf(t), rest, nil
	case '(':
		var fields []reflect.StructField
		for !strings.HasPrefix(rest, ")") {
			var t reflect.Type
			if t, rest, err = goType(rest, depth+1); err != nil {
				return nil, "", err
			}
			fields = append(fields, reflect.StructField{Name: "F" + strconv.Itoa(len(fields)), Type: t})
		}
		if len(fields) == 0 {
			return nil, "", errors.New("() is no type of a property")
		}
		return reflect.StructOf(fields), rest[1:], nil
	}
	return nil, "", fmt.Errorf("%q is no type of a property", signature)
}

func basic(code byte) reflect.Type {
	switch code {
	case 'y':
		return reflect.TypeFor[byte]()
	case 'b':
		return reflect.TypeFor[bool]()
	case 'n':
		return reflect.TypeFor[int16]()
	case 'q':
		return reflect.TypeFor[uint16]()
	case 'i':
		return reflect.TypeFor[int32]()
	case 'u':
		return reflect.TypeFor[uint32]()
	case 'x':
		return reflect.TypeFor[int64]()
	case 't':
		return reflect.TypeFor[uint64]()
	case 'd':
		return reflect.TypeFor[float64]()
	case 's':
		return reflect.TypeFor[string]()
	case 'o':
		return reflect.TypeFor[dbus.ObjectPath]()
	}
	return nil
}

// format writes a value so that value reads it.
func format(text *strings.Builder, v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		text.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				text.WriteString(", ")
			}
			format(text, v.Index(i))
		}
		text.WriteByte(']')
	case reflect.Struct:
		text.WriteByte('(')
		for i := range v.NumField() {
			if i > 0 {
				text.WriteString(", ")
			}
			format(text, v.Field(i))
		}
		if v.NumField() == 1 {
			text.WriteByte(',')
		}
		text.WriteByte(')')
	case reflect.String:
		text.WriteByte('"')
		for _, r := range v.String() {
			switch {
			case r == '"' || r == '\\':
				text.WriteByte('\\')
				text.WriteRune(r)
			case r < ' ' || r == 0x7f:
				fmt.Fprintf(text, `\u%04x`, r)
			default:
				text.WriteRune(r)
			}
		}
		text.WriteByte('"')
	default:
		fmt.Fprint(text, v.Interface())
	}
}
