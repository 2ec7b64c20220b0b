// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/pflag"
)

// ps prints a container's processes.
type ps struct{ format string }

func (*ps) about() about {
	return about{
		usage: "[--format table|json] ID [PS OPTIONS]", does: "print the processes of a container",
		more:  "With options of ps(1) that program makes the table.",
		least: 1, most: -1, first: true,
	}
}

func (p *ps) flags(f *pflag.FlagSet) {
	f.StringVarP(&p.format, "format", "f", "table", "`table|json` form of the list")
}

func (p *ps) run(s *session, args []string) (int, error) {
	if !oneOf(p.format, "table json") {
		return 1, fmt.Errorf("invalid format option: --format %q is none of table, json", p.format)
	}
	c, err := s.load(args[0])
	if err != nil {
		return 1, err
	}
	defer c.Close()
	pids, err := c.Pids()
	if err != nil {
		return 1, err
	}
	if p.format == "json" {
		if pids == nil {
			pids = []int{}
		}
		text, err := json.Marshal(pids)
		if err != nil {
			return 1, err
		}
		return 0, output(append(text, '\n'))
	}
	if len(args) > 1 {
		text, err := psTable(pids, args[1:])
		if err != nil {
			return 1, err
		}
		return 0, output(text)
	}
	return 0, output(processTable(pids))
}
