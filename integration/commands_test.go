// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// commands are the scripts' own commands:
//
//	bundle DIR [EDIT...]       make a bundle with the base config.json, edited; take the snapshot for leftovers
//	config DIR EDIT...         edit DIR/config.json
//	status N COMMAND...        run COMMAND, whose exit status is to be N
//	await ID STATUS            wait until mycr state says STATUS
//	pid VAR ID                 the container's pid
//	ns VAR PID TYPE            the inode of that namespace of PID (self: of the test)
//	same A B, differ A B       compare words
//	lines FILE N               FILE (or stdout, stderr) has N lines
//	json FILE PATH VALUE       the JSON in FILE has VALUE (JSON text) at PATH
//	jsonvar VAR FILE PATH      a variable from JSON
//	waitfile FILE              wait until FILE is there and not empty
//	snapshot, leftovers        nothing is there that was not: processes, mounts, state, files of $WORK but outputs
//
// An EDIT is PATH=JSON, -PATH (remove), sh=LINE, mount=JSON, ns=TYPE[:PATH] or -ns=TYPE.
var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"bundle":    bundleCommand,
	"config":    configCommand,
	"status":    statusCommand,
	"await":     awaitCommand,
	"pid":       pidCommand,
	"ns":        nsCommand,
	"same":      func(ts *testscript.TestScript, neg bool, args []string) { compare(ts, args, true) },
	"differ":    func(ts *testscript.TestScript, neg bool, args []string) { compare(ts, args, false) },
	"lines":     linesCommand,
	"json":      jsonCommand,
	"jsonvar":   jsonVarCommand,
	"waitfile":  waitFileCommand,
	"snapshot":  func(ts *testscript.TestScript, neg bool, args []string) { retakeSnapshot(ts) },
	"leftovers": leftoversCommand,
}

func need(ts *testscript.TestScript, args []string, least int, usage string) {
	if len(args) < least {
		ts.Fatalf("usage: %s", usage)
	}
}

func parseEdit(word string) (edit, error) {
	if path, found := strings.CutPrefix(word, "-ns="); found {
		return withoutNamespace(path), nil
	}
	if path, found := strings.CutPrefix(word, "-"); found {
		return unset(path), nil
	}
	path, value, found := strings.Cut(word, "=")
	if !found {
		return nil, fmt.Errorf("%s is not PATH=JSON", word)
	}
	switch path {
	case "sh":
		return sh(value), nil
	case "ns":
		kind, path, _ := strings.Cut(value, ":")
		return namespace(kind, path), nil
	case "mount":
		path = "mounts.-"
	}
	var v any
	if err := json.Unmarshal([]byte(value), &v); err != nil {
		return nil, fmt.Errorf("%s: %w", word, err)
	}
	return set(path, v), nil
}

func parseEdits(ts *testscript.TestScript, words []string) []edit {
	var edits []edit
	for _, word := range words {
		e, err := parseEdit(word)
		ts.Check(err)
		edits = append(edits, e)
	}
	return edits
}

func bundleCommand(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 1, "bundle DIR [EDIT...]")
	ts.Check(makeBundle(mycr, ts.MkAbs(args[0]), parseEdits(ts, args[1:])...))
	retakeSnapshot(ts)
}

func configCommand(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 2, "config DIR EDIT...")
	ts.Check(editConfig(ts.MkAbs(args[0]), parseEdits(ts, args[1:])...))
	retakeSnapshot(ts)
}

func retakeSnapshot(ts *testscript.TestScript) {
	*ts.Value(snapshotKey{}).(*snapshot) = takeSnapshot(ts.Getenv("WORK"))
}

// leftoversCommand tolerates the files, and all below them, that are named after it.
func leftoversCommand(ts *testscript.TestScript, neg bool, args []string) {
	before := ts.Value(snapshotKey{}).(*snapshot)
	var left []string
	for _, what := range before.Leftovers() {
		allowed := isStateRoot(what, ts.Getenv("XDG_RUNTIME_DIR"))
		for _, name := range args {
			path := strings.TrimPrefix(what, "file ") + " "
			allowed = allowed || strings.HasPrefix(path, ts.MkAbs(name)+" ") || strings.HasPrefix(path, ts.MkAbs(name)+"/")
		}
		if !allowed {
			left = append(left, what)
		}
	}
	if len(left) > 0 {
		ts.Fatalf("left behind:\n%s", strings.Join(left, "\n"))
	}
}

