// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Libexec is where packages of mycr put executables that are not for a user's PATH.
const Libexec = "/usr/libexec/mycr"

// HelperDirs are the directories in which helper programs are looked up: beside this executable,
// and those of the system. PATH is not among them, since what is found is trusted.
func HelperDirs() []string {
	dirs := []string{Libexec, "/usr/local/libexec/mycr", "/usr/bin", "/usr/local/bin", "/usr/sbin", "/bin", "/run/current-system/sw/bin"}
	if exe := ExePath(); exe != "" {
		dirs = append([]string{filepath.Dir(exe)}, dirs...)
	}
	return dirs
}

// FindHelper returns the absolute path of an executable file in the first of these directories that
// has it and in which nobody but root, the caller, and the caller's own group can put one; else "", and
// where it was looked for.
func FindHelper(name string, dirs []string) (path string, looked []string) {
	for _, dir := range dirs {
		var st unix.Stat_t
		path := dir + "/" + name
		if unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && unix.Access(path, unix.X_OK) == nil {
			if SafeDirectory(dir, uint32(os.Getegid())) {
				return path, nil
			}
			dir += " (where others can write)"
		}
		looked = append(looked, dir)
	}
	return "", looked
}

// SafeDirectory tells that nobody but root, its owner and that group can put a file there.
func SafeDirectory(dir string, gid uint32) bool {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return false
	}
	if st.Mode&0o002 != 0 {
		return false
	}
	// Debian's /usr/local/bin can be writable to the group staff.
	return st.Mode&0o020 == 0 || st.Gid == 0 || st.Gid == gid
}
