// SPDX-License-Identifier: Apache-2.0

// Package bundle reads config.json, checks every value in it, refuses what
// this runtime cannot do, and makes specifications from flags. It is pure:
// it reads files and touches nothing else of the host.
package bundle

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// ConfigName is the name of the configuration file in a bundle, see
// runtime-spec's bundle.md.
const ConfigName = "config.json"

// maxConfig is the largest config.json that is read, in bytes. Engines put
// whole pod manifests into annotations, which makes megabytes; a file of
// endless zeroes must still end.
const maxConfig = 64 << 20

// Read reads and decodes config.json of the bundle dir. It does not check the
// values: that is Check. A symbolic link is followed, since the bundle belongs
// to the caller; anything but a regular file is an error at once.
func Read(dir string) (*specs.Spec, error) {
	path := filepath.Join(dir, ConfigName)
	data, err := readRegular(path)
	if err == unix.ENOENT {
		return nil, fmt.Errorf("JSON specification file %s not found: %w", printable(path), fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", printable(path), err)
	}
	spec, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ConfigName, err)
	}
	return spec, nil
}

// ReadProcess reads and decodes the file of `exec --process`, which holds the
// process object of a config.json alone. It does not check the values: that is
// CheckProcess.
func ReadProcess(path string) (*specs.Process, error) {
	data, err := readRegular(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the process file %s: %w", printable(path), err)
	}
	process, err := DecodeProcess(data)
	if err != nil {
		return nil, fmt.Errorf("process file %s: %w", printable(path), err)
	}
	return process, nil
}

// notRegular is the error for what can be opened but is not a file to read.
type notRegular uint32

func (mode notRegular) Error() string {
	switch uint32(mode) & unix.S_IFMT {
	case unix.S_IFDIR:
		return "is a directory, not a regular file"
	case unix.S_IFIFO:
		return "is a FIFO, not a regular file"
	case unix.S_IFCHR, unix.S_IFBLK:
		return "is a device, not a regular file"
	case unix.S_IFSOCK:
		return "is a socket, not a regular file"
	}
	return "is not a regular file"
}

// readRegular reads a regular file of at most maxConfig bytes. O_NONBLOCK
// keeps open(2) from waiting for the writer of a FIFO (both runc and crun hang
// there), O_NOCTTY keeps a terminal from becoming ours. The raw calls spare
// the poller that package os starts for a descriptor.
func readRegular(path string) ([]byte, error) {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		return err
	})
	if err == unix.ENXIO { // a socket, or a device without a driver
		return nil, notRegular(0)
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, notRegular(st.Mode)
	}
	if st.Size > maxConfig {
		return nil, fmt.Errorf("%d bytes are too many, the limit is %d", st.Size, maxConfig)
	}
	// One byte more than the size, so that the end is seen without growing.
	// The size is 0 in procfs and may change while we read.
	data := make([]byte, 0, max(int(st.Size)+1, 4096))
	for {
		var n int
		err := retry(func() (err error) {
			n, err = unix.Read(fd, data[len(data):cap(data)])
			return err
		})
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return data, nil
		}
		data = data[:len(data)+n]
		if len(data) > maxConfig {
			return nil, fmt.Errorf("more than %d bytes are too many", maxConfig)
		}
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
	}
}

func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// printable is s as it is where that is safe for a terminal, else quoted.
func printable(s string) string {
	for _, r := range s {
		if !strconv.IsPrint(r) {
			return strconv.Quote(s)
		}
	}
	return s
}
