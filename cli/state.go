// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"mycr/coldjson"
)

// state prints what is known of a container.
type state struct{}

func (*state) about() about {
	return about{usage: "ID", does: "print the state of a container as JSON", least: 1, most: 1}
}

func (*state) flags(*pflag.FlagSet) {}

func (*state) run(s *session, args []string) (int, error) {
	c, err := s.load(args[0])
	if err != nil {
		return 1, err
	}
	defer c.Close()
	text, err := coldjson.MarshalIndent(c.State(), "  ")
	if err != nil {
		return 1, err
	}
	return 0, output(append(text, '\n'))
}

// output writes to stdout; a full disk or a closed pipe is an error.
func output(text []byte) error {
	if _, err := os.Stdout.Write(text); err != nil {
		return fmt.Errorf("write to stdout: %w", err)
	}
	return nil
}
