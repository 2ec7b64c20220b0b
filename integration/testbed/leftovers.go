// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Snapshot is what a command could leave behind: processes below this one (a subreaper), mounts that are seen from
// here, and the files of some directories.
type Snapshot struct {
	processes map[int]string
	mounts    []string
	files     map[string]string
	trees     []string
}

// TakeSnapshot is of now; the files are those below trees.
func TakeSnapshot(trees ...string) Snapshot {
	return Snapshot{processes: Descendants(), mounts: mountTable(), files: listFiles(trees), trees: trees}
}

// Leftovers says what is there now that was not, or differs. Processes get a moment to end: a killed process is
// gone for its parent before it is gone from /proc.
func (s Snapshot) Leftovers() []string {
	var left []string
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		left = s.newProcesses()
		if len(left) == 0 || time.Now().After(deadline) {
			break
		}
	}
	left = append(left, difference("mount", s.mounts, mountTable())...)
	now := listFiles(s.trees)
	for path, what := range now {
		if before, there := s.files[path]; !there {
			left = append(left, fmt.Sprintf("file %s (%s)", path, what))
		} else if before != what {
			left = append(left, fmt.Sprintf("file %s was %s, is %s", path, before, what))
		}
	}
	for path := range s.files {
		if _, there := now[path]; !there {
			left = append(left, fmt.Sprintf("file %s is gone", path))
		}
	}
	sort.Strings(left)
	return left
}

func (s Snapshot) newProcesses() []string {
	var left []string
	for pid, name := range Descendants() {
		if _, there := s.processes[pid]; !there {
			left = append(left, fmt.Sprintf("process %d (%s)", pid, name))
		}
	}
	return left
}

// KillNew ends every process that the snapshot does not have, so that one test's failure is not the next one's.
func (s Snapshot) KillNew() {
	for range 100 {
		alive := false
		for pid := range Descendants() {
			if _, there := s.processes[pid]; !there {
				unix.Kill(pid, unix.SIGKILL)
				alive = true
			}
		}
		if !alive {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// ProcessStat is the part of /proc/PID/stat that is needed here; see proc_pid_stat(5).
func ProcessStat(pid int) (name string, state byte, parent int, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0, 0, false
	}
	end := strings.LastIndexByte(string(text), ')')
	begin := strings.IndexByte(string(text), '(')
	fields := strings.Fields(string(text[end+1:]))
	parent, _ = strconv.Atoi(fields[1])
	return string(text[begin+1 : end]), fields[0][0], parent, true
}

// Descendants are the processes below this one, threads and those that have ended apart.
func Descendants() map[int]string {
	below := map[int]string{}
	for next := children(); len(next) > 0; {
		pid := next[0]
		next = next[1:]
		name, state, _, ok := ProcessStat(pid)
		if _, known := below[pid]; known || !ok {
			continue
		}
		if state != 'Z' && state != 'X' {
			below[pid] = name
		}
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		for _, task := range tasks {
			text, _ := os.ReadFile(task)
			for _, word := range strings.Fields(string(text)) {
				if child, err := strconv.Atoi(word); err == nil {
					next = append(next, child)
				}
			}
		}
	}
	return below
}

// ReapAdopted collects, for as long as the tests run, what ended after it had become this process's child, as an
// init would: until an exec'd process is collected, its pid namespace's init cannot end. A command that a test
// started itself is waited for by os/exec at once, so what stays for a while is an adopted one.
func ReapAdopted() {
	zombies := map[int]time.Time{}
	for ; ; time.Sleep(20 * time.Millisecond) {
		seen := map[int]time.Time{}
		for _, pid := range children() {
			_, state, _, ok := ProcessStat(pid)
			if !ok || state != 'Z' || isRunning(pid) {
				continue
			}
			since, known := zombies[pid]
			if !known {
				since = time.Now()
			}
			if time.Since(since) > 100*time.Millisecond {
				unix.Wait4(pid, nil, unix.WNOHANG, nil)
				continue
			}
			seen[pid] = since
		}
		zombies = seen
	}
}

// children are this process's own; see proc_pid_task(5).
func children() []int {
	var pids []int
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		for _, word := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func mountTable() []string {
	text, _ := os.ReadFile("/proc/self/mountinfo")
	var table []string
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		// The first two fields are numbers that change; see proc_pid_mountinfo(5).
		fields := strings.SplitN(line, " ", 3)
		table = append(table, fields[2])
	}
	sort.Strings(table)
	return table
}

func difference(kind string, before, after []string) []string {
	count := map[string]int{}
	for _, line := range before {
		count[line]++
	}
	var left []string
	for _, line := range after {
		if count[line]--; count[line] < 0 {
			left = append(left, kind+" "+line)
		}
	}
	for _, line := range before {
		if count[line] > 0 {
			left = append(left, kind+" is gone: "+line)
			count[line] = 0
		}
	}
	return left
}

// listFiles describes each file below trees by its type, mode, owner and, for a regular file, size and time.
func listFiles(trees []string) map[string]string {
	files := map[string]string{}
	for _, tree := range trees {
		filepath.WalkDir(tree, func(path string, entry fs.DirEntry, err error) error {
			var st unix.Stat_t
			if unix.Lstat(path, &st) != nil {
				return nil
			}
			what := fmt.Sprintf("%o %d:%d", st.Mode, st.Uid, st.Gid)
			if st.Mode&unix.S_IFMT == unix.S_IFREG {
				what += fmt.Sprintf(" %d bytes %d.%09d", st.Size, st.Mtim.Sec, st.Mtim.Nsec)
			}
			files[path] = what
			return nil
		})
	}
	return files
}
