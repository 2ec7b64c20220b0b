// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	for _, c := range []struct{ name, output, want string }{
		{"all well", "TAP version 13\nok 1 - a\nok 2 - b\n1..2\n", ""},
		{"one is not", "TAP version 13\nok 1 - a\nnot ok 2 - b\n1..2\n", "not ok 2 - b"},
		{"indented", "  not ok 1 - a\n1..1\n", "not ok 1 - a"},
		{"words in a diagnostic", "ok 1 - a\n  \"stdout\": \"not ok 1\"\n1..1\n", ""},
		{"no tests, no error", "TAP version 13\n1..0\n", ""},
		{"no tests, an error", "TAP version 13\n  {\n    \"error\": \"no\"\n  }\n1..0\n", "an error, and a plan of no tests"},
		{"an error that was wanted", "ok 1 - a\n    \"error\": \"exit status 1\",\n1..1\n", ""},
	} {
		if have := judge(c.output); have != c.want {
			t.Errorf("%s: %q, want %q", c.name, have, c.want)
		}
	}
}

func TestExpected(t *testing.T) {
	list, err := ReadExpected("# no line\n\na user,root+cgroup2  why a\nb  all why b\n", []string{"a", "b", "c"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, situation, fact, want string
	}{
		{"a", "user", "cgroup1", "why a"},
		{"a", "root", "cgroup1", ""},
		{"a", "root", "cgroup2", "why a"},
		{"a", "userns", "cgroup2", ""},
		{"b", "userns", "cgroup1", "why b"},
		{"c", "root", "cgroup1", ""},
	} {
		if have := list.Reason(c.name, c.situation, []string{c.fact}); have != c.want {
			t.Errorf("%s %s %s: %q, want %q", c.name, c.situation, c.fact, have, c.want)
		}
	}
	for text, want := range map[string]string{
		"a all":            "line 1: no reason",
		"\nd all why":      "line 2: there is no program d",
		"a nobody why":     `there is no situation "nobody"`,
		"a root+moon2 why": `there is no fact "moon2"`,
	} {
		if _, err := ReadExpected(text, []string{"a"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
