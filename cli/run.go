// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"mycr/container"
	"mycr/netns"
)

// run is create and start, and in the foreground the wait for the end.
type run struct {
	creation
	detach, keep, noSubreaper bool
}

func (*run) about() about {
	return about{
		usage: "[flags] ID", does: "run a bundle: create, start, wait, delete", least: 1, most: 1,
		more: "The exit status is the process's, or 128 and the number of the signal that ended it.\n" +
			"Signals that mycr gets go to the process, but CHLD, URG, PIPE, TTIN, TTOU and TSTP.",
	}
}

func (r *run) flags(f *pflag.FlagSet) {
	r.define(f)
	r.network.define(f, "without it auto for a user, none for root")
	f.BoolVarP(&r.detach, "detach", "d", false, "do not wait for the end")
	f.BoolVar(&r.keep, "keep", false, "do not delete the container when it has ended")
	f.BoolVar(&r.noSubreaper, "no-subreaper", false, "do not adopt the orphans of a container that has no pid namespace")
}

func (r *run) run(s *session, args []string) (int, error) {
	o, err := r.options(s, args[0], netns.Auto)
	if err != nil {
		return 1, err
	}
	root, err := s.openRoot()
	if err != nil {
		return 1, err
	}
	o.Start, o.Foreground = true, !r.detach
	if r.detach {
		c, _, err := r.make(root, o)
		if err != nil {
			return 1, err
		}
		s.tellNotes(c.Notes())
		c.Close()
		return 0, nil
	}
	return s.foregroundRun(root, &r.creation, o, &foreground{subreaper: !r.noSubreaper}, r.keep)
}

// foregroundRun makes a container, stays with it until it has ended, and
// deletes it.
func (s *session) foregroundRun(root *container.Root, flags *creation, o container.CreateOptions, f *foreground, keep bool) (int, error) {
	if err := f.begin(); err != nil {
		return 1, err
	}
	defer f.end()
	if wantsTerminal(o.Spec) && o.ConsoleSocket == "" {
		if size := f.terminal.size(); size != nil {
			o.Spec.Process.ConsoleSize = size
		}
	}
	c, p, err := flags.make(root, o)
	if err != nil {
		return 1, err
	}
	defer c.Close()
	s.tellNotes(c.Notes())
	if !o.Reaper { // which hands on all signals
		f.send = func(sig unix.Signal) (string, error) {
			note, err := c.Kill(sig, false)
			if note != "" {
				note += "; to end it: " + s.again("kill "+c.ID()+" KILL")
			}
			return note, err
		}
	}
	witness, refusals, notifier := c.Witness(), c.Refusals(), startNotifier(p.Notify)
	status, err := f.wait(p)
	if nerr := notifier.finish(); nerr != nil {
		s.note(nerr.Error())
	}
	s.tellNotes(witness.Verdict(status))
	if refused, rerr := refusals(); rerr != nil {
		s.note(rerr.Error())
	} else {
		s.tellNotes(refused)
	}
	if !keep {
		notes, derr := c.Delete(true)
		s.tellNotes(notes)
		err = errors.Join(err, derr)
	}
	if err != nil {
		return max(status, 1), err
	}
	return status, nil
}

// tellNotes tells what is not as asked.
func (s *session) tellNotes(notes []string) {
	for _, note := range notes {
		s.note(note)
	}
}

// again is a line to type for the same state directory.
func (s *session) again(words string) string {
	if s.root != "" {
		return "mycr --root " + s.root + " " + words
	}
	return "mycr " + words
}
