// SPDX-License-Identifier: Apache-2.0

package cli

import "github.com/spf13/pflag"

// remove deletes a container.
type remove struct{ force bool }

func (*remove) about() about {
	return about{usage: "[--force] ID", does: "delete a container that has ended", least: 1, most: 1}
}

func (r *remove) flags(f *pflag.FlagSet) {
	f.BoolVarP(&r.force, "force", "f", false, "kill it first, and do not mind if there is none")
}

func (r *remove) run(s *session, args []string) (int, error) {
	root, err := s.openRoot()
	if err != nil {
		return 1, err
	}
	notes, err := root.Delete(args[0], r.force)
	s.tellNotes(notes)
	return 0, err
}
