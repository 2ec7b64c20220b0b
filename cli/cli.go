// SPDX-License-Identifier: Apache-2.0

// Package cli is the command line: a file per command, which turns flags into
// one call and prints what comes back. Words, texts and exit statuses are
// runc's, because engines drive it.
package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"mycr/container"
)

// Main runs the command of args, whose first word is the program's name, and
// returns the exit status.
func Main(args []string) int {
	// exec starts again from a sealed executable; what is done before that is
	// done twice.
	if commandWord(args[1:]) == "exec" {
		if err := container.SealSelf(args, os.Environ()); err != nil {
			return (&session{}).fail(execFailed, err)
		}
	}
	s := &session{}
	status, err := s.dispatch(args[1:])
	if err != nil {
		return s.fail(max(status, 1), err)
	}
	return status
}

// command is one of mycr's commands.
type command interface {
	about() about
	flags(f *pflag.FlagSet)
	// run does it with the words that are no flags. The status goes with an
	// error too, 0 then meaning 1.
	run(s *session, args []string) (status int, err error)
}

// about is what there is to say about a command.
type about struct {
	usage string // what follows its word
	does  string // in one line
	more  string // for its help, "" is nothing
	least int    // words that are no flags
	most  int    // -1 is any number
	first bool   // flags end at the first word that is none
	// failure is the exit status for flags and words that are wrong, 0 is 1.
	failure int
}

// names are all commands, in the order of help.
var names = [...]string{
	"do", "run", "create", "start", "exec", "kill", "delete", "state", "list", "ps", "spec", "features",
	"update", "pause", "resume", "events", "checkpoint", "restore", "help",
}

// named returns the command of that name, nil if there is none.
func named(word string) command {
	switch word {
	case "create":
		return &create{}
	case "run":
		return &run{}
	case "start":
		return &start{}
	case "state":
		return &state{}
	case "list":
		return &list{}
	case "kill":
		return &kill{}
	case "delete":
		return &remove{}
	case "exec":
		return &execute{}
	case "ps":
		return &ps{}
	case "do":
		return &do{}
	case "spec":
		return &spec{}
	case "features":
		return &featuresOf{}
	case "help":
		return &help{}
	case "update", "pause", "resume", "events", "checkpoint", "restore":
		return &later{name: word}
	}
	return nil
}

// session is one run of mycr.
type session struct {
	globals
	log *os.File // of --log, or nil
}

func (s *session) dispatch(args []string) (int, error) {
	f := newFlags("mycr")
	f.SetInterspersed(false)
	s.define(f)
	version := f.BoolP("version", "v", false, "print the version")
	err := f.Parse(normalise(f, args, true))
	if err == nil {
		err = s.takeGlobals()
	}
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return 0, s.printHelp()
	case err != nil:
		return 1, wrongUsage(err, "mycr help")
	case *version:
		return 0, printVersion()
	case f.NArg() == 0:
		return 1, wrongUsage(errors.New("no command"), "mycr help")
	}
	word := f.Arg(0)
	c := named(word)
	if c == nil {
		return 1, wrongUsage(fmt.Errorf("unknown command %q", word), "mycr help")
	}
	return s.runCommand(word, c, f.Args()[1:])
}

func (s *session) runCommand(word string, c command, args []string) (int, error) {
	a := c.about()
	f := newFlags(word)
	f.SetInterspersed(!a.first)
	c.flags(f)
	s.define(f)
	err := f.Parse(normalise(f, args, a.first))
	if errors.Is(err, pflag.ErrHelp) {
		return 0, printCommandHelp(word, c)
	}
	if err == nil {
		err = s.takeGlobals()
	}
	if err == nil {
		err = countWords(word, &a, f.NArg())
	}
	if err != nil {
		return a.failure, wrongUsage(err, "mycr "+word+" --help")
	}
	return c.run(s, f.Args())
}

// takeGlobals checks the global flags and opens the log, so that one that
// cannot be had is told before anything is done.
func (s *session) takeGlobals() error {
	if err := s.check(); err != nil {
		return err
	}
	if s.logPath == "" || s.log != nil && s.log.Name() == s.logPath {
		return nil
	}
	var err error
	if s.log, err = os.OpenFile(s.logPath, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644); err != nil {
		return fmt.Errorf("--log: %w", err)
	}
	return nil
}

func newFlags(name string) *pflag.FlagSet {
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	return f
}

func countWords(word string, a *about, n int) error {
	switch {
	case n < a.least:
		return fmt.Errorf("%s needs more words: mycr %s %s", word, word, a.usage)
	case a.most >= 0 && n > a.most:
		return fmt.Errorf("%s takes fewer words: mycr %s %s", word, word, a.usage)
	}
	return nil
}

// root opens the directory of states.
func (s *session) openRoot() (*container.Root, error) { return container.OpenRoot(s.root) }
