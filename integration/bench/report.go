// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

func (r *row) ratio() float64 {
	return float64(r.mycr.median().wall) / float64(r.crun.median().wall)
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond))
}

// report prints what was measured, and says whether every target is met.
func (b *bench) report(w io.Writer) bool {
	first := func(out string, _ error) string {
		line, _, _ := strings.Cut(out, "\n")
		return line
	}
	fmt.Fprintf(w, "%s beside %s, medians of %d, in turns; quartiles are those of the rounds' own ratios\n\n",
		first(b.output(b.mycr.command("--version")...)), first(b.output(b.crun.command("--version")...)), b.rounds)
	met := b.ratios(w)
	fmt.Fprintln(w, "\npage faults and context switches, with those of the processes that were waited for")
	b.usage(w)
	fmt.Fprintln(w, "\nwhere the time goes")
	fault, call, err := prices()
	if err != nil {
		fmt.Fprintf(w, "no prices: %v\n", err)
	} else {
		fmt.Fprintf(w, "at best, a page fault costs %.2f µs here, a system call %.2f µs\n", microseconds(fault), microseconds(call))
	}
	b.explanation(w, fault)
	return met
}

// table aligns numbers at the right and the first column at the left.
func table(w io.Writer, heads string) *tabwriter.Writer {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, heads)
	return t
}

func label(name string) string { return fmt.Sprintf("%-36s", name) }

func (b *bench) ratios(w io.Writer) bool {
	met := true
	t := table(w, label("")+"\tmycr ms\tcrun ms\tratio\tquartiles\tfloor\ttarget\tmet\t")
	for _, r := range b.rows {
		low, high := quartiles(r.mycr, r.crun)
		floor, target, reached := "", "", ""
		if len(r.floor) > 0 {
			floor = fmt.Sprintf("%.2f", float64(r.floor.median().wall)/float64(r.crun.median().wall))
		}
		if r.target > 0 {
			target, reached = fmt.Sprintf("%.2f", r.target), "yes"
			if r.ratio() > r.target {
				reached, met = "no", false
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%.2f\t%.2f-%.2f\t%s\t%s\t%s\t\n", label(r.name),
			milliseconds(r.mycr.median().wall), milliseconds(r.crun.median().wall), r.ratio(), low, high, floor, target, reached)
	}
	t.Flush()
	return met
}

func (b *bench) usage(w io.Writer) {
	t := table(w, label("")+"\tfaults: mycr\tcrun\tfloor\tswitches: mycr\tcrun\tfloor\t")
	for _, r := range b.rows {
		mycr, crun, floorFaults, floorSwitches := r.mycr.median(), r.crun.median(), "", ""
		if len(r.floor) > 0 {
			floor := r.floor.median()
			floorFaults, floorSwitches = fmt.Sprint(floor.faults), fmt.Sprint(floor.switches)
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%d\t%d\t%s\t\n", label(r.name),
			mycr.faults, crun.faults, floorFaults, mycr.switches, crun.switches, floorSwitches)
	}
	for _, c := range b.costs {
		m := c.series.median()
		fmt.Fprintf(t, "%s\t%d\t\t\t%d\t\t\t\n", label(c.name), m.faults, m.switches)
	}
	t.Flush()
}

// explanation takes `run` apart: what the kernel and the helpers need, the
// start of a Go program twice (the command, and init), and the rest. Page
// faults are in all three.
func (b *bench) explanation(w io.Writer, fault time.Duration) {
	t := table(w, label("")+"\tms\tof crun's run\t")
	crun := b.rows[0].crun.median().wall
	line := func(name string, d time.Duration, of time.Duration) {
		fmt.Fprintf(t, "%s\t%s\t%.2f\t\n", label(name), milliseconds(d), float64(d)/float64(of))
	}
	for _, c := range b.costs {
		line(c.name, c.series.median().wall, crun)
	}
	if b.hasFloor {
		start := b.cost("mycr --version").median().wall - b.cost("a C program that does nothing").median().wall
		for _, r := range b.rows[:2] {
			all, floor, peer := r.mycr.median().wall, r.floor.median().wall, r.crun.median().wall
			line(r.name+": mycr", all, peer)
			line("  the kernel's work (floor)", floor, peer)
			line("  two starts of mycr beyond C's", 2*start, peer)
			line("  the rest: mycr's own", all-floor-2*start, peer)
			line("  page faults in all this, at least", time.Duration(r.mycr.median().faults)*fault, peer)
		}
	}
	t.Flush()
}
