// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Root is the directory of all containers' states. It is used through its
// descriptor, so that nobody can put another directory in its place between
// the check of its owner and its use.
type Root struct {
	path string
	fd   int
}

// DefaultRoot returns where states are kept: /run/mycr for real root, else
// $XDG_RUNTIME_DIR/mycr, else /tmp/mycr-UID. It is never $TMPDIR, which the
// engines' later calls may lack.
func DefaultRoot() string {
	if os.Geteuid() == 0 && initialUserNamespace() {
		return "/run/mycr"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "mycr")
	}
	return fmt.Sprintf("/tmp/mycr-%d", os.Geteuid())
}

// OpenRoot opens the directory at path ("" is DefaultRoot), makes it where it
// is missing and refuses one that is a link, somebody else's, or writable by
// others.
func OpenRoot(path string) (*Root, error) {
	given := path != ""
	if !given {
		path = DefaultRoot()
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("state directory %q: %w", path, err)
	}
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Open(abs, flags, 0)
	if errors.Is(err, unix.ENOENT) {
		if given {
			if err := os.MkdirAll(filepath.Dir(abs), 0o700); err != nil {
				return nil, fmt.Errorf("state directory: %w", err)
			}
		}
		if err := unix.Mkdir(abs, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, fmt.Errorf("make state directory %q: %w", abs, err)
		}
		fd, err = unix.Open(abs, flags, 0)
	}
	if !given && errors.Is(err, unix.EACCES) {
		return nil, &withHint{fmt.Errorf("open state directory %q, which XDG_RUNTIME_DIR names: %w", abs, err), "unset XDG_RUNTIME_DIR"}
	}
	if err != nil {
		if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
			return nil, fmt.Errorf("state directory %q is not a directory of its own (a link is not followed)", abs)
		}
		return nil, fmt.Errorf("open state directory %q: %w", abs, err)
	}
	if err := checkOwner(fd, abs); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &Root{path: abs, fd: fd}, nil
}

// checkOwner refuses a directory in which others could forge a state.
func checkOwner(fd int, path string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("state directory %q: %w", path, err)
	}
	if int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("state directory %q belongs to uid %d, not to uid %d: refused", path, st.Uid, os.Geteuid())
	}
	if st.Mode&0o022 != 0 {
		return fmt.Errorf("state directory %q can be written by others (mode %04o): refused", path, st.Mode&0o7777)
	}
	return nil
}

// Path returns the directory's absolute path.
func (r *Root) Path() string { return r.path }

// CheckID accepts runc's alphabet, 255 bytes at most.
func CheckID(id string) error {
	if id == "" {
		return errors.New("container id cannot be empty")
	}
	if len(id) > 255 {
		return fmt.Errorf("invalid container ID format: %d bytes, the limit is 255", len(id))
	}
	if id == "." || id == ".." {
		return fmt.Errorf("invalid container ID format: %q", id)
	}
	for _, c := range []byte(id) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '_', c == '+', c == '-', c == '.':
		default:
			return fmt.Errorf("invalid container ID format: %q", id)
		}
	}
	return nil
}

// dir is the state directory of one container.
type dir struct {
	fd   int
	path string
}

// ErrNotExist and ErrExist have runc's texts, which engines look for.
var (
	ErrNotExist = errors.New("container does not exist")
	ErrExist    = errors.New("container with given ID already exists")
)

// makeDir makes the directory of a new container and locks it.
func (r *Root) makeDir(id string) (*dir, error) {
	if err := unix.Mkdirat(r.fd, id, 0o700); err != nil {
		if errors.Is(err, unix.EEXIST) {
			return nil, ErrExist
		}
		return nil, fmt.Errorf("make the state of container %q in %s: %w", id, r.path, err)
	}
	d, err := r.openDir(id)
	if err != nil {
		return nil, err
	}
	return d, d.lock()
}

func (r *Root) openDir(id string) (*dir, error) {
	fd, err := unix.Openat(r.fd, id, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("open the state of container %q: %w", id, err)
	}
	path := filepath.Join(r.path, id)
	if err := checkOwner(fd, path); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &dir{fd: fd, path: path}, nil
}

// lock waits until no other command changes this container; the lock goes
// with the descriptor.
func (d *dir) lock() error {
	for {
		err := unix.Flock(d.fd, unix.LOCK_EX)
		if err == nil {
			return d.checkAlive()
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("lock %s: %w", d.path, err)
		}
	}
}

// checkAlive finds out whether the container was deleted while we waited.
func (d *dir) checkAlive() error {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return fmt.Errorf("%s: %w", d.path, err)
	}
	if st.Nlink == 0 {
		return ErrNotExist
	}
	return nil
}

// locked tells whether another command holds the lock.
func (d *dir) locked() bool {
	if unix.Flock(d.fd, unix.LOCK_EX|unix.LOCK_NB) != nil {
		return true
	}
	unix.Flock(d.fd, unix.LOCK_UN)
	return false
}

func (d *dir) unlock() { unix.Flock(d.fd, unix.LOCK_UN) }

func (d *dir) close() { unix.Close(d.fd) }

// write replaces a file: write-new, fsync, rename.
func (d *dir) write(name string, data []byte) error {
	temporary := "." + name + "." + strconv.Itoa(os.Getpid())
	if err := d.writeNew(temporary, data); err != nil {
		unix.Unlinkat(d.fd, temporary, 0)
		return fmt.Errorf("write %s/%s: %w", d.path, name, err)
	}
	if err := unix.Renameat(d.fd, temporary, d.fd, name); err != nil {
		return fmt.Errorf("rename %s/%s: %w", d.path, name, err)
	}
	return nil
}

func (d *dir) writeNew(name string, data []byte) error {
	fd, err := unix.Openat(d.fd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for rest := data; len(rest) > 0; {
		n, err := unix.Write(fd, rest)
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	return unix.Fsync(fd)
}

// read returns a whole file that this user owns and nobody else can write.
func (d *dir) read(name string) ([]byte, error) {
	fd, err := unix.Openat(d.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s/%s: %w", d.path, name, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
		return nil, fmt.Errorf("%s/%s is not a regular file that only this user can write", d.path, name)
	}
	b := make([]byte, st.Size)
	for got := 0; got < len(b); {
		n, err := unix.Read(fd, b[got:])
		if err != nil {
			return nil, fmt.Errorf("read %s/%s: %w", d.path, name, err)
		}
		if n == 0 {
			return b[:got], nil
		}
		got += n
	}
	return b, nil
}

func (d *dir) has(name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil
}

// removeDir removes a container's directory and what is in it, which is files
// only: whatever else somebody put there stays, and is the error.
func (r *Root) removeDir(id string, d *dir) error {
	names, err := readNames(d.fd)
	if err != nil {
		return fmt.Errorf("read %s: %w", d.path, err)
	}
	for _, name := range names {
		if err := unix.Unlinkat(d.fd, name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("remove %s/%s: %w", d.path, name, err)
		}
	}
	if err := unix.Unlinkat(r.fd, id, unix.AT_REMOVEDIR); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove %s: %w", d.path, err)
	}
	return nil
}

// readNames lists a directory through a descriptor of its own, so that the
// offset of fd does not matter.
func readNames(fd int) ([]string, error) {
	again, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(again)
	var names []string
	buf := make([]byte, 8192)
	for {
		n, err := unix.ReadDirent(again, buf)
		if err != nil || n <= 0 {
			return names, err
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}
