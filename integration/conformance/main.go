// SPDX-License-Identifier: Apache-2.0

// Command conformance runs runtime-tools' validation programs against a runtime and compares what they say with
// the list of those that are known not to pass.
//
// Usage: conformance -runtime PATH -programs DIR -situation root|user|userns [-expected FILE] [-v] [NAME...]
//
// It writes a stream of test events as go test -json does: a program that passes is a passed test, one that is in
// the list and does not pass is skipped with the list's reason, and everything else fails. With -plain it prints
// instead one line for each program and the counts, without a look into the list; so other runtimes are measured.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

type event struct {
	Action, Package, Test string
	Output                string `json:",omitempty"`
}

func main() {
	var bed Bed
	flag.StringVar(&bed.Runtime, "runtime", "", "the runtime's binary, an absolute path")
	flag.StringVar(&bed.Programs, "programs", "", "the directory with the programs, runtimetest and the root file system")
	flag.StringVar(&bed.Flags, "flags", "", "the runtime's flags before the command")
	situation := flag.String("situation", "", "root, user or userns: which of the list's lines count")
	list := flag.String("expected", "", "the list of programs that do not pass")
	plain := flag.Bool("plain", false, "print outcomes and compare them with no list")
	verbose := flag.Bool("v", false, "with -plain, print what the programs that do not pass have said")
	flag.Parse()
	if err := run(&bed, *situation, *list, *plain, *verbose, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(2)
	}
}

func run(bed *Bed, situation, list string, plain, verbose bool, names []string) error {
	if !slices.Contains([]string{"root", "user", "userns"}, situation) {
		return fmt.Errorf("-situation is %q: root, user or userns is wanted", situation)
	}
	all, err := bed.Names()
	if err != nil {
		return err
	}
	var expected Expected
	if !plain {
		text, err := os.ReadFile(list)
		if err != nil {
			return err
		}
		if expected, err = ReadExpected(string(text), all); err != nil {
			return fmt.Errorf("%s: %w", list, err)
		}
	}
	if len(names) == 0 {
		names = all
	}
	if bed.Dir, err = os.MkdirTemp("", "mycr-conformance."); err != nil {
		return err
	}
	defer os.RemoveAll(bed.Dir)
	// Another user's container has to reach its bundle below.
	if err := os.Chmod(bed.Dir, 0o755); err != nil {
		return err
	}
	facts := GatherFacts()
	var passed int
	report := func(o Outcome) {
		if o.Passed {
			passed++
		}
		if plain {
			printPlain(o, verbose)
		} else {
			printEvents(situation, o, expected.Reason(o.Name, situation, facts))
		}
	}
	runAll(bed, names, report)
	if plain {
		fmt.Printf("%s: %d of %d pass\n", situation, passed, len(names))
	}
	return nil
}

// racing are the programs whose container and hook write a line each into one file, with nothing that orders them:
// "after the user-specified process is executed" holds at execve(2), before the process has written. They may need a
// second or third attempt; a runtime that gets the order wrong fails them all.
var racing = []string{"poststart"}

// attempt runs the program, and once more where chance may have decided.
func attempt(bed *Bed, name string) Outcome {
	outcome := bed.Run(name)
	for tries := 1; tries < 3 && !outcome.Passed && slices.Contains(racing, name); tries++ {
		outcome = bed.Run(name)
	}
	return outcome
}

// runAll runs several programs at a time, since most of them wait most of the time. Those of cgroups share one
// cgroup path and run one after the other.
func runAll(bed *Bed, names []string, report func(Outcome)) {
	var alone []string
	for _, name := range names {
		if strings.HasPrefix(name, "linux_cgroups_") || strings.HasPrefix(name, "delete_") {
			alone = append(alone, name)
		}
	}
	work := make(chan []string, len(names)+1)
	work <- alone // first, since it takes longest
	for _, name := range names {
		if !slices.Contains(alone, name) {
			work <- []string{name}
		}
	}
	close(work)
	var workers sync.WaitGroup
	var reporting sync.Mutex
	for range 4 * runtime.NumCPU() {
		workers.Go(func() {
			for some := range work {
				for _, name := range some {
					outcome := attempt(bed, name)
					reporting.Lock()
					report(outcome)
					reporting.Unlock()
				}
			}
		})
	}
	workers.Wait()
}

func printPlain(o Outcome, verbose bool) {
	word := "pass"
	if !o.Passed {
		word = "FAIL"
	}
	fmt.Printf("%s %s %s\n", word, o.Name, o.Why)
	if verbose && !o.Passed {
		fmt.Println("    " + strings.ReplaceAll(strings.TrimSpace(o.Output), "\n", "\n    "))
	}
}

func printEvents(situation string, o Outcome, reason string) {
	test := situation + "/" + filepath.Base(o.Name)
	emit := func(action, output string) {
		line, err := json.Marshal(event{Action: action, Package: "conformance", Test: test, Output: output})
		if err != nil {
			panic(err) // three strings
		}
		fmt.Println(string(line))
	}
	emit("run", "")
	switch {
	case o.Passed && reason == "":
		emit("pass", "")
	case o.Passed:
		emit("output", fmt.Sprintf("passes, but expected.txt says that it does not: %s\n", reason))
		emit("fail", "")
	case reason == "":
		emit("output", fmt.Sprintf("%s\n%s\n", o.Why, o.Output))
		emit("fail", "")
	default:
		emit("output", reason+"\n")
		emit("skip", "")
	}
}
