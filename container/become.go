// SPDX-License-Identifier: Apache-2.0

package container

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/linux"
	"mycr/process"
	"mycr/seccomp"
)

// become takes the last steps: it is the process from then on.
func (c *child) become() error {
	program, err := c.program()
	if err != nil {
		return err
	}
	failed, errno := program.Run()
	runtime.KeepAlive(program)
	return execFailure(&c.orders.Process, program, c.path, failed, errno, -1)
}

// program makes the list of the last steps.
func (c *child) program() (*linux.Program, error) {
	o := c.orders
	options := process.ProgramOptions{
		Path: c.path, ProcFD: c.proc, ConsoleSocket: -1, PreserveFDs: o.PreserveFDs, InGo: true,
	}
	if o.DieWithParent {
		options.ParentDeathSignal = int(unix.SIGKILL)
	}
	state := o.HookState
	state.Status, state.Pid = specs.StateCreating, c.pid
	filter, err := filterSteps(&o.Seccomp, o.Listener, state, c.pid)
	if err != nil {
		return nil, err
	}
	options.Seccomp = filter
	return o.Process.Program(options), nil
}

// filterSteps returns what adds the seccomp filter to a program, nil for none.
func filterSteps(plan *seccomp.Plan, listener int, state specs.State, pid int) (func(*linux.Program), error) {
	if len(plan.Filter) == 0 {
		return nil, nil
	}
	var text []byte
	if plan.Notify {
		var err error
		text, err = json.Marshal(specs.ContainerProcessState{
			Version: state.Version, Fds: []string{specs.SeccompFdName}, Pid: pid, Metadata: plan.ListenerMetadata, State: state,
		})
		if err != nil {
			return nil, err
		}
	}
	return func(p *linux.Program) { plan.AddTo(p, listener, text) }, nil
}

// execFailure tells why a program of last steps did not end in execve. root is
// a descriptor of the container's root, -1 for our own.
func execFailure(plan *process.Plan, program *linux.Program, path string, failed int, errno unix.Errno, root int) error {
	if failed < program.Len() {
		what := program.What(failed)
		if errno == unix.ENOEXEC || errno == unix.ETXTBSY || errno == unix.E2BIG || errno == unix.ELOOP {
			if why := whyNot(plan, path, errno, root); why != "" {
				return fmt.Errorf("%s: %w (%s)", what, errno, why)
			}
		}
		return fmt.Errorf("%s: %w", what, errno)
	}
	err := plan.ExecError(path, errno)
	if why := whyNot(plan, path, errno, root); why != "" {
		return fmt.Errorf("%w (%s)", err, why)
	}
	return err
}

func whyNot(plan *process.Plan, path string, errno unix.Errno, root int) string {
	if path == "" {
		path = plan.Args[0]
	}
	if !strings.Contains(path, "/") {
		return "" // no one file is meant
	}
	if root < 0 {
		fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return ""
		}
		defer unix.Close(fd)
		root = fd
	}
	return process.Explain(root, path, errno)
}
