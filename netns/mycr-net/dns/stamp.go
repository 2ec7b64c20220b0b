// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
)

func stampOf(path string) (stamp, error) {
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		return stamp{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return stamp{uint64(s.Dev), s.Ino, s.Size, time.Unix(s.Mtim.Unix())}, nil
}
