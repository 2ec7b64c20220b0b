// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// MountPoint is where cgroup2 is mounted on a unified host; see cgroups(7).
const MountPoint = "/sys/fs/cgroup"

// Within tells whether a cgroup is another one, or below it, by their paths.
func Within(name, upper string) bool {
	return name == upper || strings.HasPrefix(name, strings.TrimSuffix(upper, "/")+"/")
}

// ErrGone is a cgroup that does not exist, or no longer.
var ErrGone = errors.New("the cgroup is gone")

// Cgroup is an open directory of cgroup2.
type Cgroup struct {
	// Path is absolute below MountPoint, as /proc/self/cgroup has it.
	Path string
	fd   int
}

// Open opens the cgroup of a path as /proc/PID/cgroup has it. No link is
// followed, and what is opened is of cgroup2. ErrGone is wrapped where there is
// none.
func Open(name string) (*Cgroup, error) {
	top, err := unix.Open(MountPoint, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", MountPoint, err)
	}
	root := Cgroup{Path: "/", fd: top}
	defer root.Close()
	return root.Open(name)
}

// Open opens a cgroup below this one.
func (c *Cgroup) Open(name string) (*Cgroup, error) {
	name = path.Clean("/" + name)
	how := unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	fd, err := unix.Openat2(c.fd, "."+name, &how)
	below := path.Join(c.Path, name)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV):
		return nil, fmt.Errorf("cgroup %s: %w", below, ErrGone)
	case err != nil:
		return nil, fmt.Errorf("open cgroup %s: %w", below, err)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
		unix.Close(fd)
		return nil, fmt.Errorf("%s%s is not of cgroup2", MountPoint, below)
	}
	return &Cgroup{Path: below, fd: fd}, nil
}

// FD is the directory's descriptor, for CLONE_INTO_CGROUP.
func (c *Cgroup) FD() int { return c.fd }

// Close gives the descriptor back.
func (c *Cgroup) Close() { unix.Close(c.fd) }

// Has tells whether the cgroup has a file of that name.
func (c *Cgroup) Has(file string) bool {
	return unix.Faccessat(c.fd, file, unix.F_OK, 0) == nil
}

// Read returns a file's text without its last newline. ErrGone is wrapped
// where the cgroup was removed meanwhile.
func (c *Cgroup) Read(file string) (string, error) {
	fd, err := unix.Openat(c.fd, file, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", c.failed("open", file, err)
	}
	defer unix.Close(fd)
	var text []byte
	for buf := make([]byte, 8<<10); ; {
		n, err := unix.Read(fd, buf)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return "", c.failed("read", file, err)
		case n == 0:
			return strings.TrimSuffix(string(text), "\n"), nil
		default:
			text = append(text, buf[:n]...)
		}
	}
}

// Write writes a file in one write(2), as the kernel's files want it.
func (c *Cgroup) Write(file, text string) error {
	fd, err := unix.Openat(c.fd, file, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return c.failed("open", file, err)
	}
	defer unix.Close(fd)
	for {
		_, err := unix.Write(fd, []byte(text))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return c.failed(fmt.Sprintf("write %q to", text), file, err)
		}
		return nil
	}
}

// failed tells a removed cgroup, of which files are still open or names are
// still known, from a file that never was.
func (c *Cgroup) failed(verb, file string, err error) error {
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT) && !c.Has("cgroup.procs") {
		return fmt.Errorf("cgroup %s: %w", c.Path, ErrGone)
	}
	return fmt.Errorf("%s %s of cgroup %s: %w", verb, file, c.Path, err)
}
