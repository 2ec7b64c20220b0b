// SPDX-License-Identifier: Apache-2.0

package cli

import "github.com/spf13/pflag"

// pause stops the processes of a container where they are.
type pause struct{}

func (*pause) about() about {
	return about{
		usage: "ID", does: "freeze all processes of a container", least: 1, most: 1,
		more: "When pause returns, none of them runs. Only KILL reaches them then.",
	}
}

func (*pause) flags(*pflag.FlagSet) {}

func (*pause) run(s *session, args []string) (int, error) {
	root, err := s.openRoot()
	if err != nil {
		return 1, err
	}
	return 0, root.Pause(args[0])
}

// resume lets them go on.
type resume struct{}

func (*resume) about() about {
	return about{usage: "ID", does: "let a paused container continue", least: 1, most: 1}
}

func (*resume) flags(*pflag.FlagSet) {}

func (*resume) run(s *session, args []string) (int, error) {
	root, err := s.openRoot()
	if err != nil {
		return 1, err
	}
	return 0, root.Resume(args[0])
}
