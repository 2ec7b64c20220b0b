// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Lookup finds the file that execve will get for arg0, in the root filesystem
// of the calling process. cwd is where the program will start. Engines read the
// error's words (podman and docker tell exit statuses 126 and 127 by them), so
// they are runc's.
func Lookup(arg0 string, env []string, cwd string) (string, error) {
	denied := false
	for _, file := range candidates(arg0, env) {
		at := file
		if !path.IsAbs(at) {
			at = path.Join(cwd, at)
		}
		errno, reason := executable(at)
		switch {
		case errno == 0:
			return file, nil
		case strings.Contains(arg0, "/"):
			return "", lookupError(arg0, errno, reason)
		case errno == unix.EACCES && reason != "": // not where a directory of PATH is closed to us
			denied = true
		}
	}
	if denied {
		return "", lookupError(arg0, unix.EACCES, "")
	}
	return "", lookupError(arg0, unix.ENOENT, "")
}

// executable says why a path cannot be a program, as far as stat can tell.
func executable(file string) (unix.Errno, string) {
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil {
		var errno unix.Errno
		errors.As(err, &errno)
		return errno, ""
	}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return unix.EACCES, "it is a directory"
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return unix.EACCES, "it is not a regular file"
	case st.Mode&0o111 == 0:
		return unix.EACCES, fmt.Sprintf("its mode is %04o: nobody may execute it", st.Mode&0o7777)
	}
	return 0, ""
}

// ExecError is the error for a Program that came to its end: no file could be
// executed, and errno is what was remembered of the attempts. file is what
// Lookup found, "" if the Program tried the candidates itself.
func (plan *Plan) ExecError(file string, errno unix.Errno) error {
	switch errno {
	case unix.ENOENT, unix.ENOTDIR, unix.EACCES, unix.ESTALE:
	default: // remembered from an earlier step that was allowed to fail
		errno = unix.ENOENT
	}
	if file != "" { // it is there: its interpreter, perhaps, is not
		return fmt.Errorf("exec %s: %w", file, errno)
	}
	return lookupError(plan.Args[0], errno, "")
}

func lookupError(arg0 string, errno unix.Errno, reason string) error {
	e := &execError{arg0: arg0, errno: errno}
	switch {
	case errno == unix.EACCES:
		e.text = "permission denied"
	case !strings.Contains(arg0, "/"):
		e.text = "executable file not found in $PATH"
	default:
		e.text = fmt.Sprintf("stat %s: %v", arg0, errno)
	}
	if reason != "" {
		e.text += " (" + reason + ")"
	}
	return e
}

// execError is `exec: "NAME": words`, with the errno behind it.
type execError struct {
	arg0  string
	text  string
	errno unix.Errno
}

func (e *execError) Error() string { return fmt.Sprintf("exec: %q: %s", e.arg0, e.text) }
func (e *execError) Unwrap() error { return e.errno }
