// SPDX-License-Identifier: Apache-2.0

// Package plaintest tests that a type is what coldjson takes.
package plaintest

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"mycr/coldjson"
)

// Plain fails the test unless coldjson writes and reads values of v's type,
// v being a pointer, as encoding/json does, with each field set.
func Plain(t *testing.T, v any) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("%T: %v", v, r)
		}
	}()
	if err := fill(reflect.ValueOf(v).Elem()); err != nil {
		t.Fatalf("%T: %v", v, err)
	}
	want, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := coldjson.MarshalIndent(v, "  "); err != nil || string(got) != string(want) {
		t.Errorf("%v\n got %s\nwant %s", err, got, want)
	}
	again := reflect.New(reflect.TypeOf(v).Elem()).Interface()
	if err := coldjson.Unmarshal(want, again); err != nil || !reflect.DeepEqual(again, v) {
		t.Errorf("%v\n got %+v\nwant %+v", err, again, v)
	}
}

// fill sets everything in v to something that is not zero.
func fill(v reflect.Value) error {
	if text, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		for _, sample := range []string{"10.0.2.100", "10.0.2.0/24", "10.0.2.100:80"} {
			if text.UnmarshalText([]byte(sample)) == nil {
				return nil
			}
		}
		return fmt.Errorf("no sample of %s", v.Type())
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("<text>")
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		return fill(v.Index(0))
	case reflect.Map:
		element := reflect.New(v.Type().Elem()).Elem()
		if err := fill(element); err != nil {
			return err
		}
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key").Convert(v.Type().Key()), element)
	case reflect.Struct:
		for i := range v.NumField() {
			if err := fill(v.Field(i)); err != nil {
				return fmt.Errorf("%s: %w", v.Type().Field(i).Name, err)
			}
		}
	default:
		switch {
		case v.CanInt():
			v.SetInt(7)
		case v.CanUint():
			v.SetUint(7)
		default:
			return fmt.Errorf("no value for %s", v.Type())
		}
	}
	return nil
}
