// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"mycr/linux"
)

// Explain says in one line why the program at path, below the root directory
// rootFD, could not be executed though execve's errno hardly tells: the script
// whose interpreter is missing, the program of another architecture or C
// library, the noexec mount. "" if there is nothing to say. What it reads is
// the container's and bounded.
func Explain(rootFD int, path string, errno unix.Errno) string {
	// Names that the container chose must not steer the reader's terminal.
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, explainer{rootFD}.file(path, errno, 0))
}

type explainer struct{ root int }

// headSize is what the kernel reads of a file to find out what it is
// (BINPRM_BUF_SIZE, since Linux 5.1).
const headSize = 256

func (e explainer) file(path string, errno unix.Errno, depth int) string {
	st, err := e.stat(path)
	switch {
	case err != nil:
		return e.missing(path, err)
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return path + " is a directory"
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return path + " is not a regular file"
	case st.Mode&0o111 == 0:
		return fmt.Sprintf("%s has mode %04o, nobody may execute it (chmod +x)", path, st.Mode&0o7777)
	}
	fd, err := e.open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return "" // executable, not readable: nothing more to be found out
	}
	defer unix.Close(fd)
	var fs unix.Statfs_t
	if unix.Fstatfs(fd, &fs) == nil && fs.Flags&unix.ST_NOEXEC != 0 {
		return path + " is on a filesystem mounted noexec"
	}
	head := make([]byte, headSize)
	n, _ := fdReader(fd).ReadAt(head, 0)
	head = head[:n]
	switch {
	case n == 0:
		return path + " is empty"
	case bytes.HasPrefix(head, []byte("#!")):
		return e.script(path, head, errno, depth)
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf#!")):
		return path + " is a script with a byte order mark before its #!, which the kernel does not recognise"
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		if why := explainELF(fdReader(fd), machineHere(), e.exists); why != "" {
			return path + " " + why
		}
		return e.mode(path, st, errno)
	case errno != unix.ENOEXEC:
		return e.mode(path, st, errno)
	case isText(head):
		return path + " is a text without a #! line that names its interpreter"
	}
	return path + " is not in a format that this kernel executes"
}

// script follows what load_script of the kernel does with the first line.
func (e explainer) script(path string, head []byte, errno unix.Errno, depth int) string {
	interpreter, cr := interpreterOf(head)
	switch {
	case interpreter == "":
		return path + " has a #! line that names no interpreter"
	case cr:
		return fmt.Sprintf("%s is a script with Windows line ends (CRLF): the kernel looks for an interpreter called %q", path, interpreter)
	}
	const most = 4 // the kernel follows five
	if depth >= most {
		return ""
	}
	if why := e.file(interpreter, errno, depth+1); why != "" {
		return fmt.Sprintf("%s is a script whose interpreter %s cannot be executed: %s", path, interpreter, why)
	}
	return ""
}

// interpreterOf returns the first word after #!, and whether it ends in the
// carriage return of a Windows line end.
func interpreterOf(head []byte) (interpreter string, cr bool) {
	line := head[2:]
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	line = bytes.TrimLeft(line, " \t")
	if end := bytes.IndexAny(line, " \t\x00"); end >= 0 {
		line = line[:end]
	}
	return string(line), bytes.HasSuffix(line, []byte("\r"))
}

// mode speaks of permissions where nothing else was found.
func (e explainer) mode(path string, st unix.Stat_t, errno unix.Errno) string {
	if errno != unix.EACCES && errno != unix.EPERM {
		return ""
	}
	return fmt.Sprintf("%s has mode %04o, owner %d:%d: the process's user may not execute it, or may not search a directory on the way",
		path, st.Mode&0o7777, st.Uid, st.Gid)
}

func (e explainer) missing(path string, err error) string {
	switch err {
	case unix.ENOENT, unix.ENOTDIR:
	case unix.ELOOP:
		return path + " leads through too many symbolic links"
	default:
		return ""
	}
	fd, err := e.open(path, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return path + " does not exist in the container"
	}
	defer unix.Close(fd)
	var buf [unix.PathMax]byte
	n, err := unix.Readlinkat(fd, "", buf[:])
	if err != nil {
		return path + " does not exist in the container"
	}
	return fmt.Sprintf("%s is a symbolic link to %s, which does not exist in the container", path, buf[:n])
}

func (e explainer) exists(path string) bool {
	_, err := e.stat(path)
	return err == nil
}

func (e explainer) stat(path string) (unix.Stat_t, error) {
	var st unix.Stat_t
	fd, err := e.open(path, unix.O_PATH)
	if err != nil {
		return st, err
	}
	defer unix.Close(fd)
	return st, unix.Fstat(fd, &st)
}

func (e explainer) open(path string, flags uint64) (int, error) {
	return linux.Openat2(e.root, path, &unix.OpenHow{Flags: flags | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
}

// isText is a guess: valid UTF-8 without control characters.
func isText(head []byte) bool {
	for len(head) > 0 {
		r, size := utf8.DecodeRune(head)
		if r == utf8.RuneError && size == 1 && len(head) >= utf8.UTFMax || r < ' ' && !strings.ContainsRune("\t\n\r\f\x1b", r) {
			return false
		}
		head = head[size:]
	}
	return true
}

// fdReader reads a descriptor that is not an os.File's.
type fdReader int

func (fd fdReader) ReadAt(b []byte, off int64) (int, error) {
	got := 0
	for got < len(b) {
		n, err := unix.Pread(int(fd), b[got:], off+int64(got))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return got, err
		case n == 0:
			return got, io.EOF
		default:
			got += n
		}
	}
	return got, nil
}
