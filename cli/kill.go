// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"mycr/container"
)

// kill sends a signal to a container.
type kill struct{ all bool }

func (*kill) about() about {
	return about{
		usage: "[--all] ID [SIGNAL]", does: "send a signal to a container's init, TERM if none is named",
		more:  "SIGNAL is a name with or without SIG, RTMIN+N, RTMAX-N, or a number.",
		least: 1, most: 2, first: true,
	}
}

func (k *kill) flags(f *pflag.FlagSet) {
	f.BoolVarP(&k.all, "all", "a", false, "to all processes of the container")
}

func (k *kill) run(s *session, args []string) (int, error) {
	word := "TERM"
	if len(args) == 2 {
		word = args[1]
	}
	c, err := s.load(args[0])
	if err != nil {
		return 1, err
	}
	defer c.Close()
	sig, err := parseSignal(word)
	if err != nil {
		return 1, err
	}
	note, err := c.Kill(sig, k.all)
	if k.all && errors.Is(err, container.ErrNotRunning) && c.Status() == specs.StateStopped {
		return 0, nil // as runc: all of none have it
	}
	if err != nil {
		return 1, err
	}
	// A number comes from an engine, which shows what is on stderr to its own user: of what it does next it knows.
	if _, err := strconv.Atoi(word); note != "" && err != nil {
		fmt.Fprintf(os.Stderr, "mycr: note: %s; to end it: %s\n", note, s.again("kill "+c.ID()+" KILL"))
	}
	return 0, nil
}

// The numbers of the first and last real-time signal as libc counts them:
// glibc keeps two for itself.
const (
	sigRTMin = 34
	sigRTMax = 64
)

// parseSignal reads a signal's name or number; 0 only asks whether the process
// is there. See signal(7).
func parseSignal(word string) (unix.Signal, error) {
	if n, err := strconv.Atoi(word); err == nil {
		if n < 0 || n > sigRTMax {
			return 0, fmt.Errorf("unknown signal %q: numbers go to %d", word, sigRTMax)
		}
		return unix.Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(word), "SIG")
	switch name { // second names, as kill(1) has them
	case "IOT":
		name = "ABRT"
	case "CLD":
		name = "CHLD"
	case "POLL":
		name = "IO"
	}
	if n := unix.SignalNum("SIG" + name); n != 0 {
		return n, nil
	}
	base, rest := 0, ""
	if after, found := strings.CutPrefix(name, "RTMIN"); found {
		base, rest = sigRTMin, after
	} else if after, found := strings.CutPrefix(name, "RTMAX"); found {
		base, rest = sigRTMax, after
	}
	if base != 0 {
		n := 0
		var err error
		if rest != "" {
			n, err = strconv.Atoi(rest)
		}
		signed := rest == "" || rest[0] == '+' || rest[0] == '-'
		if err == nil && signed && base+n >= sigRTMin && base+n <= sigRTMax {
			return unix.Signal(base + n), nil
		}
	}
	return 0, fmt.Errorf("unknown signal %q", word)
}
