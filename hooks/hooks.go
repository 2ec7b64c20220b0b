// SPDX-License-Identifier: Apache-2.0

// Package hooks runs the programs that a bundle hangs on the six points of a
// container's life.
//
//	kind             when, in which namespaces, path resolved where    on failure
//	prestart         create, before pivot_root; runtime, runtime       error: stop, destroy, poststop
//	createRuntime    create, after prestart; runtime, runtime          error: stop, destroy, poststop
//	createContainer  create, after createRuntime; container, runtime   error: stop, destroy, poststop
//	startContainer   start, before the program; container, container   error: stop, destroy, poststop
//	poststart        start, after the program; runtime, runtime        error: stop, destroy, poststop
//	poststop         delete, after the destruction; runtime, runtime   warning; the next hook, and so on
//
// See the lifecycle in runtime-spec's runtime.md.
package hooks

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The kinds, as config.json calls them.
const (
	Prestart        = "prestart"
	CreateRuntime   = "createRuntime"
	CreateContainer = "createContainer"
	StartContainer  = "startContainer"
	Poststart       = "poststart"
	Poststop        = "poststop"
)

// Options says how a list of hooks is run.
type Options struct {
	Kind string // for errors; see the constants
	Dir  string // working directory, "" is the caller's: the bundle, or "/" in a container
}

// Check returns an error for hooks that could not be run, at the time when the
// bundle is read: a path that is not absolute, a timeout that is not above 0.
func Check(h *specs.Hooks) error {
	if h == nil {
		return nil
	}
	for _, l := range Lists(h) {
		for i := range l.Hooks {
			if err := check(&l.Hooks[i]); err != nil {
				return fmt.Errorf("hooks.%s[%d]%w", l.Kind, i, err)
			}
		}
	}
	return nil
}

// List is the hooks of one kind.
type List struct {
	Kind  string
	Hooks []specs.Hook
}

// Lists returns the six lists in the order in which they are run.
func Lists(h *specs.Hooks) []List {
	return []List{
		//lint:ignore SA1019 docker and podman still use it
		{Prestart, h.Prestart},
		{CreateRuntime, h.CreateRuntime},
		{CreateContainer, h.CreateContainer},
		{StartContainer, h.StartContainer},
		{Poststart, h.Poststart},
		{Poststop, h.Poststop},
	}
}

func check(h *specs.Hook) error {
	switch {
	case h.Path == "":
		return errors.New(".path: must not be empty")
	case !filepath.IsAbs(h.Path):
		return fmt.Errorf(".path: %q is not absolute", h.Path)
	case h.Timeout != nil && *h.Timeout <= 0:
		return fmt.Errorf(".timeout: %d is not above 0", *h.Timeout)
	}
	for _, words := range [][]string{{h.Path}, h.Args, h.Env} {
		for _, w := range words {
			if strings.IndexByte(w, 0) >= 0 {
				return fmt.Errorf(": %q has a NUL byte", w)
			}
		}
	}
	for i, e := range h.Env {
		if strings.IndexByte(e, '=') <= 0 {
			return fmt.Errorf(".env[%d]: %q is not NAME=VALUE", i, e)
		}
	}
	return nil
}

// Run runs the hooks one after the other, each with state (the container's
// state as JSON) on its standard input and nothing but its own environment and
// descriptors 0, 1, 2. It stops at the first that fails. A hook fails that
// cannot be started, does not exit with 0, or runs past its timeout, which
// kills its whole session's process group; without a timeout it is waited for.
//
// A hook dies with the process that runs it. Every other descriptor of that
// process becomes close-on-exec.
func Run(list []specs.Hook, state []byte, o Options) error {
	if len(list) == 0 {
		return nil
	}
	// The parent death signal is the thread's that forked.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for i := range list {
		if err := runOne(&list[i], state, o.Dir); err != nil {
			return fmt.Errorf("hooks.%s[%d]%w", o.Kind, i, err)
		}
	}
	return nil
}

// RunAll runs every hook, however many fail, and returns all errors: for
// poststop, whose failures are warnings.
func RunAll(list []specs.Hook, state []byte, o Options) []error {
	var failed []error
	for i := range list {
		runtime.LockOSThread()
		err := runOne(&list[i], state, o.Dir)
		runtime.UnlockOSThread()
		if err != nil {
			failed = append(failed, fmt.Errorf("hooks.%s[%d]%w", o.Kind, i, err))
		}
	}
	return failed
}

// runOne returns errors that go on where "hooks.KIND[N]" ends.
func runOne(h *specs.Hook, state []byte, dir string) error {
	if err := check(h); err != nil {
		return err
	}
	var deadline time.Time
	if h.Timeout != nil {
		deadline = time.Now().Add(time.Duration(*h.Timeout) * time.Second)
	}
	c, err := start(h, state, dir)
	if err != nil {
		return fmt.Errorf(" %s: %w", h.Path, err)
	}
	status, late, err := c.wait(deadline)
	switch {
	case err != nil:
		return fmt.Errorf(" %s: %w", h.Path, err)
	case late:
		return fmt.Errorf(" %s: still running after its timeout of %d s, killed%s", h.Path, *h.Timeout, c.said())
	case status.Signaled():
		return fmt.Errorf(" %s: killed by signal %d (%v)%s", h.Path, status.Signal(), status.Signal(), c.said())
	case status.ExitStatus() != 0:
		return fmt.Errorf(" %s: exit status %d%s", h.Path, status.ExitStatus(), c.said())
	}
	return nil
}
