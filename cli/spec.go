// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"mycr/bundle"
)

// spec writes a config.json to begin with.
type spec struct {
	bundle   string
	rootless bool
	words    bundle.Words
	pids     int64
	tty      bool
	set      *pflag.FlagSet
}

func (*spec) about() about {
	return about{
		usage: "[flags] [-- COMMAND...]", does: "write a config.json to begin with", most: -1, first: true,
		more: "Without flags it is what runc writes; most flags are docker run's and go to the fields that docker writes.",
	}
}

func (c *spec) flags(f *pflag.FlagSet) {
	f.StringVarP(&c.bundle, "bundle", "b", "", "`DIR` to write it to (default the current one)")
	f.BoolVar(&c.rootless, "rootless", false, "for a runtime that wants an ordinary user's mapping in it")
	f.StringVarP(&c.words.Memory, "memory", "m", "", "most memory, `BYTES` with b, k, m, g behind")
	f.StringVar(&c.words.MemorySwap, "memory-swap", "", "most memory and swap together, `BYTES`, -1 for no limit")
	f.StringVar(&c.words.CPUs, "cpus", "", "processors' time, `NUMBER` such as 1.5")
	f.Int64Var(&c.pids, "pids-limit", 0, "most processes and threads, `N`, -1 for no limit")
	f.StringVar(&c.words.Hostname, "hostname", "", "`NAME` of the host in the container")
	f.BoolVar(&c.words.ReadOnly, "read-only", false, "mount the root filesystem read-only")
	f.StringArrayVar(&c.words.CapAdd, "cap-add", nil, "one more capability `NAME`, or ALL; may be repeated")
	f.StringArrayVar(&c.words.CapDrop, "cap-drop", nil, "one capability less, `NAME`, or ALL; may be repeated")
	f.StringVarP(&c.words.User, "user", "u", "", "`UID[:GID]` of the process")
	f.StringArrayVarP(&c.words.Env, "env", "e", nil, "`NAME[=VALUE]` one more variable, without a value the caller's; may be repeated")
	f.StringVarP(&c.words.Workdir, "workdir", "w", "", "`DIR` in the container to start in")
	f.StringArrayVarP(&c.words.Volumes, "volume", "v", nil, "bind `SRC:DST[:OPTIONS]`; may be repeated")
	f.BoolVarP(&c.tty, "tty", "t", true, "give the process a terminal")
	c.set = f
}

func (c *spec) run(s *session, args []string) (int, error) {
	made := bundle.Default(c.rootless)
	w := &c.words
	w.Args, w.Environ = args, os.Environ()
	if c.set.Changed("pids-limit") {
		w.PidsLimit = &c.pids
	}
	if c.set.Changed("tty") {
		w.Terminal = &c.tty
	}
	var err error
	if w.Cwd, err = os.Getwd(); err != nil {
		return 1, fmt.Errorf("the working directory: %w", err)
	}
	if err := w.Apply(made); err != nil {
		return 1, err
	}
	if err := bundle.Check(made); err != nil {
		return 1, err
	}
	text, err := bundle.Marshal(made)
	if err != nil {
		return 1, err
	}
	path := filepath.Join(c.bundle, bundle.ConfigName)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, os.ErrExist) {
		return 1, &usageError{fmt.Errorf("file %s exists already", path), "rm " + path}
	}
	if err != nil {
		return 1, err
	}
	if _, err = f.Write(text); err == nil {
		err = f.Close()
	}
	if err != nil {
		os.Remove(path)
		return 1, fmt.Errorf("write %s: %w", path, err)
	}
	return 0, nil
}
