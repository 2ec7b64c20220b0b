// SPDX-License-Identifier: Apache-2.0

package transcript

import (
	"slices"
	"strings"
	"testing"
)

var (
	runtimes = []string{"mycr", "crun"}
	suites   = []string{"bookworm", "trixie"}
)

const session = `# before
$ prepare
…
== one
: short
$ first \
> second
hello
[trixie] newer
# differs: each has its words
[mycr] ? 3
[crun bookworm] ? 4
== two
: short on trixie
: not on bookworm: it has none
$ third
`

func TestTranscript(t *testing.T) {
	parsed, err := Parse(session, runtimes, suites)
	if err != nil {
		t.Fatal(err)
	}
	if len(parsed.Setup) != 1 || len(parsed.Sections) != 2 {
		t.Fatalf("%+v", parsed)
	}
	one, two := parsed.Sections[0], parsed.Sections[1]
	if !slices.Equal(one.Short, suites) || !slices.Equal(two.Short, []string{"trixie"}) || one.Name != "one" || two.NotOn["bookworm"] != "it has none" {
		t.Errorf("%+v", parsed.Sections)
	}
	step := one.Steps[0]
	if step.Command != "first \\\nsecond" || step.Line != 6 || step.Differs != "each has its words" {
		t.Errorf("%+v", step)
	}
	for words, want := range map[string][2]string{
		"mycr bookworm": {"hello\n", "3"},
		"mycr trixie":   {"hello\nnewer\n", "3"},
		"crun bookworm": {"hello\n", "4"},
		"crun trixie":   {"hello\nnewer\n", "0"},
	} {
		if output, status := step.Want(strings.Fields(words)...); output != want[0] || status != want[1] {
			t.Errorf("%s: %q, status %s", words, output, status)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, text := range map[string]string{
		"output of no command":       "hello\n",
		"unknown option":             "== one\n: quick\n$ true\n",
		"short on unknown suite":     "== one\n: short on sid\n$ true\n",
		"unknown suite":              "== one\n: not on sid: why\n$ true\n",
		"skipped without a reason":   "== one\n: not on trixie\n$ true\n",
		"unknown word":               "$ true\n[youki] a\n",
		"difference without reason":  "$ true\n[mycr] a\n[crun] b\n",
		"reason without difference":  "$ true\n# differs: it does\na\n",
		"goes on after its output":   "$ true\na\n> more\n",
		"goes on with nothing":       "> more\n",
		"status of no command":       "? 3\n",
		"suites alone take a reason": "$ true\n# differs: it does\n[trixie] a\n",
	} {
		if parsed, err := Parse(text, runtimes, suites); err == nil {
			t.Errorf("%s: %+v", name, parsed)
		}
	}
}

func TestMatches(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	for _, c := range []struct {
		want, output string
		matches      bool
	}{
		{"", "", true},
		{"", "a\n", false},
		{"a\n", "a\n", true},
		{"a\n", "a", true},
		{"a\n", "a\r\n", true},
		{"a\n", "\x1b[6na\x1b[J", true},
		{"a\n", "", false},
		{"a\n", "ab\n", false},
		{"a.c\n", "abc\n", false},
		{"a…c\n", "a b c\n", true},
		{"a…c\n", "a\nc\n", false},
		{"…\n", "", true},
		{"a\n…\nd\n", "a\nb\nc\nd\n", true},
		{"a\n…\nd\n", "b\nc\nd\n", false},
		{"ID SHORTID\n", id + " " + id[:12], true},
		{"ID\n", id[:63], false},
	} {
		if Matches(c.want, c.output) != c.matches {
			t.Errorf("%q and %q: not %v", c.want, c.output, c.matches)
		}
	}
}
