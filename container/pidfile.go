// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// writePidFile writes digits only: containerd parses the raw bytes. The file
// appears at once and whole.
func writePidFile(path string, pid int) error {
	temporary := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%d", filepath.Base(path), os.Getpid()))
	err := os.WriteFile(temporary, fmt.Appendf(nil, "%d", pid), 0o644)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		os.Remove(temporary)
		return fmt.Errorf("--pid-file %q: %w", path, plainError(err))
	}
	return nil
}

// plainError is the errno of an error that names a path which nobody asked for.
func plainError(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
