// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestLess(t *testing.T) {
	of := func(values ...float64) *way {
		w := &way{}
		for _, v := range values {
			w.figures = append(w.figures, figures{up: v})
		}
		return w
	}
	for _, c := range []struct {
		name    string
		w, than *way
		want    bool
	}{
		{"each is less, in the fewest rounds", of(1, 2, 3), of(4, 5, 6), true},
		{"each is more", of(4, 5, 6), of(1, 2, 3), false},
		{"the same", of(5, 5, 5, 5), of(5, 5, 5, 5), false},
		{"a little less, each time", of(90, 91, 89, 90, 92, 88, 90), of(100, 99, 101, 100, 98, 102, 93), true},
		{"two speeds, by chance", of(16, 55, 32, 72, 36, 43, 168, 55, 101), of(48, 697, 13, 882, 46, 7, 71, 723, 100), false},
		{"half, with much noise", of(55, 32, 72, 36, 43, 68, 55, 80), of(96, 123, 64, 172, 70, 86, 136, 111), true},
	} {
		if got := less(c.w, c.than, figures.ofUp); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
