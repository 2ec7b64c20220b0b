// SPDX-License-Identifier: Apache-2.0

// Package transcript reads sessions at a shell that are tests at once: commands, and below each what it has to print.
//
//	# What comes before the first section is done before any of them.
//	$ podman import rootfs.tar busybox
//	…
//	== a first container
//	: short
//	$ podman run --rm busybox echo hello
//	hello
//	$ podman run --rm busybox nosuch
//	Error: …executable file not found in…
//	? 127
//
// A line with "$ " is a command for bash, "> " goes on with it. What follows are both its streams, as one, and "? N"
// is its exit status when that is not 0. "…" in a line stands for anything in that line, and as a line for any number
// of lines. "[WORD] " before a line says that it holds only there: the words are what Parse's caller knows, runtimes
// and Debian's suites. Where a line holds for one runtime only, a comment "# differs: " below the command gives the
// reason. A line ": short" below a section's name puts it into the short run, ": short on SUITE" into that suite's only,
// and ": not on WORD: REASON" skips it there.
package transcript

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Transcript is one file.
type Transcript struct {
	Setup    []Step
	Sections []Section
}

// A Section is what is one test.
type Section struct {
	Name string
	// Short are the suites in whose short run it is.
	Short []string
	// NotOn has the reason for each word with which the section is skipped.
	NotOn map[string]string
	Steps []Step
}

// A Step is a command and what it has to do.
type Step struct {
	Line    int
	Command string
	// Differs is the reason why runtimes differ in it, "" where they do not.
	Differs string
	want    []line
}

// A line holds where all the words of only are given. It is one of output, or, with a "? " before it, a status.
type line struct {
	only []string
	text string
}

// Parse reads a transcript. A line may be bound to runtimes, of which it then has to say why, and to suites.
func Parse(text string, runtimes, suites []string) (*Transcript, error) {
	t := &Transcript{}
	steps, words := &t.Setup, slices.Concat(runtimes, suites)
	var step *Step
	fail := func(number int, format string, args ...any) error {
		return fmt.Errorf("line %d: %s", number+1, fmt.Sprintf(format, args...))
	}
	for number, text := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		switch {
		case strings.HasPrefix(text, "== "):
			t.Sections = append(t.Sections, Section{Name: text[3:], NotOn: map[string]string{}})
			steps, step = &t.Sections[len(t.Sections)-1].Steps, nil
		case strings.HasPrefix(text, "$ "):
			*steps = append(*steps, Step{Line: number + 1, Command: text[2:]})
			step = &(*steps)[len(*steps)-1]
		case strings.HasPrefix(text, "# differs: ") && step != nil:
			step.Differs = strings.TrimPrefix(text, "# differs: ")
		case strings.HasPrefix(text, "#"), text == "":
		case step == nil:
			if len(t.Sections) == 0 || !t.Sections[len(t.Sections)-1].option(text, runtimes, suites) {
				return nil, fail(number, "%q is below no command", text)
			}
		case strings.HasPrefix(text, "> ") || text == ">":
			if len(step.want) > 0 {
				return nil, fail(number, "goes on with a command that is complete")
			}
			step.Command += "\n" + strings.TrimPrefix(strings.TrimPrefix(text, ">"), " ")
		default:
			l, err := parseLine(text, words)
			if err != nil {
				return nil, fail(number, "%v", err)
			}
			step.want = append(step.want, l)
		}
	}
	for _, step := range t.steps() {
		bound := slices.ContainsFunc(step.want, func(l line) bool {
			return slices.ContainsFunc(l.only, func(word string) bool { return slices.Contains(runtimes, word) })
		})
		if bound != (step.Differs != "") {
			return nil, fail(step.Line-1, "a line that is bound to a runtime and a reason (# differs: …) go together")
		}
	}
	return t, nil
}

func (t *Transcript) steps() []Step {
	all := slices.Clone(t.Setup)
	for _, s := range t.Sections {
		all = append(all, s.Steps...)
	}
	return all
}

// option takes a line below the section's name, and says whether it is one.
func (s *Section) option(text string, runtimes, suites []string) bool {
	if text == ": short" {
		s.Short = suites
		return true
	}
	if suite, found := strings.CutPrefix(text, ": short on "); found {
		s.Short = append(s.Short, suite)
		return slices.Contains(suites, suite)
	}
	rest, found := strings.CutPrefix(text, ": not on ")
	word, reason, complete := strings.Cut(rest, ": ")
	if !found || !complete || !slices.Contains(runtimes, word) && !slices.Contains(suites, word) {
		return false
	}
	s.NotOn[word] = reason
	return true
}

var condition = regexp.MustCompile(`^\[([a-z ]+)\] ?(.*)$`)

func parseLine(text string, words []string) (line, error) {
	found := condition.FindStringSubmatch(text)
	if found == nil {
		return line{text: text}, nil
	}
	only := strings.Fields(found[1])
	for _, word := range only {
		if !slices.Contains(words, word) {
			return line{}, fmt.Errorf("%q is none of %q", word, words)
		}
	}
	return line{only, found[2]}, nil
}

// Want is what the step has to print and its status, where the words are given: ids as Normal leaves them.
func (s Step) Want(words ...string) (output string, status string) {
	status = "0"
	for _, l := range s.want {
		if slices.ContainsFunc(l.only, func(word string) bool { return !slices.Contains(words, word) }) {
			continue
		}
		if number, is := strings.CutPrefix(l.text, "? "); is {
			status = number
			continue
		}
		output += l.text + "\n"
	}
	return output, status
}

// Matches says whether the output, after Normal, is what is wanted.
func Matches(want, output string) bool {
	pattern := "^"
	for _, text := range strings.SplitAfter(want, "\n") {
		switch text {
		case "":
		case "…\n":
			pattern += `(?:.*\n)*`
		default:
			pattern += strings.ReplaceAll(regexp.QuoteMeta(text), "…", ".*")
		}
	}
	return regexp.MustCompile(pattern + "$").MatchString(Normal(output))
}

var (
	longID  = regexp.MustCompile(`\b[0-9a-f]{64}\b`)
	shortID = regexp.MustCompile(`\b[0-9a-f]{12}\b`)
	escape  = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")
)

// Normal is output without what differs from run to run: ids are ID and SHORTID, what moves a terminal's cursor is not
// there, and a line ends with a newline.
func Normal(output string) string {
	output = escape.ReplaceAllString(strings.ReplaceAll(output, "\r", ""), "")
	output = shortID.ReplaceAllString(longID.ReplaceAllString(output, "ID"), "SHORTID")
	if output != "" && !strings.HasSuffix(output, "\n") {
		output += "\n"
	}
	return output
}
