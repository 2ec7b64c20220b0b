// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// serial keeps testscript from running scripts at the same time: a script's leftovers are those of this process.
type serial struct{ *testing.T }

func (s serial) Parallel()     {}
func (s serial) Verbose() bool { return testing.Verbose() }
func (s serial) Run(name string, f func(t testscript.T)) {
	s.T.Run(name, func(t *testing.T) { f(serial{t}) })
}

// TestScript runs each script of testdata/script. $MYCR is the binary, mycr in $PATH is that with a state root of
// the script's own; see commands_test.go for the further commands.
func TestScript(t *testing.T) {
	needBinary(t)
	testscript.RunT(serial{t}, testscript.Params{
		Dir:                filepath.Join("testdata", "script"),
		WorkdirRoot:        scratch,
		RequireUniqueNames: true,
		Setup:              setupScript,
		Condition:          condition,
		Cmds:               commands,
	})
}

// wrapperText lets the output go to files first: testscript reads it from pipes, which a container that goes on would
// hold open.
const wrapperText = `#!/bin/sh
out=$(mktemp '%s/out-XXXXXX') && err=$(mktemp "$out-XXXXXX") || exit 99
'%s' %s "$@" >"$out" 2>"$err"
status=$?
cat "$out"; cat "$err" >&2
rm -f "$out" "$err"
exit $status
`

type snapshotKey struct{}

func setupScript(env *testscript.Env) error {
	run, bin := filepath.Join(env.WorkDir, "run"), filepath.Join(env.WorkDir, "bin")
	if err := os.Chmod(env.WorkDir, 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(run, 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	root := ""
	if os.Geteuid() == 0 {
		root = "--root '" + filepath.Join(run, "mycr") + "'"
	}
	wrapper := fmt.Sprintf(wrapperText, scratch, mycr.path, root)
	if err := os.WriteFile(filepath.Join(bin, "mycr"), []byte(wrapper), 0o755); err != nil {
		return err
	}
	env.Setenv("MYCR", mycr.path)
	env.Setenv("XDG_RUNTIME_DIR", run)
	env.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	env.Setenv("UID", fmt.Sprint(os.Getuid()))
	before := takeSnapshot()
	env.Values[snapshotKey{}] = &before
	env.Defer(func() {
		before.KillNew()
		// Scripts may leave directories without write permission, which os.RemoveAll cannot empty.
		forceRemove(env.WorkDir)
	})
	return nil
}

// condition tells in which situation the script runs: [user], [unshare], [podman], [root]; [ids] where a container
// can have more ids than one.
func condition(name string) (bool, error) {
	switch name {
	case ordinaryUser, unshareRoot, podmanRoot, realRoot:
		return name == situation, nil
	case "ids":
		return situation != unshareRoot, nil
	}
	return false, fmt.Errorf("unknown condition %s", name)
}
