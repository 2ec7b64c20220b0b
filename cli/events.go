// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/pflag"

	"mycr/cgroupdelegate"
	"mycr/container"
)

// events prints what happens to a container, in runc's form.
type events struct {
	once     bool
	interval time.Duration
}

func (*events) about() about {
	return about{
		usage: "[--stats | --interval DURATION] ID", does: "print statistics and out-of-memory kills of a container as JSON", least: 1, most: 1,
		more: "A line is an object with type (stats or oom), id and data, as runc's. An oom comes as it happens;\n" +
			"events ends when the container does. See stats for a table.",
	}
}

func (e *events) flags(f *pflag.FlagSet) {
	f.BoolVar(&e.once, "stats", false, "print the statistics of now, and end")
	f.DurationVar(&e.interval, "interval", 5*time.Second, "`DURATION` between two statistics")
}

func (e *events) run(s *session, args []string) (int, error) {
	if e.interval <= 0 {
		return 1, errors.New("duration interval must be greater than 0")
	}
	c, err := s.load(args[0])
	if err != nil {
		return 1, err
	}
	defer c.Close()
	if c.Status() == specs.StateStopped {
		return 1, fmt.Errorf("container with id %s is not running", c.ID())
	}
	if e.once {
		return 0, printStats(c)
	}
	killed := func(uint64) error { return printEvent(cgroupdelegate.OOMEvent(c.ID())) }
	return 0, c.Follow(e.interval, killed, func() error { return printStats(c) })
}

func printStats(c *container.Container) error {
	stats, err := c.Stats()
	if err != nil {
		return err
	}
	return printEvent(stats.Event(c.ID()))
}

func printEvent(e cgroupdelegate.Event) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return output(append(text, '\n'))
}
