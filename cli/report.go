// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// execFailed is runc's exit status where exec could not start the process.
const execFailed = 255

// usageError is a mistake in the command line.
type usageError struct {
	error
	hint string
}

// Hint returns what to type.
func (e *usageError) Hint() string { return e.hint }

// Unwrap returns the error without its remedy.
func (e *usageError) Unwrap() error { return e.error }

func wrongUsage(err error, hint string) error { return &usageError{err, hint} }

// fail reports an error, once: on stderr, in one write, because conmon reads
// only once; and as one object in the log, because podman reads no more.
func (s *session) fail(status int, err error) int {
	text, line := describe(err)
	if s.log > 0 {
		if err := s.writeLog("error", line); err != nil {
			text += "mycr: --log: " + printable(err.Error()) + "\n"
		}
	}
	os.Stderr.WriteString(text)
	return status
}

// describe says an error for people, and as one line for engines, who show
// nothing else to their users.
func describe(err error) (text, line string) {
	line = printable(err.Error())
	text = "mycr: " + line + "\n"
	if hint := hintOf(err); hint != "" {
		text += "hint: " + printable(hint) + "\n"
		line += " (hint: " + printable(hint) + ")"
	}
	return text, line
}

func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// printable makes one line of an error: several are put in a row, and what a
// container could have put into it to change the terminal is quoted.
func printable(text string) string {
	text = strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "; ")
	unprintable := func(r rune) bool { return !strconv.IsPrint(r) }
	if utf8.ValidString(text) && strings.IndexFunc(text, unprintable) < 0 {
		return text
	}
	quoted := strconv.Quote(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// logLine is a line of the log with format json; see logrus, whose keys the
// engines know.
type logLine struct {
	Level string `json:"level"`
	Msg   string `json:"msg"`
	Time  string `json:"time"`
}

// writeLog appends one line. containerd parses the time as RFC 3339.
func (s *session) writeLog(level, msg string) error {
	now := time.Now().UTC().Format(time.RFC3339)
	line := fmt.Appendf(nil, "time=%q level=%s msg=%q", now, level, msg)
	if s.logFormat == "json" {
		var err error
		if line, err = json.Marshal(logLine{level, msg, now}); err != nil {
			return err
		}
	}
	_, err := unix.Write(s.log, append(line, '\n'))
	return err
}

// debug tells a step where --debug asks for it: in the log if there is one.
func (s *session) debug(format string, a ...any) {
	if !s.debugging {
		return
	}
	text := printable(fmt.Sprintf(format, a...))
	if s.log == 0 {
		fmt.Fprintf(os.Stderr, "mycr: debug: %s\n", text)
		return
	}
	if err := s.writeLog("debug", text); err != nil {
		fmt.Fprintf(os.Stderr, "mycr: --log: %v\n", err)
	}
}

// note tells in one line what is not as asked. Under an engine, which has its
// log, stderr is the container's.
func (s *session) note(text string) {
	if s.log > 0 {
		s.debug("note: %s", text)
		return
	}
	fmt.Fprintf(os.Stderr, "mycr: note: %s\n", printable(text))
}
