// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Without openat2(2), which an outer seccomp filter may refuse, paths lead where they do with it.
func TestOpenWithoutOpenat2(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/a/b", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/a/file", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"absolute": "/a/b", "relative": "a/b", "out": "../../../../../etc", "dangling": "/nope", "loop": "loop",
		"a/up": "../../../../a", "tofile": "a/file",
	} {
		link(t, target, dir+"/"+name)
	}
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	tree := Tree{root: root, dev: -1}
	defer tree.Close()
	for _, name := range []string{".", "a", "a/b", "a/file", "absolute", "relative", "out", "dangling", "loop", "a/up", "a/up/b", "tofile", "nope", "nope/x", "a/file/x", "absolute/../file", "relative/.."} {
		for _, flags := range []int{unix.O_PATH, unix.O_PATH | unix.O_DIRECTORY, unix.O_PATH | unix.O_NOFOLLOW} {
			for _, resolve := range []uint64{0, unix.RESOLVE_NO_SYMLINKS} {
				a, aErr := tree.open(name, flags, resolve)
				b, bErr := tree.openWithout(name, flags|unix.O_CLOEXEC, resolve)
				if (aErr == nil) != (bErr == nil) || errors.Is(aErr, unix.ENOENT) != errors.Is(bErr, unix.ENOENT) {
					t.Errorf("%s, flags %x, resolve %x: with %v, without %v", name, flags, resolve, aErr, bErr)
				}
				var st, other unix.Stat_t
				if aErr == nil && bErr == nil && (unix.Fstat(a, &st) != nil || unix.Fstat(b, &other) != nil || st.Ino != other.Ino || st.Dev != other.Dev) {
					t.Errorf("%s, flags %x, resolve %x: different files", name, flags, resolve)
				}
				closeFD(a)
				closeFD(b)
			}
		}
	}
}