func statusCommand(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 2, "status N COMMAND...")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exitStatus(exit.ProcessState)
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, not %d", got, want)
	}
}

func scriptState(ts *testscript.TestScript, id string) containerState {
	// The script's environment, without changing its stdout and stderr.
	cmd := exec.Command(ts.Getenv("WORK")+"/bin/mycr", "state", id)
	cmd.Env = []string{"XDG_RUNTIME_DIR=" + ts.Getenv("XDG_RUNTIME_DIR"), "PATH=" + ts.Getenv("PATH")}
	r, err := waitFor(cmd)
	ts.Check(err)
	if r.status != 0 {
		ts.Fatalf("state %s: %v", id, r)
	}
	var s containerState
	ts.Check(json.Unmarshal([]byte(r.stdout), &s))
	return s
}

func awaitCommand(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 2, "await ID STATUS")
	for deadline := time.Now().Add(hang); ; time.Sleep(10 * time.Millisecond) {
		s := scriptState(ts, args[0])
		if s.Status == args[1] {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s is %s, not %s", args[0], s.Status, args[1])
		}
	}
}

func pidCommand(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 2, "pid VAR ID")
	ts.Setenv(args[0], strconv.Itoa(scriptState(ts, args[1]).Pid))
}

func nsCommand(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 3, "ns VAR PID TYPE")
	link, err := os.Readlink("/proc/" + args[1] + "/ns/" + args[2])
	ts.Check(err)
	ts.Setenv(args[0], link)
}

func compare(ts *testscript.TestScript, args []string, equal bool) {
	need(ts, args, 2, "same|differ A B")
	if (args[0] == args[1]) != equal {
		ts.Fatalf("%q and %q", args[0], args[1])
	}
}

func linesCommand(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 2, "lines FILE N")
	text := ts.ReadFile(args[0])
	count := strings.Count(text, "\n")
	if text != "" && !strings.HasSuffix(text, "\n") {
		count++
	}
	if strconv.Itoa(count) != args[1] {
		ts.Fatalf("%d lines, not %s:\n%s", count, args[1], text)
	}
}

func jsonValue(ts *testscript.TestScript, file, path string) any {
	var v any
	text := ts.ReadFile(file)
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		ts.Fatalf("%s: %v in:\n%s", file, err, text)
	}
	for _, key := range strings.Split(path, ".") {
		switch node := v.(type) {
		case map[string]any:
			v = node[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(node) {
				ts.Fatalf("no index %s at %s in:\n%s", key, path, text)
			}
			v = node[i]
		default:
			if key != "" {
				ts.Fatalf("nothing at %s in:\n%s", path, text)
			}
		}
	}
	return v
}

func jsonCommand(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 3, "json FILE PATH VALUE")
	got, err := json.Marshal(jsonValue(ts, args[0], args[1]))
	ts.Check(err)
	var v any
	ts.Check(json.Unmarshal([]byte(args[2]), &v))
	want, err := json.Marshal(v)
	ts.Check(err)
	if (string(got) == string(want)) == neg {
		ts.Fatalf("%s of %s is %s, wanted %s", args[1], args[0], got, want)
	}
}

func jsonVarCommand(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 3, "jsonvar VAR FILE PATH")
	ts.Setenv(args[0], fmt.Sprint(jsonValue(ts, args[1], args[2])))
}

func waitFileCommand(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 1, "waitfile FILE")
	for deadline := time.Now().Add(hang); ; time.Sleep(10 * time.Millisecond) {
		if info, err := os.Stat(ts.MkAbs(args[0])); err == nil && info.Size() > 0 {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s did not appear", args[0])
		}
	}
}
