// SPDX-License-Identifier: Apache-2.0

// Bench measures the commands of mycr beside those of crun: each command as
// often, in turns, in one run, so that what else the machine does falls on
// both. What it prints and judges are ratios of medians. It runs in the
// surroundings that integration/bench/run makes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// A bench is one run with its surroundings.
type bench struct {
	rounds, warmup int
	bin            string // the directory of mycr, floor, bare-c and bare-go
	home           string // where bundles are made
	sub            [2]string
	mycr, crun     runtime
	floorPaths     []string // the floor's arguments that mask paths
	hasFloor       bool
	environment    []string
	null           *os.File

	rows  []*row
	costs []*cost
}

func main() {
	b := &bench{environment: os.Environ()}
	flag.IntVar(&b.rounds, "n", 40, "measure each command `N` times")
	flag.IntVar(&b.warmup, "warm-up", 3, "rounds before that which do not count")
	check := flag.Bool("check", false, "exit 1 where a target is not met")
	sub := flag.String("sub", "700000:65536", "the user's subordinate ids, `FIRST:COUNT`")
	flag.Parse()
	met, err := b.run(*sub)
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(2)
	}
	if *check && !met {
		fmt.Fprintln(os.Stderr, "bench: not every target is met")
		os.Exit(1)
	}
}

// run says whether every target is met.
func (b *bench) run(sub string) (met bool, err error) {
	if b.rounds < 1 || b.warmup < 0 || flag.NArg() > 0 {
		return false, errors.New("usage: run [-n ROUNDS] [-warm-up ROUNDS] [-check]")
	}
	if b.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return false, err
	}
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	b.bin = filepath.Dir(self)
	if b.home, err = os.MkdirTemp("", "bundles"); err != nil {
		return false, err
	}
	defer os.RemoveAll(b.home)
	_, err = os.Stat(b.at("floor"))
	b.hasFloor = err == nil
	if err := b.prepare(sub); err != nil {
		return false, err
	}
	defer b.clean()
	if err := b.compareWork(); err != nil {
		return false, err
	}
	for i := range b.warmup + b.rounds {
		if i == b.warmup {
			b.forget()
		}
		if err := b.round(i); err != nil {
			return false, err
		}
	}
	if err := b.nothingLeft(); err != nil {
		return false, err
	}
	return b.report(os.Stdout), nil
}

func (b *bench) at(program string) string { return filepath.Join(b.bin, program) }
