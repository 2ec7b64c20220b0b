// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/pflag"

	"mycr/bundle"
	"mycr/container"
	"mycr/process"
)

// execute runs one more process in a container.
type execute struct {
	file                                string
	detach, tty, noNewPrivs             bool
	ignorePaused                        bool
	pidFile, consoleSocket, pidfdSocket string
	cwd, user, apparmor, label, cgroup  string
	env, caps                           []string
	groups                              []uint
	preserveFDs                         int
	set                                 *pflag.FlagSet
}

func (*execute) about() about {
	return about{
		usage: "[flags] ID COMMAND... | [flags] --process FILE ID", does: "run one more process in a container",
		more: "Without --process it is the container's own process with another command.\n" +
			"The exit status is the process's, or 128 and the number of the signal that ended it; 255 if it could not start.",
		least: 1, most: -1, first: true,
	}
}

func (e *execute) flags(f *pflag.FlagSet) {
	f.StringVarP(&e.file, "process", "p", "", "`FILE` with the process object of a config.json")
	f.BoolVarP(&e.detach, "detach", "d", false, "do not wait for the end")
	f.StringVar(&e.pidFile, "pid-file", "", "write the process's pid to `FILE`")
	f.BoolVarP(&e.tty, "tty", "t", false, "give it a terminal")
	f.StringVar(&e.consoleSocket, "console-socket", "", "send the terminal's master to the unix socket `PATH`")
	f.StringVar(&e.pidfdSocket, "pidfd-socket", "", "send a pidfd of the process to the unix socket `PATH`")
	f.StringVar(&e.cwd, "cwd", "", "`DIR` in the container to start in")
	f.StringArrayVarP(&e.env, "env", "e", nil, "one more variable `NAME=VALUE`, may be repeated")
	f.StringVarP(&e.user, "user", "u", "", "`UID|NAME[:GID|GROUP]`, names as in the container's /etc/passwd and /etc/group")
	f.UintSliceVarP(&e.groups, "additional-gids", "g", nil, "one more group `GID`, may be repeated")
	f.StringArrayVarP(&e.caps, "cap", "c", nil, "one more capability `NAME`, may be repeated")
	f.BoolVar(&e.noNewPrivs, "no-new-privs", false, "let it gain nothing by set-user-ID programs")
	f.IntVar(&e.preserveFDs, "preserve-fds", 0, "pass `N` descriptors from 3 on")
	f.StringVar(&e.apparmor, "apparmor", "", "AppArmor `PROFILE`")
	f.StringVar(&e.label, "process-label", "", "SELinux `LABEL`")
	f.StringVar(&e.cgroup, "cgroup", "", "`PATH` of a cgroup below the container's, for the process to be in")
	f.BoolVar(&e.ignorePaused, "ignore-paused", false, "join a paused container too; the process begins when it is resumed")
	f.Bool("no-subreaper", false, "accepted, for exec adopts no orphans")
	f.MarkHidden("no-subreaper")
	e.set = f
}

func (e *execute) run(s *session, args []string) (int, error) {
	if err := e.check(args); err != nil {
		return 1, wrongUsage(err, "mycr exec --help")
	}
	c, err := s.load(args[0])
	if err != nil {
		return execFailed, err
	}
	defer c.Close()
	if err := c.Seal(s.argv, os.Environ()); err != nil && c.Status() != specs.StateStopped {
		return execFailed, err
	}
	p, err := e.process(c, args[1:])
	if err != nil && c.Status() == specs.StateStopped {
		err = errors.New("cannot exec in a stopped container") // and so there is no root to look at
	}
	if err != nil {
		return execFailed, err
	}
	o := container.ExecOptions{
		Process: p, PidFile: e.pidFile, ConsoleSocket: e.consoleSocket,
		PreserveFDs: e.preserveFDs, Foreground: !e.detach, Cgroup: e.cgroup, IgnorePaused: e.ignorePaused,
	}
	s.debug("exec %q in %s", p.Args, c.ID())
	if e.detach {
		if _, err := e.join(c, o); err != nil {
			return execFailed, err
		}
		return 0, nil
	}
	return e.stay(s, c, o)
}

// stay starts the process and waits for its end.
func (e *execute) stay(s *session, c *container.Container, o container.ExecOptions) (int, error) {
	f := &foreground{}
	if err := f.begin(); err != nil {
		return execFailed, err
	}
	defer f.end()
	if o.Process.Terminal && o.ConsoleSocket == "" {
		if size := f.terminal.size(); size != nil {
			o.Process.ConsoleSize = size
		}
	}
	started, err := e.join(c, o)
	if err != nil {
		return execFailed, err
	}
	return f.wait(started)
}

func (e *execute) check(args []string) error {
	switch {
	case e.preserveFDs < 0:
		return fmt.Errorf("--preserve-fds: %d is negative", e.preserveFDs)
	case e.file == "" && len(args) < 2:
		return errors.New("exec needs a command, or --process FILE")
	case e.file != "" && len(args) > 1:
		return fmt.Errorf("exec has --process %s and a command, %q: one of them is too much", e.file, args[1])
	}
	return nil
}

// process makes the process object out of the file, or of the container's own
// process and the flags.
func (e *execute) process(c *container.Container, args []string) (*specs.Process, error) {
	if e.file != "" {
		p, err := bundle.ReadProcess(e.file)
		if err != nil {
			return nil, err
		}
		return p, errors.Join(bundle.CheckProcess(p), giveHome(c, p))
	}
	p, err := c.Process()
	if err != nil {
		return nil, err
	}
	p.Args, p.Terminal, p.ConsoleSize = args, e.tty, nil
	p.CommandLine = ""
	if e.cwd != "" {
		p.Cwd = e.cwd
	}
	if e.apparmor != "" {
		p.ApparmorProfile = e.apparmor
	}
	if e.label != "" {
		p.SelinuxLabel = e.label
	}
	if e.set.Changed("no-new-privs") {
		p.NoNewPrivileges = e.noNewPrivs
	}
	for _, variable := range e.env {
		if i := strings.IndexByte(variable, '='); i <= 0 {
			return nil, fmt.Errorf("--env %q is not NAME=VALUE", variable)
		}
	}
	p.Env = append(p.Env, e.env...)
	if e.user != "" {
		if err := becomeUser(c, p, e.user); err != nil {
			return nil, err
		}
	}
	for _, gid := range e.groups {
		if gid >= 1<<32-1 {
			return nil, fmt.Errorf("--additional-gids: %d is no group id", gid)
		}
		p.User.AdditionalGids = append(p.User.AdditionalGids, uint32(gid))
	}
	if len(e.caps) > 0 {
		names := make([]string, len(e.caps))
		for i, name := range e.caps {
			if names[i] = strings.ToUpper(name); !strings.HasPrefix(names[i], "CAP_") {
				names[i] = "CAP_" + names[i]
			}
		}
		process.AddCapabilities(p, names)
	}
	return p, errors.Join(bundle.CheckProcess(p), giveHome(c, p))
}
