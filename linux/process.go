// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"bytes"
	"fmt"
	"strconv"
)

// Alive tells whether a process is the one that started then, and not a zombie.
func Alive(pid int, start uint64) bool {
	state, began, err := ProcessStat(pid)
	return err == nil && began == start && state != 'Z' && state != 'X'
}

// ProcessStat returns the state letter and start time (clock ticks after
// boot) of /proc/PID/stat; see proc_pid_stat(5).
func ProcessStat(pid int) (state byte, start uint64, err error) {
	b, err := ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, err
	}
	// The name in brackets may hold anything; the last bracket ends it.
	i := bytes.LastIndexByte(b, ')')
	if i < 0 || i+2 >= len(b) {
		return 0, 0, fmt.Errorf("/proc/%d/stat: no name", pid)
	}
	fields := bytes.Fields(b[i+1:])
	if len(fields) < 20 {
		return 0, 0, fmt.Errorf("/proc/%d/stat: %d fields", pid, len(fields))
	}
	start, err = strconv.ParseUint(string(fields[19]), 10, 64)
	return fields[0][0], start, err
}
