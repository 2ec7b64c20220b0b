// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// fill gives every field beneath v a value that is not the zero value. The
// sections of other platforms stay nil: Decode only notices them.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("text\n\"é\"")
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(-7)
	case reflect.Uint, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0))
		fill(v.Index(1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		e := reflect.New(v.Type().Elem()).Elem()
		fill(e)
		v.SetMapIndex(reflect.ValueOf("a.key"), e)
	case reflect.Struct:
		for i := range v.NumField() {
			if !otherPlatform(v.Type().Field(i).Type) {
				fill(v.Field(i))
			}
		}
	default:
		panic(v.Type().String())
	}
}

func otherPlatform(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[*specs.Windows](), reflect.TypeFor[*specs.Solaris](),
		reflect.TypeFor[*specs.VM](), reflect.TypeFor[*specs.ZOS](), reflect.TypeFor[*specs.FreeBSD]():
		return true
	}
	return false
}

func TestDecodeReadsEveryField(t *testing.T) {
	var want specs.Spec
	fill(reflect.ValueOf(&want).Elem())
	data, err := json.Marshal(&want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeNoticesOtherPlatforms(t *testing.T) {
	got, err := Decode([]byte(`{"windows":{"x":[1]},"vm":{},"solaris":{},"zos":{},"freebsd":{"jail":{}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got.Windows == nil || got.VM == nil || got.Solaris == nil || got.ZOS == nil || got.FreeBSD == nil {
		t.Errorf("not noticed: %+v", got)
	}
}

func TestDecodeAcceptsWhatEncodingJSONDoes(t *testing.T) {
	files, err := filepath.Glob("testdata/config/*.json")
	if err != nil || len(files) < 2 {
		t.Fatal("no captured files", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var want specs.Spec
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		got, err := Decode(data)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("%s: %s", file, diff)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	tests := []struct{ name, config, want string }{
		{"empty", ``, "not valid JSON: line 1, column 1: want an object, got the end"},
		{"null", `null`, "want an object, got null"},
		{"array", `[]`, "want an object, got an array"},
		{"string", `"x"`, `want an object, got the string "x"`},
		{"truncated", "{\n\"ociVersion\":\"1.0", `not valid JSON: line 2, column 18: want '"', got the end`},
		{"trailing", `{} x`, "column 4: want nothing after the object"},
		{"two objects", `{}{}`, "want nothing after the object"},
		{"trailing NUL", "{}\x00", "want nothing after the object"},
		{"BOM", "\ufeff{}", `want an object, got "\xef"`},
		{"invalid UTF-8", "{\"hostname\":\"\xff\"}", `hostname: "\xff" is not valid UTF-8`},
		{"invalid UTF-8 key", "{\"a\xff\":1}", "not valid UTF-8"},
		{"invalid UTF-8 after escape", "{\"hostname\":\"\\n\xff\"}", "not valid UTF-8"},
		{"half surrogate", `{"hostname":"\ud800x"}`, "hostname: half of a surrogate pair"},
		{"NUL", `{"process":{"args":["a","b\u0000c"]}}`, `process.args[1]: holds the character \u0000`},
		{"control character", "{\"hostname\":\"a\nb\"}", "control character"},
		{"twice", `{"hostname":"a","hostname":"b"}`, "hostname: given twice"},
		{"twice below", `{"process":{"user":{"uid":1,"uid":0}}}`, "process.user.uid: given twice"},
		{"twice with an unknown property", `{"process":{"x":1},"process":{}}`, "process: given twice"},
		{"twice in a map", `{"annotations":{"a.b":"1","a.b":"2"}}`, `annotations["a.b"]: given twice`},
		{"other case", `{"Process":{}}`, `Process: unknown property, "process" in another case`},
		{"other case below", `{"linux":{"SECCOMP":{}}}`, `linux.SECCOMP: unknown property, "seccomp" in another case`},
		{"other case embedded", `{"linux":{"resources":{"blockIO":{"weightDevice":[{"Major":1}]}}}}`, `weightDevice[0].Major: unknown`},
		{"bomb", `{"x":` + strings.Repeat("[", 100000), "nested deeper than 500"},
		{"bomb of objects", `{"x":` + strings.Repeat(`{"a":`, 100000), "nested deeper than 500"},
		{"zeroes", strings.Repeat("\x00", 100), "want an object"},
		{"version number", `{"ociVersion":5}`, "ociVersion: want a string, got the number 5"},
		{"args number", `{"process":{"args":[1]}}`, "process.args[0]: want a string, got the number 1"},
		{"args string", `{"process":{"args":"sh"}}`, `process.args: want an array of strings, got the string "sh"`},
		{"args null element", `{"process":{"args":[null]}}`, "process.args[0]: want a value, got null"},
		{"uid negative", `{"process":{"user":{"uid":-1}}}`, "process.user.uid: -1 is not a whole number from 0 to 4294967295"},
		{"uid 2^32", `{"process":{"user":{"uid":4294967296}}}`, "process.user.uid: 4294967296 is not"},
		{"uid string", `{"process":{"user":{"uid":"0"}}}`, `process.user.uid: want a number, got the string "0"`},
		{"uid fraction", `{"process":{"user":{"uid":1.5}}}`, "process.user.uid: 1.5 is not a whole number"},
		{"uid exponent", `{"process":{"user":{"uid":1e3}}}`, "process.user.uid: 1e3 is not a whole number"},
		{"leading zero", `{"process":{"user":{"uid":01}}}`, "not valid JSON"},
		{"rlimit negative", `{"process":{"rlimits":[{"soft":-1}]}}`, "process.rlimits[0].soft: -1 is not"},
		{"console negative", `{"process":{"consoleSize":{"height":-1}}}`, "process.consoleSize.height: -1 is not"},
		{"sysctl number", `{"linux":{"sysctl":{"kernel.shmmax":1}}}`, `linux.sysctl["kernel.shmmax"]: want a string, got the number 1`},
		{"memory string", `{"linux":{"resources":{"memory":{"limit":"1g"}}}}`, `linux.resources.memory.limit: want a number, got the string "1g"`},
		{"memory 2^63", `{"linux":{"resources":{"memory":{"limit":9223372036854775808}}}}`, "memory.limit: 9223372036854775808 is not a whole number that fits in 64 bits"},
		{"weight too large", `{"linux":{"resources":{"blockIO":{"weight":65536}}}}`, "blockIO.weight: 65536 is not a whole number from 0 to 65535"},
		{"nice too large", `{"process":{"scheduler":{"nice":2147483648}}}`, "nice: 2147483648 is not a whole number that fits in 32 bits"},
		{"annotation number", `{"annotations":{"a":1}}`, "annotations.a: want a string, got the number 1"},
		{"boolean string", `{"root":{"readonly":"yes"}}`, `root.readonly: want true or false, got the string "yes"`},
		{"object for array", `{"mounts":{}}`, "mounts: want an array, got an object"},
		{"array for object", `{"hooks":[]}`, "hooks: want an object, got an array"},
		{"comma", `{"a":1,}`, "want a property's name in quotes"},
		{"no comma", `{"a":1 "b":2}`, `want ',' or '}', got "\""`},
		{"no colon", `{"a" 1}`, `want ':', got "1"`},
		{"single quotes", `{'a':1}`, "want a property's name in quotes"},
		{"bad word", `{"a":truth}`, "want a value"},
		{"bad escape", `{"a":"\x"}`, "want an escape"},
		{"bad hex", `{"a":"\u12g4"}`, "want four hexadecimal digits"},
		{"minus", `{"a":-}`, "want a digit"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Decode([]byte(test.config))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got  %v\nwant %s", err, test.want)
			}
			oneLine(t, err)
		})
	}
}

// oneLine holds an error to a single line without control characters.
func oneLine(t *testing.T, err error) {
	t.Helper()
	for _, r := range err.Error() {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			t.Errorf("control character in %q", err)
		}
	}
}

func TestDecodeTakesUnknownPropertiesAndNull(t *testing.T) {
	spec, err := Decode([]byte(` {"x":{"y":[1,-2.5e3,"\u00e9",true,null]},"x":1,"process":{"args":null,"env":[],"user":null,"cwd":"\/\ud83d\ude00"},
		"linux":{"resources":{"memory":null,"devices":null},"sysctl":{}},"mounts":null} `))
	if err != nil {
		t.Fatal(err)
	}
	if spec.Process.Args != nil || spec.Process.Env == nil || spec.Process.Cwd != "/😀" || spec.Linux.Resources.Memory != nil {
		t.Errorf("%+v", spec.Process)
	}
}

// FuzzDecode holds Decode to encoding/json: what Decode takes, it takes as the
// same; and what it writes back, it reads again.
func FuzzDecode(f *testing.F) {
	files, _ := filepath.Glob("testdata/config/*.json")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	var full specs.Spec
	fill(reflect.ValueOf(&full).Elem())
	data, _ := json.Marshal(&full)
	f.Add(data)
	f.Add([]byte(`{"x":[[{"a":"\ud83d\ude00"}]],"windows":{},"process":{"user":{"uid":-0,"uid":1e1}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Decode(data)
		if err != nil {
			oneLine(t, err)
			return
		}
		var want specs.Spec
		if err := json.Unmarshal(data, &want); err != nil {
			if got.Windows != nil || got.Solaris != nil || got.VM != nil || got.ZOS != nil || got.FreeBSD != nil {
				return
			}
			t.Fatalf("Decode takes what encoding/json does not: %v", err)
		}
		for _, s := range []*specs.Spec{got, &want} {
			s.Windows, s.Solaris, s.VM, s.ZOS, s.FreeBSD = nil, nil, nil, nil, nil
		}
		if !reflect.DeepEqual(got, &want) {
			t.Fatal(cmp.Diff(&want, got))
		}
		if err := Check(got); err != nil {
			oneLine(t, err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	data, err := os.ReadFile("testdata/config/runc.json")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}
