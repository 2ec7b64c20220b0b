// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// stderrOf returns what f writes to stderr.
func stderrOf(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stderr
	os.Stderr = w
	defer func() { os.Stderr = old }()
	f()
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFailureIsOneObjectInTheLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	s := &session{}
	if _, _, _, err := s.parse([]string{"--log", path, "--log-format=json", "state", "x", "--log", path}); err != nil {
		t.Fatal(err)
	}
	cause := fmt.Errorf("create: %w", wrongUsage(errors.New("a \"quoted\"\nthing"), "do that"))
	text := stderrOf(t, func() {
		if status := s.fail(3, cause); status != 3 {
			t.Errorf("status %d", status)
		}
	})
	if text != "mycr: create: a \"quoted\"; thing\nhint: do that\n" {
		t.Errorf("stderr %q", text)
	}
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := json.Unmarshal(log, &got); err != nil { // fails on a second object, as podman does
		t.Fatalf("%v in %s", err, log)
	}
	if got["level"] != "error" || got["msg"] != `create: a "quoted"; thing (hint: do that)` || len(got) != 3 {
		t.Errorf("%q", got)
	}
	if _, err := time.Parse(time.RFC3339, got["time"]); err != nil { // as containerd does
		t.Error(err)
	}
}

func TestTextLogHasLogrusKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	s := &session{}
	if _, _, _, err := s.parse([]string{"--log", path, "state", "x"}); err != nil {
		t.Fatal(err)
	}
	stderrOf(t, func() { s.fail(1, errors.New(`no "x"`)) })
	log, _ := os.ReadFile(path)
	text := string(log)
	if !strings.HasPrefix(text, `time="20`) || !strings.HasSuffix(text, `level=error msg="no \"x\""`+"\n") {
		t.Errorf("%q", text)
	}
}

// What a container says goes to the terminal as text, whatever it is.
func TestErrorsAreOnePrintableLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain":               "plain",
		"über \"x\"":          "über \"x\"",
		"a\nb\n":              "a; b",
		"\x1b[2Jgone":         `\x1b[2Jgone`,
		"\"a\"\tb":            `"a"\tb`,
		"bad \xff byte":       `bad \xff byte`,
		"right\u202eto left":  `right\u202eto left`,
		"del\x7f and \u009b0": `del\x7f and \u009b0`,
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: %q, not %q", in, got, want)
		}
	}
}

// Notes go where the user looks, and never into the log of an engine.
func TestNotesAreForPeople(t *testing.T) {
	s := &session{}
	if text := stderrOf(t, func() { s.note("one id only") }); text != "mycr: note: one id only\n" {
		t.Errorf("%q", text)
	}
	path := filepath.Join(t.TempDir(), "log")
	if _, _, _, err := s.parse([]string{"--log", path, "state", "x"}); err != nil {
		t.Fatal(err)
	}
	text := stderrOf(t, func() { s.note("one id only"); s.debug("a step") })
	if log, _ := os.ReadFile(path); text != "" || len(log) > 0 {
		t.Errorf("stderr %q, log %q", text, log)
	}
}

func TestSignalsByNameAndNumber(t *testing.T) {
	for word, want := range map[string]int{
		"TERM": 15, "SIGTERM": 15, "sigterm": 15, "term": 15, "15": 15, "9": 9, "KILL": 9, "SIGUSR1": 10, "0": 0, "64": 64,
		"RTMIN": 34, "SIGRTMIN+3": 37, "RTMAX": 64, "RTMAX-1": 63, "37": 37, "WINCH": 28, "IOT": 6, "CLD": 17, "POLL": 29,
	} {
		if got, err := parseSignal(word); err != nil || int(got) != want {
			t.Errorf("%s: %d, %v", word, got, err)
		}
	}
	for _, word := range []string{"", "FROB", "999", "65", "-1", "SIG", "RTMIN+31", "RTMIN-1", "RTMAX+1", "RTMIN3", "1.5", "TERM ", "0x9"} {
		if got, err := parseSignal(word); err == nil {
			t.Errorf("%q is signal %d", word, got)
		}
	}
}

func TestStatusOfDoTellsWhoFailed(t *testing.T) {
	for text, want := range map[string]int{
		`exec: "nosuch": executable file not found in $PATH`:     127,
		`exec: "/nope": stat /nope: no such file or directory`:   127,
		`exec: "/etc/passwd": permission denied (its mode is 0)`: 126,
		`exec /bin/x: exec format error (built for riscv)`:       126,
		`mounts[3]: open the source: no such file or directory`:  125,
		`executor: executable file not found`:                    125,
	} {
		if got := doStatus(errors.New(text)); got != want {
			t.Errorf("%s: %d, not %d", text, got, want)
		}
	}
}

// bwrap's --bind takes two words; the second one is not run.
func TestTwoWordsOfBwrapAreNotRun(t *testing.T) {
	for _, test := range []struct {
		line  string
		wrong bool
	}{
		{"do --bind /a /b true", true},
		{"do --bind /x --ro-bind /a /b true", true},
		{"do --bind /a -- /b true", false},
		{"do --bind /a:/c /b true", false},
		{"do --bind=/a /b true", false},
		{"do --bind /a true", false},
		{"do --bind /a --hostname h /b", false},
	} {
		args := strings.Fields(test.line)
		_, c, words := parseLine(t, test.line)
		err := c.(*do).twoWords(append([]string{"mycr"}, args...), words)
		if (err != nil) != test.wrong {
			t.Errorf("%s: %v", test.line, err)
		}
	}
}
