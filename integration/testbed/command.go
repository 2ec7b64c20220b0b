// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Hang is when a command counts as hanging. No test is about time: it is far beyond what any command takes. On an
// emulated machine it is raised.
var Hang = 60 * time.Second

// A Result is what a command did.
type Result struct {
	Status         int // the exit status, or 128+signal
	Stdout, Stderr string
	Hung           bool
}

func (r Result) String() string {
	return fmt.Sprintf("status %d\nstdout: %s\nstderr: %s", r.Status, r.Stdout, r.Stderr)
}

// Run runs cmd to its end. Its output goes to files, not to pipes: a container that outlives the command may hold it.
func Run(cmd *exec.Cmd) (Result, error) {
	var files [2]*os.File
	for i := range files {
		f, err := os.CreateTemp("", "mycr-out-")
		if err != nil {
			return Result{}, err
		}
		os.Remove(f.Name())
		defer f.Close()
		files[i] = f
	}
	if cmd.Stdout == nil {
		cmd.Stdout = files[0]
	}
	if cmd.Stderr == nil {
		cmd.Stderr = files[1]
	}
	if err := Start(cmd); err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), Hang)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	err := Finish(cmd)
	r := Result{Hung: !stop()}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return r, err
	}
	r.Status = ExitStatus(cmd.ProcessState)
	r.Stdout, r.Stderr = contents(files[0]), contents(files[1])
	return r, nil
}

// ExitStatus is the exit status as a shell gives it.
func ExitStatus(state *os.ProcessState) int {
	if wait, ok := state.Sys().(syscall.WaitStatus); ok && wait.Signaled() {
		return 128 + int(wait.Signal())
	}
	return state.ExitCode()
}

func contents(f *os.File) string {
	var text bytes.Buffer
	f.Seek(0, 0)
	text.ReadFrom(f)
	return text.String()
}

// running holds the processes that a test waits for by itself; the reaping of adopted ones leaves them alone.
var running sync.Map

// Start is cmd.Start for a command that ReapAdopted is to leave to Finish.
func Start(cmd *exec.Cmd) error {
	err := cmd.Start()
	if err == nil {
		running.Store(cmd.Process.Pid, true)
	}
	return err
}

// Finish is cmd.Wait.
func Finish(cmd *exec.Cmd) error {
	err := cmd.Wait()
	running.Delete(cmd.Process.Pid)
	return err
}

func isRunning(pid int) bool {
	_, found := running.Load(pid)
	return found
}
