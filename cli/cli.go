// SPDX-License-Identifier: Apache-2.0

// Package cli is the command line: a file per command, which turns flags into
// one call and prints what comes back. Words, texts and exit statuses are
// runc's, because engines drive it.
package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"mycr/container"
)

// Main runs the command of args, whose first word is the program's name, and
// returns the exit status.
func Main(args []string) int {
	s := &session{argv: args}
	c, words, status, err := s.parse(args[1:])
	if err == nil {
		status, err = c.run(s, words)
	}
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
	"do", "run", "create", "start", "exec", "kill", "delete", "state", "list", "ps", "stats", "events",
	"update", "pause", "resume", "port", "publish", "spec", "features", "install", "checkpoint", "restore", "help",
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
	case "stats":
		return &stats{}
	case "events":
		return &events{}
	case "update":
		return &changeLimits{}
	case "pause":
		return &pause{}
	case "resume":
		return &resume{}
	case "port":
		return &port{}
	case "publish":
		return &publish{}
	case "do":
		return &do{}
	case "spec":
		return &spec{}
	case "features":
		return &featuresOf{}
	case "install":
		return &install{}
	case "help":
		return &help{}
	case "checkpoint", "restore":
		return &later{name: word}
	}
	return nil
}

// session is one run of mycr.
type session struct {
	globals
	argv []string
	log  int // descriptor of --log's file, 0 for none
}

// parse finds the command, lets it take its flags, and returns the words that
// are left. With an error comes the exit status, 0 meaning 1.
func (s *session) parse(args []string) (c command, words []string, status int, err error) {
	f := newFlags("mycr")
	f.SetInterspersed(false)
	s.define(f)
	version := f.BoolP("version", "v", false, "print the version")
	err = f.Parse(normalise(f, args, true))
	if err == nil {
		err = s.takeGlobals()
	}
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return &help{}, nil, 0, nil
	case err != nil:
	case *version:
		return &versionOf{}, nil, 0, nil
	case f.NArg() == 0:
		err = errors.New("no command")
	case named(f.Arg(0)) == nil:
		err = fmt.Errorf("unknown command %q", f.Arg(0))
	default:
		return s.parseCommand(f.Arg(0), f.Args()[1:])
	}
	return nil, nil, 1, wrongUsage(err, "mycr help")
}

// parseCommand is parse behind the command's word.
func (s *session) parseCommand(word string, args []string) (c command, words []string, status int, err error) {
	c = named(word)
	a := c.about()
	f := newFlags(word)
	f.SetInterspersed(!a.first)
	c.flags(f)
	s.define(f)
	err = f.Parse(normalise(f, args, a.first))
	if _, missing := c.(*later); missing && errors.Is(err, pflag.ErrHelp) {
		return c, nil, 0, nil // podman takes the status of checkpoint --help for an answer
	}
	if errors.Is(err, pflag.ErrHelp) {
		return &help{}, []string{word}, 0, nil
	}
	if err == nil {
		err = s.takeGlobals()
	}
	if err == nil {
		err = countWords(word, &a, f.NArg())
	}
	if err != nil {
		return nil, nil, a.failure, wrongUsage(err, "mycr "+word+" --help")
	}
	return c, f.Args(), 0, nil
}

// takeGlobals checks the global flags and opens the log, so that one that
// cannot be had is told before anything is done.
func (s *session) takeGlobals() error {
	if err := s.check(); err != nil {
		return err
	}
	if s.logPath == "" {
		return nil
	}
	// Of a FIFO that nobody reads nothing is to be waited for.
	const flags = unix.O_WRONLY | unix.O_APPEND | unix.O_CREAT | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
	fd, err := unix.Open(s.logPath, flags, 0o644)
	if err != nil {
		return fmt.Errorf("--log: open %q: %w", s.logPath, err)
	}
	if s.log > 0 { // given before the command and behind it
		unix.Close(s.log)
	}
	s.log = fd
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

// openRoot opens the directory of states.
func (s *session) openRoot() (*container.Root, error) { return container.OpenRoot(s.root) }

// load opens the state of a container.
func (s *session) load(id string) (*container.Container, error) {
	root, err := s.openRoot()
	if err != nil {
		return nil, err
	}
	return root.Load(id)
}
