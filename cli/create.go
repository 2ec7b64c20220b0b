// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/pflag"

	"mycr/bundle"
	"mycr/container"
	"mycr/netns"
)

// creation are the flags that create and run share.
type creation struct {
	bundle, pidFile, consoleSocket, pidfdSocket string
	noPivot, noNewKeyring, trustAnnotations     bool
	preserveFDs                                 int
	network                                     network
}

func (c *creation) define(f *pflag.FlagSet) {
	f.StringVarP(&c.bundle, "bundle", "b", "", "`DIR` with config.json (default the current one)")
	f.StringVar(&c.pidFile, "pid-file", "", "write the pid of the container's init to `FILE`")
	f.StringVar(&c.consoleSocket, "console-socket", "", "send the terminal's master to the unix socket `PATH`")
	f.StringVar(&c.pidfdSocket, "pidfd-socket", "", "send a pidfd of the container's init to the unix socket `PATH`")
	f.BoolVar(&c.noPivot, "no-pivot", false, "move the root mount instead of pivot_root, as on an initramfs")
	f.BoolVar(&c.noNewKeyring, "no-new-keyring", false, "keep the caller's session keyring")
	f.BoolVar(&c.trustAnnotations, "trust-annotations", false, "obey annotations of config.json that name properties of systemd")
	f.IntVar(&c.preserveFDs, "preserve-fds", 0, "pass `N` descriptors from 3 on, those of LISTEN_FDS among them")
}

// options reads the bundle's specification, for the command line may add to it. fallback is the network where no
// flag names one.
func (c *creation) options(s *session, id, fallback string) (container.CreateOptions, error) {
	o := container.CreateOptions{
		ID: id, Bundle: c.bundle, PidFile: c.pidFile, ConsoleSocket: c.consoleSocket,
		NoPivot: c.noPivot, NoNewKeyring: c.noNewKeyring, PreserveFDs: c.preserveFDs, Manager: s.manager(),
		TrustAnnotations: c.trustAnnotations, NotifySocket: os.Getenv("NOTIFY_SOCKET"),
	}
	if c.preserveFDs < 0 {
		return o, fmt.Errorf("--preserve-fds: %d is negative", c.preserveFDs)
	}
	if err := container.CheckID(id); err != nil {
		return o, err
	}
	var err error
	if o.Network, err = c.network.options(fallback); err != nil {
		return o, err
	}
	dir := c.bundle
	if dir == "" {
		dir = "."
	}
	if o.Spec, err = bundle.Read(dir); err != nil {
		return o, err
	}
	if n := listenFDs(); n > 0 && o.Spec.Process != nil {
		o.PreserveFDs = max(o.PreserveFDs, n)
		passSockets(o.Spec.Process, n)
	}
	return o, nil
}

// passSockets tells the process of n sockets. Of a variable that is there twice
// getenv(3) gives the first, so one of the bundle's own is replaced.
func passSockets(p *specs.Process, n int) {
	for _, name := range [...]string{"LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDNAMES"} {
		p.Env = without(p.Env, name)
	}
	p.Env = append(p.Env, "LISTEN_FDS="+strconv.Itoa(n), "LISTEN_PID=1")
	if names := os.Getenv("LISTEN_FDNAMES"); names != "" {
		p.Env = append(p.Env, "LISTEN_FDNAMES="+names)
	}
}

// listenFDs is the number of sockets that systemd, or conmon in its place,
// passes to this process; see sd_listen_fds(3).
func listenFDs() int {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return 0
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// create makes a container that waits for start.
type create struct{ creation }

func (*create) about() about {
	return about{usage: "[flags] ID", does: "make a container that waits for start", least: 1, most: 1}
}

func (c *create) flags(f *pflag.FlagSet) {
	c.define(f)
	c.network.define(f, "without it none")
}

func (c *create) run(s *session, args []string) (int, error) {
	o, err := c.options(s, args[0], netns.None)
	if err != nil {
		return 1, err
	}
	root, err := s.openRoot()
	if err != nil {
		return 1, err
	}
	s.debug("create %s in %s", o.ID, root.Path())
	made, _, err := c.make(root, o)
	if err != nil {
		return 1, err
	}
	defer made.Close()
	for _, note := range made.Notes() {
		s.debug("note: %s", note)
	}
	return 0, nil
}

// wantsTerminal tells whether the process of a specification has a terminal.
func wantsTerminal(s *specs.Spec) bool { return s.Process != nil && s.Process.Terminal }
