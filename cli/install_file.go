// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// mostConfiguration is the largest configuration of an engine that is read, in bytes.
const mostConfiguration = 16 << 20

// readConfiguration reads a file; both are nil where there is none.
func readConfiguration(path string) ([]byte, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is not a regular file", printable(path))
	}
	text, err := io.ReadAll(io.LimitReader(f, mostConfiguration+1))
	if err == nil && len(text) > mostConfiguration {
		err = fmt.Errorf("%s has more than %d bytes", printable(path), mostConfiguration)
	}
	if text == nil {
		text = []byte{} // an empty file is one
	}
	return text, info, err
}

// writeConfiguration replaces a file at once, with the owner and mode that it
// had; text nil removes it.
func writeConfiguration(path string, text []byte, old fs.FileInfo, same bool) error {
	switch {
	case same:
		return nil
	case text == nil:
		return os.Remove(path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = giveMode(f, old)
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

func giveMode(f *os.File, old fs.FileInfo) error {
	if old == nil {
		return f.Chmod(0o644)
	}
	if st, ok := old.Sys().(*syscall.Stat_t); ok && (int(st.Uid) != os.Geteuid() || int(st.Gid) != os.Getegid()) {
		if err := f.Chown(int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	return f.Chmod(old.Mode().Perm())
}
