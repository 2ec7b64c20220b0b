// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/pflag"

	"mycr/container"
)

// list prints all containers of the state directory.
type list struct {
	format string
	quiet  bool
}

func (*list) about() about {
	return about{usage: "[flags]", does: "list containers"}
}

func (l *list) flags(f *pflag.FlagSet) {
	f.StringVarP(&l.format, "format", "f", "table", "`table|json` form of the list")
	f.BoolVarP(&l.quiet, "quiet", "q", false, "only the ids")
}

func (l *list) run(s *session, _ []string) (int, error) {
	if !oneOf(l.format, "table json") {
		return 1, fmt.Errorf("invalid format option: --format %q is none of table, json", l.format)
	}
	root, err := s.openRoot()
	if err != nil {
		return 1, err
	}
	states, unread := root.List()
	text, err := l.text(states)
	if err != nil {
		return 1, err
	}
	return 0, errors.Join(output(text), errors.Join(unread...))
}

func (l *list) text(states []container.State) ([]byte, error) {
	var out bytes.Buffer
	switch {
	case l.quiet:
		for _, c := range states {
			fmt.Fprintln(&out, c.ID)
		}
	case l.format == "json":
		if states == nil {
			states = []container.State{}
		}
		if err := json.NewEncoder(&out).Encode(states); err != nil {
			return nil, err
		}
	default:
		w := tabwriter.NewWriter(&out, 12, 1, 3, ' ', 0)
		fmt.Fprint(w, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER\n")
		for _, c := range states {
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", c.ID, c.PID, c.Status, printable(c.Bundle), c.Created, printable(c.Owner))
		}
		w.Flush()
	}
	return out.Bytes(), nil
}
