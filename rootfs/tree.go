// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"errors"
	"os"
	"strings"

	pathrs "github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"

	"mycr/linux"
)

// Tree carries out a Plan. Its verbs are called in the order Prepare, Mount, Pivot, Finish by
// one thread that is root of its user namespace and alone in its mount namespace; Console
// comes between Mount and Finish. Descriptors that it keeps are close-on-exec.
type Tree struct {
	Notes []string // what turned out otherwise than planned, for the user to know

	// BeforeCgroup is called once by Mount, before the first mount that shows the container's
	// cgroup; at the end where there is none.
	BeforeCgroup func() error

	plan  *Plan
	root  int  // the root of the container, as mounted
	dev   int  // its /dev while Mount needs it; else -1
	inDev bool // which is the current directory
	held  []held
	given []int // mounts from the parent
}

// held is a mount that becomes read-only in Finish.
type held struct {
	fd    int
	mount *Mount
}

// Tree makes the one that carries out p.
func (p *Plan) Tree() *Tree { return &Tree{plan: p, root: -1, dev: -1} }

// Root is the descriptor of the container's root from Prepare on.
func (t *Tree) Root() int { return t.root }

// Close gives up the descriptors. They are close-on-exec besides.
func (t *Tree) Close() {
	for _, h := range t.held {
		closeFD(h.fd)
	}
	for _, fd := range t.given {
		closeFD(fd)
	}
	t.leaveDev()
	closeFD(t.root)
	t.root, t.held, t.given = -1, nil, nil
}

func closeFD(fd int) {
	if fd >= 0 {
		_ = unix.Close(fd)
	}
}

// resolveInside keeps a lookup below the root: absolute links and .. end there, and no link of
// a procfs leads out of it (openat2(2)).
const resolveInside = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS

// open resolves a path of the container. flags are of open(2); resolve adds to resolveInside.
func (t *Tree) open(name string, flags int, resolve uint64) (int, error) {
	name = strings.TrimLeft(name, "/")
	if name == "" {
		name = "."
	}
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: resolveInside | resolve}
	fd, err := linux.Openat2(t.root, name, &how)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return t.openWithout(name, flags, resolve)
	}
	return fd, err
}

// openWithout is open where a seccomp filter keeps openat2(2) from us.
func (t *Tree) openWithout(name string, flags int, resolve uint64) (int, error) {
	if resolve&^unix.RESOLVE_NO_SYMLINKS != 0 || flags&unix.O_PATH == 0 {
		return -1, unix.ENOSYS
	}
	if resolve&unix.RESOLVE_NO_SYMLINKS != 0 || flags&unix.O_NOFOLLOW != 0 {
		return t.walk(name, flags, resolve&unix.RESOLVE_NO_SYMLINKS != 0)
	}
	dup, err := unix.FcntlInt(uintptr(t.root), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	dir := os.NewFile(uintptr(dup), "/")
	defer dir.Close()
	file, err := pathrs.OpenatInRoot(dir, name)
	if err != nil {
		return -1, errnoOf(err)
	}
	defer file.Close()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil && flags&unix.O_DIRECTORY != 0 && kindOf(fd) != unix.S_IFDIR {
		closeFD(fd)
		return -1, unix.ENOTDIR
	}
	return fd, err
}

// walk opens a path of which the last component, or none at all, may be a symbolic link.
func (t *Tree) walk(name string, flags int, strict bool) (int, error) {
	dir, last := "", name
	if !strict {
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			dir, last = name[:i], name[i+1:]
		}
		fd, err := t.openWithout(dir+"/.", unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return -1, err
		}
		defer closeFD(fd)
		return unix.Openat(fd, last, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	}
	if strings.Contains("/"+name+"/", "/../") {
		return -1, unix.EXDEV // paths are clean here
	}
	at := t.root
	for rest, more := name, true; more; {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		step := flags
		if more {
			step = unix.O_PATH
		}
		fd, err := unix.Openat(at, part, step|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if at != t.root {
			closeFD(at)
		}
		if err != nil {
			return -1, err
		}
		if (more || flags&unix.O_NOFOLLOW == 0) && kindOf(fd) == unix.S_IFLNK {
			closeFD(fd)
			return -1, unix.ELOOP
		}
		at = fd
	}
	return at, nil
}

func errnoOf(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// kindOf gives the S_IFMT bits, zero where nothing can be said.
func kindOf(fd int) uint32 {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0
	}
	return st.Mode & unix.S_IFMT
}

// magic gives the type of the file system that fd is on.
func magic(fd int) (int64, error) {
	var fs unix.Statfs_t
	for {
		err := unix.Fstatfs(fd, &fs)
		if !errors.Is(err, unix.EINTR) {
			return int64(fs.Type), err
		}
	}
}
