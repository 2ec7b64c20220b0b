// SPDX-License-Identifier: Apache-2.0

// Package inherited keeps what the Go runtime changes before main runs: package
// syscall raises the soft RLIMIT_NOFILE to the hard one, which a container's
// process must not see. A package without imports is initialised before syscall
// (the Go specification sorts packages by import path), so this one reads the
// limit first; it has its own system call for that.
package inherited

// rlimit is struct rlimit64 of getrlimit(2).
type rlimit struct{ soft, hard uint64 }

var nofile = read()

func read() (lim rlimit) {
	prlimitNofile(&lim)
	return lim
}

// Nofile returns the soft and hard limits of open files that this process
// was started with; see getrlimit(2). Both are 0 where the architecture has no
// reader for them.
func Nofile() (soft, hard uint64) { return nofile.soft, nofile.hard }
