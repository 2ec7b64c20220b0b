// SPDX-License-Identifier: Apache-2.0

package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/linux"
	"mycr/process"
	"mycr/seccomp"
)

// become takes the last steps: it is the process from then on, or its reaping
// parent.
func (c *child) become() error {
	if c.orders.Reaper {
		return c.reap()
	}
	program, err := c.program(c.socket)
	if err != nil {
		return err
	}
	failed, errno := program.Run()
	runtime.KeepAlive(program)
	return execFailure(&c.orders.Process, program, c.path, failed, errno, -1)
}

// program makes the list of the last steps; status takes the faults until
// execve closes it.
func (c *child) program(status int) (*linux.Program, error) {
	o := c.orders
	options := process.ProgramOptions{
		Path: c.path, ProcFD: c.proc, ConsoleSocket: -1, PreserveFDs: o.PreserveFDs,
	}
	if o.Reaper { // the list runs in a raw child
		options.KeepFDs = []int{status}
		if o.Listener >= 0 {
			options.KeepFDs = append(options.KeepFDs, o.Listener)
		}
	} else {
		options.MarkOnly = true
	}
	if o.DieWithParent && !o.Reaper {
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

// reap runs the process as a child and stays as process 1: it hands signals
// on, waits for whatever is reparented to it, and ends as the process ends,
// which ends all others.
func (c *child) reap() error {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make a socket pair: %w", err)
	}
	program, err := c.program(pair[1])
	if err != nil {
		return err
	}
	main, err := linux.Clone(0, -1, program, pair[1])
	if err != nil {
		return fmt.Errorf("fork: %w", err)
	}
	unix.Close(pair[1])
	if r, err := linux.ReadReport(pair[0]); err == nil {
		return execFailure(&c.orders.Process, program, c.path, r.Step, r.Errno, -1)
	}
	unix.Close(pair[0])
	if err := c.giveUpPrivileges(); err != nil {
		return err
	}
	unix.Close(c.socket)
	for fd := range 3 {
		unix.Close(fd) // a reader must see the end when the process closes it
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := range signals {
			handOn(main, s)
		}
	}()
	status := waitFor(main.PID)
	signal.Stop(signals)
	close(signals)
	<-done
	if status.Signaled() {
		os.Exit(128 + int(status.Signal()))
	}
	os.Exit(status.ExitStatus())
	return nil
}

func handOn(main linux.Child, s os.Signal) {
	switch s {
	case unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE:
	default:
		unix.PidfdSendSignal(main.PidFD, s.(syscall.Signal), nil, 0)
	}
}

// waitFor reaps until the process with this pid is reaped.
func waitFor(pid int) unix.WaitStatus {
	for {
		var status unix.WaitStatus
		got, err := unix.Wait4(-1, &status, unix.WALL, nil)
		if err != nil && !errors.Is(err, unix.EINTR) {
			os.Exit(1) // our child is gone without a status: nothing is left to wait for
		}
		if got == pid {
			return status
		}
	}
}

// giveUpPrivileges leaves the reaping init with the process's ids and without
// capabilities, in all its threads.
func (c *child) giveUpPrivileges() error {
	p := &c.orders.Process
	if err := syscall.Setresgid(int(p.GID), int(p.GID), int(p.GID)); err != nil {
		return fmt.Errorf("init: setresgid %d: %w", p.GID, err)
	}
	if err := syscall.Setresuid(int(p.UID), int(p.UID), int(p.UID)); err != nil {
		return fmt.Errorf("init: setresuid %d: %w", p.UID, err)
	}
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	none := &[2]unix.CapUserData{}
	if _, _, e := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(none)), 0); e != 0 {
		return fmt.Errorf("init: give up capabilities: %w", e)
	}
	if _, _, e := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0); e != 0 {
		return fmt.Errorf("init: become undumpable: %w", e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0); e != 0 {
		return fmt.Errorf("init: ask to die with the parent: %w", e)
	}
	return nil
}
