// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Refusal is an error that knows what to type against it.
type Refusal struct {
	Err    error
	Remedy string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap gives the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// Hint is one thing to type or to change.
func (r *Refusal) Hint() string { return r.Remedy }

func refuse(remedy, format string, args ...any) error {
	return &Refusal{Err: fmt.Errorf(format, args...), Remedy: remedy}
}

// words say which mount of config.json an error is about.
func (m *Mount) words() string {
	what := m.Type
	switch m.Kind {
	case KindBind:
		what = "bind of " + clip(m.Source)
	case KindHostSys:
		what = "host's /sys"
	case KindRemount:
		what = "remount"
	case KindLink:
		what = "copy of the link " + clip(m.Source)
	}
	place := "the container's own mount"
	if m.Index >= 0 {
		place = fmt.Sprintf("mounts[%d]", m.Index)
	}
	return fmt.Sprintf("%s (%s on %s)", place, what, clip(m.Destination))
}

// clip keeps an error's line readable when a path is thousands of bytes long.
func clip(path string) string {
	if len(path) <= 200 {
		return path
	}
	return path[:120] + "…" + path[len(path)-60:]
}

// step is what was being done, for an error that a system call gave.
func step(what string, err error) error { return fmt.Errorf("%s: %w", what, err) }

// missing tells that there is nothing at a path.
func missing(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) }
