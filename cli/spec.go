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
}

func (*spec) about() about {
	return about{
		usage: "[flags] [-- COMMAND...]", does: "write a config.json to begin with", most: -1,
	}
}

func (c *spec) flags(f *pflag.FlagSet) {
	f.StringVarP(&c.bundle, "bundle", "b", "", "`DIR` to write it to (default the current one)")
	f.BoolVar(&c.rootless, "rootless", false, "for a runtime that needs the mapping of an ordinary user in it")
}

func (c *spec) run(s *session, args []string) (int, error) {
	made := bundle.Default(c.rootless)
	if len(args) > 0 {
		made.Process.Args = args
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
