// SPDX-License-Identifier: Apache-2.0

package netns

import "testing"

func TestResolve(t *testing.T) {
	for _, c := range []struct {
		word     string
		new      bool
		loopback bool
		fails    bool
	}{
		{"", true, true, false},
		{"", false, false, false},
		{"none", true, true, false},
		{"host", false, false, false},
		{"host", true, false, true},
		{"pasta", true, false, true},
	} {
		p, err := Resolve(c.word, Facts{New: c.new})
		if (err != nil) != c.fails || p.Loopback != c.loopback {
			t.Errorf("Resolve(%q, new %v) = %+v, %v", c.word, c.new, p, err)
		}
	}
}
