// SPDX-License-Identifier: Apache-2.0

package cli

import "github.com/spf13/pflag"

// start lets a created container's process run.
type start struct{}

func (*start) about() about {
	return about{usage: "ID", does: "start the process of a created container", least: 1, most: 1}
}

func (*start) flags(*pflag.FlagSet) {}

func (*start) run(s *session, args []string) (int, error) {
	root, err := s.openRoot()
	if err != nil {
		return 1, err
	}
	return 0, root.Start(args[0])
}
