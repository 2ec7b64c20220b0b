// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// limit is how long one program may take. The slowest ones wait ten seconds and more for something.
const limit = 90 * time.Second

// Bed is where the programs run.
type Bed struct {
	Runtime  string // the runtime's binary
	Flags    string // put before the command, as a shell reads them
	Programs string // the programs, runtimetest and the root file system's archive
	Dir      string // an empty directory for what they make
}

// Outcome is what one program said.
type Outcome struct {
	Name   string
	Passed bool
	Why    string // why it counts as not passed
	Output string // standard output and standard error
}

// Names returns the programs' names.
func (b *Bed) Names() ([]string, error) {
	entries, err := os.ReadDir(b.Programs)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		name := entry.Name()
		if name != "runtimetest" && !strings.Contains(name, ".") {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no programs in %s", b.Programs)
	}
	return names, nil
}

// Run runs one program in a directory of its own, with a state directory of its own, and removes what it left.
func (b *Bed) Run(name string) Outcome {
	dir := filepath.Join(b.Dir, name)
	runtime, err := b.prepare(dir)
	if err != nil {
		return Outcome{Name: name, Why: err.Error()}
	}
	defer os.RemoveAll(dir)
	defer deleteAll(runtime, filepath.Join(dir, "state"))

	var output bytes.Buffer
	ctx, stop := context.WithTimeout(context.Background(), limit)
	defer stop()
	cmd := exec.CommandContext(ctx, filepath.Join(b.Programs, name))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "RUNTIME="+runtime, "TMPDIR="+filepath.Join(dir, "tmp"))
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // a container that is still there holds the output
	err = cmd.Run()

	why := judge(output.String())
	if ctx.Err() != nil {
		why = fmt.Sprintf("not finished after %v", limit)
	} else if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		why = err.Error()
	}
	return Outcome{Name: name, Passed: why == "", Why: why, Output: output.String()}
}

// prepare makes the directories, copies what the programs take from their working directory, and writes a script
// that gives the runtime a state directory of its own: the programs know nothing of --root. The copies belong to
// who runs the programs, since they copy runtimetest with its owner.
func (b *Bed) prepare(dir string) (runtime string, err error) {
	for _, name := range []string{dir, filepath.Join(dir, "tmp"), filepath.Join(dir, "state")} {
		if err := os.Mkdir(name, 0o755); err != nil {
			return "", err
		}
	}
	needed, err := filepath.Glob(filepath.Join(b.Programs, "rootfs-*.tar.gz"))
	if err != nil {
		return "", err
	}
	for _, from := range append(needed, filepath.Join(b.Programs, "runtimetest")) {
		content, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(from)), content, 0o755); err != nil {
			return "", err
		}
	}
	runtime = filepath.Join(dir, "runtime")
	script := fmt.Sprintf("#!/bin/sh\nexec '%s' --root '%s' %s \"$@\"\n", b.Runtime, filepath.Join(dir, "state"), b.Flags)
	return runtime, os.WriteFile(runtime, []byte(script), 0o755)
}

// deleteAll deletes the containers that a program left: those that fail half-way do so.
func deleteAll(runtime, state string) {
	entries, err := os.ReadDir(state)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") {
			ctx, stop := context.WithTimeout(context.Background(), limit)
			exec.CommandContext(ctx, runtime, "delete", "--force", entry.Name()).Run()
			stop()
		}
	}
}

// judge looks for what makes a program's output (TAP) not a pass; "" if there is nothing. Several programs make no
// tests at all: when something is wrong they say an error, plan no tests, and leave with status 0.
func judge(output string) string {
	var planned, failed bool
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "not ok"):
			return line
		case line == "1..0":
			planned = true
		case strings.HasPrefix(line, `"error": `) && line != `"error": ""`:
			failed = true
		}
	}
	if planned && failed {
		return "an error, and a plan of no tests"
	}
	return ""
}
