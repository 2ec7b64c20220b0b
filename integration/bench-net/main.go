// SPDX-License-Identifier: Apache-2.0

// Bench-net measures the networks of mycr beside each other and beside the same
// drivers as others start them: pasta and slirp4netns on a namespace, with
// podman's flags, and rootlesskit. Each way as often, in turns, in one run, so
// that what else the machine does falls on all. What it prints and judges are
// ratios of medians. It runs in the surroundings that integration/network makes,
// and is also the server outside and the client inside.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// leastRounds is how many rounds can tell more than chance does; see less.
const leastRounds = 3

// A bench is one run with its surroundings.
type bench struct {
	rounds, starts int
	span           time.Duration
	mycr, self     string
	home           string
	ways           []*way
	runs           []*run
	drivers        []*alone
}

func main() {
	if filepath.Base(os.Args[0]) == "outside" {
		os.Exit(outside(os.Args[1:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "client" {
		if err := client(os.Args[2:]); err != nil {
			fmt.Fprintf(os.Stderr, "client: %v\n", err)
			os.Exit(1)
		}
		return
	}
	b := &bench{}
	flag.IntVar(&b.rounds, "n", 7, fmt.Sprintf("measure throughput and round trips `N` times, at least %d", leastRounds))
	flag.IntVar(&b.starts, "starts", 21, "measure each start `N` times")
	flag.DurationVar(&b.span, "span", 500*time.Millisecond, "send for so long in each direction")
	check := flag.Bool("check", false, "exit 1 where a target is not met")
	flag.Parse()
	met, err := b.run()
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench-net: %v\n", err)
		os.Exit(2)
	}
	if *check && !met {
		fmt.Fprintln(os.Stderr, "bench-net: not every target is met")
		os.Exit(1)
	}
}

// run says whether every target is met.
func (b *bench) run() (met bool, err error) {
	if b.rounds < leastRounds || b.starts < 1 || flag.NArg() > 0 {
		return false, fmt.Errorf("usage: run [-n ROUNDS, at least %d] [-starts ROUNDS] [-span DURATION] [-check]", leastRounds)
	}
	if b.mycr = os.Getenv("MYCR"); b.mycr == "" {
		return false, errors.New("$MYCR names no mycr; type make bench-net")
	}
	if b.self, err = os.Executable(); err != nil {
		return false, err
	}
	if b.home, err = os.MkdirTemp("", "mycr-bench-net-"); err != nil {
		return false, err
	}
	defer os.RemoveAll(b.home)
	if err := b.prepare(); err != nil {
		return false, err
	}
	for i := range b.rounds + 1 {
		for _, w := range b.ways {
			var f figures
			if err := w.try(func() (err error) { f, err = b.transfer(w); return err }); err != nil {
				return false, err
			}
			if i > 0 { // the first is to warm up
				w.figures = append(w.figures, f)
			}
		}
	}
	for i := range b.starts + 1 {
		if err := b.start(i > 0); err != nil {
			return false, err
		}
	}
	return b.report(os.Stdout), nil
}

// start measures everything that is about starting once.
func (b *bench) start(counts bool) error {
	for _, w := range b.ways {
		var out string
		var begin int64
		if err := w.try(func() (err error) {
			begin = now()
			out, err = w.client("first", worldAddress)
			return err
		}); err != nil {
			return err
		}
		var main, first int64
		if _, err := fmt.Sscan(out, &main, &first); err != nil {
			return fmt.Errorf("%s: %q: %w", w.name, out, err)
		}
		if counts {
			w.first = append(w.first, float64(first-begin)/1e6)
		}
	}
	for _, r := range b.runs {
		begin := now()
		out, err := r.client("stamp")
		whole := now() - begin
		if err != nil {
			return fmt.Errorf("run %s: %w", r.name, err)
		}
		var main int64
		if _, err := fmt.Sscan(out, &main); err != nil {
			return fmt.Errorf("run %s: %q: %w", r.name, out, err)
		}
		if counts {
			r.program = append(r.program, float64(main-begin)/1e6)
			r.whole = append(r.whole, float64(whole)/1e6)
		}
	}
	for _, d := range b.drivers {
		took, err := d.start()
		if err != nil {
			return fmt.Errorf("%s alone: %w", d.name, err)
		}
		if counts {
			d.took = append(d.took, float64(took)/1e6)
		}
	}
	return nil
}

// transfer has a client in a network of that kind measure.
func (b *bench) transfer(w *way) (figures, error) {
	out, err := w.client("transfer", worldAddress, b.span.String())
	if err != nil {
		return figures{}, err
	}
	var f figures
	if _, err := fmt.Sscan(strings.TrimSpace(out), &f.up, &f.down, &f.trip); err != nil {
		return f, fmt.Errorf("%q: %w", out, err)
	}
	return f, nil
}
