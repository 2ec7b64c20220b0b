// SPDX-License-Identifier: Apache-2.0

// Command count reads streams of test events (go test -json, go tool test2json) and says what they add up to.
//
// Usage: count [-final] LABEL=FILE...
//
// Without -final it prints the output of what failed and one line for each file; with it the skipped tests with
// their reasons, the failed ones, and as the last line "N passed, N failed, N skipped". The status is 1 when
// something failed or when nothing was tested.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"
)

type event struct {
	Action, Package, Test, Output string
}

// test is one test of one package in one run.
type test struct {
	label, name string
	outcome     string
	output      []string
	parent      bool // it has subtests, which are counted in its place
}

type tally struct {
	tests map[string]*test
	order []string
}

func main() {
	args, final := os.Args[1:], false
	if len(args) > 0 && args[0] == "-final" {
		args, final = args[1:], true
	}
	all := &tally{tests: map[string]*test{}}
	for _, arg := range args {
		label, file, found := strings.Cut(arg, "=")
		if !found {
			fmt.Fprintf(os.Stderr, "count: %s is not LABEL=FILE\n", arg)
			os.Exit(2)
		}
		if err := all.read(label, file); err != nil {
			fmt.Fprintln(os.Stderr, "count:", err)
			os.Exit(2)
		}
	}
	os.Exit(all.print(final, args))
}

func (t *tally) get(label, pkg, name string) *test {
	key := label + "\x00" + pkg + "\x00" + name
	if found := t.tests[key]; found != nil {
		return found
	}
	shown := name
	if shown == "" {
		shown = pkg
	}
	made := &test{label: label, name: shown}
	t.tests[key] = made
	t.order = append(t.order, key)
	return made
}

func (t *tally) read(label, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			e = event{Action: "output", Package: label, Output: lines.Text() + "\n"}
		}
		entry := t.get(label, e.Package, e.Test)
		switch e.Action {
		case "output", "build-output":
			entry.output = append(entry.output, e.Output)
		case "pass", "fail", "skip", "build-fail":
			entry.outcome = strings.TrimPrefix(e.Action, "build-")
		case "run", "start", "pause", "cont":
		}
		if e.Test != "" && entry.outcome == "" && e.Action == "run" {
			entry.outcome = "unfinished"
		}
		for name := e.Test; strings.Contains(name, "/"); {
			name = name[:strings.LastIndexByte(name, '/')]
			t.get(label, e.Package, name).parent = true
		}
	}
	return lines.Err()
}

// settle decides what is counted: leaves; of parents and packages only those that failed though nothing below did.
func (t *tally) settle() (passed, failed, skipped []*test) {
	below := map[string]bool{}
	keys := append([]string(nil), t.order...)
	sort.Slice(keys, func(i, j int) bool { return len(keys[i]) > len(keys[j]) })
	for _, key := range keys {
		entry := t.tests[key]
		parts := strings.SplitN(key, "\x00", 3)
		pkg := parts[0] + "\x00" + parts[1] + "\x00"
		whole := parts[2] == ""
		if entry.outcome == "fail" || entry.outcome == "unfinished" {
			if (whole || entry.parent) && below[key] {
				continue
			}
			failed = append(failed, entry)
			below[pkg] = true
			for name := parts[2]; strings.Contains(name, "/"); {
				name = name[:strings.LastIndexByte(name, '/')]
				below[pkg+name] = true
			}
			continue
		}
		if whole || entry.parent {
			continue
		}
		if entry.outcome == "skip" {
			skipped = append(skipped, entry)
		} else if entry.outcome == "pass" {
			passed = append(passed, entry)
		}
	}
	for _, list := range [][]*test{passed, failed, skipped} {
		sort.Slice(list, func(i, j int) bool {
			return list[i].label+list[i].name < list[j].label+list[j].name
		})
	}
	return passed, failed, skipped
}

func (t *tally) print(final bool, args []string) int {
	passed, failed, skipped := t.settle()
	counts := fmt.Sprintf("%d passed, %d failed, %d skipped", len(passed), len(failed), len(skipped))
	if !final {
		for _, f := range failed {
			fmt.Printf("--- FAIL %s: %s\n%s", f.label, f.name, strings.Join(f.output, ""))
		}
		label, _, _ := strings.Cut(args[0], "=")
		fmt.Printf("%s: %s\n", label, counts)
		// The tests of one label may all have been skipped.
		return status(append(passed, skipped...), failed)
	}
	for _, s := range skipped {
		fmt.Printf("skipped  %s: %s: %s\n", s.label, s.name, reason(s))
	}
	for _, f := range failed {
		fmt.Printf("failed   %s: %s\n", f.label, f.name)
	}
	fmt.Println(counts)
	return status(passed, failed)
}

func status(passed, failed []*test) int {
	if len(failed) > 0 || len(passed) == 0 {
		return 1
	}
	return 0
}

// reason is what the test said when it skipped itself: the text of t.Skip without the place, or a script's words.
func reason(s *test) string {
	words := "no reason given"
	for _, line := range s.output {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "===") || strings.HasPrefix(line, "---") || line == "SKIP" {
			continue
		}
		if place, said, found := strings.Cut(line, ": "); found && strings.Contains(place, ".go:") {
			line = said
		}
		if _, said, found := strings.Cut(line, " skip '"); found {
			line = strings.TrimSuffix(said, "'")
		}
		if line != "" {
			words = line
		}
	}
	return words
}
