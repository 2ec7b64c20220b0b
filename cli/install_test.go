// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Whatever is in daemon.json stays: with mycr it means the same and mycr, and without it again it is the same text.
func TestDockerKeepsWhatIsThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom([]string{"runtimes", "mycr", "path", "debug", "a b", "é\"\\", "{", "", ","})
		var value func(depth int) any
		value = func(depth int) any {
			kind := rapid.IntRange(0, 5).Draw(t, "kind")
			switch {
			case kind == 0 && depth > 0:
				m := map[string]any{}
				for range rapid.IntRange(0, 3).Draw(t, "members") {
					m[word.Draw(t, "name")] = value(depth - 1)
				}
				return m
			case kind == 1 && depth > 0:
				return []any{value(depth - 1), value(depth - 1)}
			case kind == 2:
				return rapid.Bool().Draw(t, "bool")
			case kind == 3:
				return nil
			}
			return word.Draw(t, "word")
		}
		before := map[string]any{"first": 1.0}
		for range rapid.IntRange(0, 4).Draw(t, "members") {
			before[word.Draw(t, "name")] = value(2)
		}
		delete(before, "runtimes")
		if rapid.Bool().Draw(t, "runtimes") {
			before["runtimes"] = map[string]any{"crun": value(1)}
		}
		text, err := json.Marshal(before)
		indent := rapid.SampledFrom([]string{"one line", "", "\t", "  "}).Draw(t, "indent")
		if indent != "one line" {
			text, err = json.MarshalIndent(before, "", indent)
		}
		if err != nil {
			t.Fatal(err)
		}
		with, err := dockerWith(text, "/bin/mycr")
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		var after map[string]any
		if err := json.Unmarshal(with, &after); err != nil {
			t.Fatalf("%v in\n%s", err, with)
		}
		if before["runtimes"] == nil {
			before["runtimes"] = map[string]any{}
		}
		before["runtimes"].(map[string]any)["mycr"] = map[string]any{"path": "/bin/mycr"}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatal(diff)
		}
		if again, err := dockerWith(with, "/bin/mycr"); err != nil || !bytes.Equal(again, with) {
			t.Fatalf("a second time: %v\n%s", err, again)
		}
		if without, err := dockerWithout(with); err != nil || !bytes.Equal(without, text) {
			t.Fatalf("%v: it was\n%s\nand is\n%s", err, text, without)
		}
	})
}

func TestScanTOML(t *testing.T) {
	text := `a = 1 # [no.table]
"b c".'d.e' = """
[no.table]
""" # x
list = [ # ]
  "]", 'b#', [1,
  2], {x = "}"},
]
[t . "u v"]
k = '''x''''
[[t.many]]
`
	entries, err := scanTOML(text)
	if err != nil {
		t.Fatal(err)
	}
	want := []tomlEntry{
		{path: []string{"a"}, value: "1", line: 1},
		{path: []string{"b c", "d.e"}, value: "\"\"\"\n[no.table]\n\"\"\"", line: 2},
		{path: []string{"list"}, value: "[ # ]\n  \"]\", 'b#', [1,\n  2], {x = \"}\"},\n]", line: 5},
		{path: []string{"t", "u v"}, header: true, line: 9},
		{path: []string{"t", "u v", "k"}, value: "'''x''''", line: 10},
		{path: []string{"t", "many"}, header: true, line: 11},
	}
	if diff := cmp.Diff(want, entries, cmp.AllowUnexported(tomlEntry{})); diff != "" {
		t.Error(diff)
	}
	for _, wrong := range []string{"a", "a =", "= 1", "a = \"x", "a = [1", "a = ]", "[a", "[a] b", "[]", "a = '''", `a."` + "\n" + `" = 1`, `a."\q" = 1`} {
		if entries, err := scanTOML(wrong); err == nil {
			t.Errorf("%q is taken: %v", wrong, entries)
		}
	}
}

func TestTOMLStrings(t *testing.T) {
	for text, want := range map[string]struct {
		list []string
		more bool
	}{
		`[]`:                                  {},
		`["a", 'b\n', "c\"",]`:                {[]string{"a", `b\n`, `c"`}, false},
		"[\n# no\n\"a\", # x\n{append=true}]": {[]string{"a"}, true},
		`["a", {append = false}]`:             {[]string{"a"}, false},
	} {
		if list, more, err := tomlStrings(text); err != nil || !cmp.Equal(list, want.list) || more != want.more {
			t.Errorf("%s: %q %t %v", text, list, more, err)
		}
	}
	for _, wrong := range []string{`"a"`, `["a"`, `[a]`, `[{append=true]`, `[1]`} {
		if list, _, err := tomlStrings(wrong); err == nil {
			t.Errorf("%s is taken: %q", wrong, list)
		}
	}
}

func FuzzScanTOML(f *testing.F) {
	f.Add("a = 1\n[b]\nc = [\"x\"]\n")
	f.Fuzz(func(t *testing.T, text string) {
		entries, err := scanTOML(text)
		if err == nil && len(entries) > len(text) {
			t.Errorf("%d entries in %q", len(entries), text)
		}
		tomlStrings(text)
		if with, err := containerdWith([]byte(text), "/bin/mycr"); err == nil {
			if _, err := scanTOML(string(with)); err != nil {
				t.Errorf("%q became %q: %v", text, with, err)
			}
		}
	})
}
