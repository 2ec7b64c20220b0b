// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"mycr/linux"
)

// ticks is the unit of times in /proc/PID/stat, USER_HZ on every Linux.
const ticks = 100

// processTable is the table of `ps -ef`, made from /proc.
func processTable(pids []int) []byte {
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 3, 1, 2, ' ', 0)
	fmt.Fprint(w, "UID\tPID\tPPID\tC\tSTIME\tTTY\tTIME\tCMD\n")
	passwd, _ := linux.ReadFile("/etc/passwd")
	boot := bootTime()
	for _, pid := range pids {
		if p, ok := readProcess(pid); ok {
			start := boot.Add(time.Duration(p.start) * time.Second / ticks)
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", userName(passwd, p.uid), pid, p.parent,
				p.share(time.Since(start)), sinceWhen(start), p.tty(), p.used(), printable(p.command))
		}
	}
	w.Flush()
	return out.Bytes()
}

// processLine is what the table says of a process.
type processLine struct {
	uid     uint32
	parent  int
	device  uint64 // tty_nr
	ticks   uint64 // user and system
	start   uint64 // ticks after boot
	command string
}

// readProcess reads /proc/PID; a process that has ended meanwhile is not ok.
func readProcess(pid int) (p processLine, ok bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	var st unix.Stat_t
	stat, err := linux.ReadFile(dir + "/stat")
	if err != nil || unix.Stat(dir, &st) != nil {
		return p, false
	}
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return p, false
	}
	f := strings.Fields(string(stat[end+1:]))
	if len(f) < 20 {
		return p, false
	}
	number := func(i int) uint64 { n, _ := strconv.ParseUint(f[i], 10, 64); return n }
	p = processLine{
		uid: st.Uid, parent: int(number(1)), device: number(4), ticks: number(11) + number(12), start: number(19),
		command: "[" + string(stat[open+1:end]) + "]",
	}
	if words, err := linux.ReadFile(dir + "/cmdline"); err == nil && len(words) > 0 {
		p.command = string(bytes.ReplaceAll(bytes.TrimRight(words, "\x00"), []byte{0}, []byte{' '}))
	}
	if f[0] == "Z" {
		p.command += " <defunct>"
	}
	return p, true
}

// share is the percentage of its life that the process has been running.
func (p *processLine) share(life time.Duration) int {
	if life <= 0 {
		return 0
	}
	return min(int(time.Duration(p.ticks)*time.Second/ticks*100/life), 99)
}

func (p *processLine) used() string {
	seconds := p.ticks / ticks
	return fmt.Sprintf("%02d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
}

func (p *processLine) tty() string {
	major, minor := unix.Major(p.device), unix.Minor(p.device)
	switch {
	case p.device == 0:
		return "?"
	case major >= 136 && major <= 143: // Documentation/admin-guide/devices.txt
		return fmt.Sprintf("pts/%d", (major-136)<<20|minor)
	case major == 4 && minor < 64:
		return fmt.Sprintf("tty%d", minor)
	case major == 4:
		return fmt.Sprintf("ttyS%d", minor-64)
	}
	return fmt.Sprintf("%d:%d", major, minor)
}

func sinceWhen(start time.Time) string {
	if time.Since(start) < 24*time.Hour {
		return start.Format("15:04")
	}
	return start.Format("Jan02")
}

func bootTime() time.Time {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return time.Now()
	}
	return time.Now().Add(-time.Duration(now.Nano()))
}

// userName is the user's name, or the number where passwd has none.
func userName(passwd []byte, uid uint32) string {
	number := strconv.FormatUint(uint64(uid), 10)
	for line := range bytes.SplitSeq(passwd, []byte{'\n'}) {
		f := bytes.SplitN(line, []byte{':'}, 4)
		if len(f) == 4 && string(f[2]) == number {
			return printable(string(f[0]))
		}
	}
	return number
}

// psTable is what ps(1) says with the options given, of these processes only.
func psTable(pids []int, options []string) ([]byte, error) {
	text, err := runPS(options)
	if err != nil {
		return nil, err
	}
	header, rest, _ := bytes.Cut(text, []byte{'\n'})
	column := slices.Index(strings.Fields(string(header)), "PID")
	if column < 0 {
		return nil, fmt.Errorf("ps %s: the table has no column PID", strings.Join(options, " "))
	}
	out := append(header, '\n')
	for line := range bytes.Lines(rest) {
		f := bytes.Fields(line)
		if len(f) <= column {
			continue
		}
		pid, err := strconv.Atoi(string(f[column]))
		if err == nil && slices.Contains(pids, pid) {
			out = append(out, line...)
		}
	}
	return out, nil
}

func runPS(options []string) ([]byte, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var pid int
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, w.Fd(), 2}}
	for _, path := range [...]string{"/usr/bin/ps", "/bin/ps", "/run/current-system/sw/bin/ps"} {
		pid, err = linux.ForkExec(path, append([]string{"ps"}, options...), attr)
		if err == nil || !errors.Is(err, unix.ENOENT) {
			break
		}
	}
	w.Close()
	if err != nil {
		return nil, fmt.Errorf("run ps: %w", err)
	}
	text, err := io.ReadAll(r)
	status, werr := linux.Wait(pid)
	if err = errors.Join(err, werr); err != nil {
		return nil, fmt.Errorf("run ps: %w", err)
	}
	switch what := "ps " + strings.Join(options, " "); {
	case status.Signaled():
		return nil, fmt.Errorf("%s: killed by signal %d", what, status.Signal())
	case status.ExitStatus() != 0:
		return nil, fmt.Errorf("%s: exit status %d", what, status.ExitStatus())
	}
	return text, nil
}
