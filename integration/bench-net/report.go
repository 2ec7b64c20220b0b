// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func medianOf(w *way, of func(figures) float64) float64 {
	var values []float64
	for _, f := range w.figures {
		values = append(values, of(f))
	}
	return median(values)
}

// less tells whether a way's figures are less than another's by more than
// chance: the test of Mann and Whitney, one-sided, at the level of 2.5 %. For
// pasta's upload, medians of a few rounds say nothing: it is tenfold faster in
// some of them, whoever has started it.
func less(w, than *way, of func(figures) float64) bool {
	wins, n, m := 0.0, float64(len(w.figures)), float64(len(than.figures))
	for _, a := range w.figures {
		for _, b := range than.figures {
			switch {
			case of(a) > of(b):
				wins++
			case of(a) == of(b):
				wins += 0.5
			}
		}
	}
	return (wins-n*m/2)/math.Sqrt(n*m*(n+m+1)/12) < -1.96
}

func (b *bench) way(name string) *way {
	for _, w := range b.ways {
		if w.name == name {
			return w
		}
	}
	return nil
}

// report prints what was measured, and says whether every target is met.
func (b *bench) report(out io.Writer) bool {
	up := func(w *way) float64 { return medianOf(w, figures.ofUp) }
	down := func(w *way) float64 { return medianOf(w, figures.ofDown) }
	trip := func(w *way) float64 { return -medianOf(w, figures.ofHaste) }
	first := func(w *way) float64 { return median(w.first) }
	base := b.ways[0]
	if w := b.way("slirp4netns alone"); w != nil {
		base = w
	}
	fmt.Fprintf(out, "medians of %d (starts: %d), in turns; ratios to %s\n\n", b.rounds, b.starts, base.name)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tup MB/s\tratio\tdown MB/s\tratio\tround trip µs\tratio\tfirst byte ms\tratio\t")
	for _, w := range b.ways {
		fmt.Fprintf(t, "%s\t%.0f\t%.2f\t%.0f\t%.2f\t%.0f\t%.2f\t%.1f\t%.2f\t\n", w.name, up(w)/1e6, up(w)/up(base),
			down(w)/1e6, down(w)/down(base), trip(w), trip(w)/trip(base), first(w), first(w)/first(base))
	}
	t.Flush()

	fmt.Fprintln(out, "\nwhat a network adds to mycr run, beside the driver's own start on a namespace that is there, in ms")
	t = tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tprogram runs\tadded\tall is over\tadded\tdriver alone\tadded/alone\t")
	none := b.runs[0]
	added := map[string]float64{}
	alone := map[string]float64{}
	for _, d := range b.drivers {
		alone[d.name] = median(d.took)
	}
	for _, r := range b.runs {
		program, whole := median(r.program), median(r.whole)
		added[r.name] = program - median(none.program)
		own, ratio := "", ""
		if a := alone[r.name]; a > 0 {
			own, ratio = fmt.Sprintf("%.1f", a), fmt.Sprintf("%.2f", added[r.name]/a)
		}
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%s\t%s\t\n", r.name, program, added[r.name], whole, whole-median(none.whole), own, ratio)
	}
	t.Flush()

	fmt.Fprintln(out)
	all := true
	target := func(what string, ratio float64, met bool) {
		answer := "yes"
		if !met {
			answer, all = "no", false
		}
		fmt.Fprintf(out, "%-64s %5.2f  %s\n", what, ratio, answer)
	}
	if mine, own := b.way("mycr pasta"), b.way("pasta alone"); own != nil {
		fmt.Fprintln(out, "what mycr adds to pasta is judged by ranks: no where it is less by more than chance")
		target("mycr adds nothing to pasta: up", up(mine)/up(own), !less(mine, own, figures.ofUp))
		target("mycr adds nothing to pasta: down", down(mine)/down(own), !less(mine, own, figures.ofDown))
		target("mycr adds nothing to pasta: round trip", trip(mine)/trip(own), !less(mine, own, figures.ofHaste))
	}
	if slirp := b.way("mycr slirp4netns"); slirp != nil {
		target("internal is as fast as slirp4netns: up", up(b.ways[0])/up(slirp), up(b.ways[0]) >= up(slirp))
		target("internal is as fast as slirp4netns: down", down(b.ways[0])/down(slirp), down(b.ways[0]) >= down(slirp))
		target("internal is as fast as slirp4netns: round trip", trip(b.ways[0])/trip(slirp), trip(b.ways[0]) <= trip(slirp))
	}
	for name, own := range alone {
		target("a network adds less than its driver's own start: "+name, added[name]/own, added[name] < own)
		target("internal adds less than "+name, added["internal"]/added[name], added["internal"] < added[name])
	}
	return all
}
