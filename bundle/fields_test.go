// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// walk calls visit for every field beneath t, with its path and a way to it
// from a structure; visit says whether to go on below.
func walk(t reflect.Type, path string, reach func(reflect.Value) reflect.Value, visit func(string, func(reflect.Value) reflect.Value) bool) {
	switch t.Kind() {
	case reflect.Pointer:
		walk(t.Elem(), path, func(v reflect.Value) reflect.Value {
			v = reach(v)
			if v.IsNil() {
				v.Set(reflect.New(t.Elem()))
			}
			return v.Elem()
		}, visit)
	case reflect.Slice:
		walk(t.Elem(), path+"[]", func(v reflect.Value) reflect.Value {
			v = reach(v)
			if v.Len() == 0 {
				v.Set(reflect.MakeSlice(t, 1, 1))
			}
			return v.Index(0)
		}, visit)
	case reflect.Map:
		walk(t.Elem(), path+"{}", func(v reflect.Value) reflect.Value {
			panic("nothing in a map is refused by itself")
		}, visit)
	case reflect.Struct:
		for i := range t.NumField() {
			field := t.Field(i)
			here := func(v reflect.Value) reflect.Value { return reach(v).Field(i) }
			if field.Anonymous {
				walk(field.Type, path, here, visit)
				continue
			}
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			below := strings.TrimPrefix(path+"."+name, ".")
			if visit(below, here) {
				walk(field.Type, below, here, visit)
			}
		}
	}
}

func TestEveryFieldIsHandledOrRefused(t *testing.T) {
	known := map[string]Field{}
	for _, f := range Fields() {
		if _, twice := known[f.Path]; twice {
			t.Errorf("%s: twice in the table", f.Path)
		}
		known[f.Path] = f
		if none := f.By == Refused || f.By == Ignored; f.By == "" || none != (f.Why != "") {
			t.Errorf("%s: by %q, why %q", f.Path, f.By, f.Why)
		}
	}
	seen := map[string]bool{}
	same := func(v reflect.Value) reflect.Value { return v }
	walk(reflect.TypeFor[specs.Spec](), "", same, func(path string, reach func(reflect.Value) reflect.Value) bool {
		f, ok := known[path]
		if !ok {
			t.Errorf("%s: not in the table", path)
			return true
		}
		seen[path] = true
		if f.By == Refused {
			testRefused(t, path, reach)
		}
		return f.By != Refused
	})
	for path := range known {
		if !seen[path] {
			t.Errorf("%s: in the table but not in the specification", path)
		}
	}
}

// testRefused sets one field in a good specification.
func testRefused(t *testing.T, path string, reach func(reflect.Value) reflect.Value) {
	spec := Default(false)
	if err := Check(spec); err != nil {
		t.Fatal(err)
	}
	switch {
	case strings.HasPrefix(path, "linux.personality."):
		spec.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux}
	case strings.HasPrefix(path, "linux.resources.blockIO.weightDevice[]."):
		weight := uint16(100)
		spec.Linux.Resources.BlockIO = &specs.LinuxBlockIO{WeightDevice: []specs.LinuxWeightDevice{{Weight: &weight}}}
	}
	v := reach(reflect.ValueOf(spec).Elem())
	if otherPlatform(v.Type()) {
		v.Set(reflect.New(v.Type().Elem()))
	} else {
		fill(v)
	}
	err := Check(spec)
	if want := strings.ReplaceAll(path, "[]", "[0]"); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%s set: got %v", path, err)
	} else {
		oneLine(t, err)
	}
}
