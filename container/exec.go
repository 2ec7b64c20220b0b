// SPDX-License-Identifier: Apache-2.0

package container

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/cgroupdelegate"
	"mycr/idmap"
	"mycr/linux"
	"mycr/process"
	"mycr/seccomp"
	"mycr/userns"
)

// execBase is what exec needs of a container's configuration.
type execBase struct {
	Version       int
	Init          Record // for delete --force, where the record itself is damaged
	Process       specs.Process
	Personality   *specs.LinuxPersonality
	MemoryPolicy  *specs.LinuxMemoryPolicy
	Seccomp       seccomp.Plan
	IDs           idmap.Plan
	KeepGroups    string
	UserNamespace bool
	HostCgroups   bool // see rootfs.Plan
	RoutesGuard   bool // see netns.Plan
}

// ExecOptions are what the command line says about a process that joins.
type ExecOptions struct {
	Process       *specs.Process // complete; see Container.Process
	PidFile       string
	ConsoleSocket string
	PreserveFDs   int
	Foreground    bool   // the caller waits, and relays the terminal
	Cgroup        string // path of a cgroup below the container's; "" is the container's
	IgnorePaused  bool   // join a paused container, and be paused
}

// Process returns a copy of the configuration's process, from which exec
// starts.
func (c *Container) Process() (*specs.Process, error) {
	base, err := c.base()
	if err != nil {
		return nil, err
	}
	p := base.Process
	return &p, nil
}

func (c *Container) base() (*execBase, error) {
	if c.forExec != nil {
		return c.forExec, nil
	}
	b, err := c.dir.read(execName)
	if err != nil {
		return nil, err
	}
	base := &execBase{}
	if err := unmarshal(b, base); err != nil || base.Version != recordVersion {
		return nil, fmt.Errorf("%s/%s is not of this version of mycr: %v", c.dir.path, execName, err)
	}
	c.forExec = base
	return base, nil
}

// OpenRoot returns a descriptor of the container's root directory, for
// openat2(2) with RESOLVE_IN_ROOT.
func (c *Container) OpenRoot() (int, error) {
	if !c.record.alive() {
		return -1, errors.New("cannot exec in a stopped container")
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/root", c.record.PID), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open the container's root: %w", err)
	}
	return fd, nil
}

// Exec starts a process in all of a running container's namespaces, after Seal:
// the new process is a raw child of this one, whose next execve is the program.
func (c *Container) Exec(o ExecOptions) (*Process, error) {
	switch status := c.Status(); status {
	case specs.StateRunning, specs.StateCreated:
	case specs.StateStopped:
		return nil, errors.New("cannot exec in a stopped container")
	case StatePaused:
		if !o.IgnorePaused {
			return nil, errors.New("cannot exec in a paused container (use --ignore-paused to override)")
		}
	default:
		return nil, fmt.Errorf("cannot exec in a container that is %s", status)
	}
	base, err := c.base()
	if err != nil {
		return nil, err
	}
	if !linux.ExeIsSealed() && !outOfReach(base) {
		return nil, errors.New("exec from an executable that the container could overwrite")
	}
	pidfd, err := c.record.open()
	if err != nil {
		return nil, errors.New("cannot exec in a stopped container")
	}
	defer unix.Close(pidfd)
	j := &joiner{c: c, o: &o, base: base, pidfd: pidfd, console: -1, listener: -1}
	defer func() { j.fds.close() }()
	runtime.LockOSThread()
	for _, step := range []func() error{j.decide, j.decideCgroup, j.openSockets, j.start, j.finish} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return &j.process, nil
}

// joiner is a process joining a container, from the parent's side.
type joiner struct {
	c        *Container
	o        *ExecOptions
	base     *execBase
	pidfd    int
	plan     process.Plan
	program  *linux.Program
	parent   int // our end of the status socket
	console  int // where the child sends its terminal, or -1
	master   int // our end of it, where we relay, or -1
	listener int // connected to the seccomp agent, or -1
	entry    cgroupdelegate.Entry
	fds      descriptors
	process  Process
}

func (j *joiner) decide() error {
	facts, err := process.Gather(j.o.Process)
	if err != nil {
		return err
	}
	facts.Exec = true
	fillProcessFacts(&facts, j.base.UserNamespace, j.base.IDs, map[string]string{keepGroups: j.base.KeepGroups})
	l := &specs.Linux{Personality: j.base.Personality, MemoryPolicy: j.base.MemoryPolicy}
	if j.plan, err = process.Resolve(j.o.Process, l, facts); err != nil {
		return err
	}
	if j.base.HostCgroups && j.plan.Caps.MayHave(unix.CAP_SYS_ADMIN) {
		return &withHint{errors.New("the process would have CAP_SYS_ADMIN, which makes the host's cgroups writable that the container has as a read-only bind"),
			`leave CAP_SYS_ADMIN out, or create the container with {"type": "cgroup"} in linux.namespaces`}
	}
	if j.c.record.Cgroup.Exposed && j.plan.Caps.MayHave(unix.CAP_MKNOD, unix.CAP_SYS_ADMIN) {
		return &withHint{errors.New("the process would have CAP_MKNOD or CAP_SYS_ADMIN, with which it gets at devices that linux.resources.devices denies: the container has no cgroup that keeps it from them"),
			"leave them out, or create the container without these rules"}
	}
	if j.base.RoutesGuard && j.plan.Caps.MayHave(unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN) {
		return &withHint{errors.New("the process would have CAP_NET_ADMIN, which takes away the routes that keep the container from the addresses of cloud metadata"),
			"leave CAP_NET_ADMIN and CAP_SYS_ADMIN out, or create the container with --network internal or --allow-metadata"}
	}
	if err := setHome(&j.plan, fmt.Sprintf("/proc/%d/root", j.c.record.PID)); err != nil {
		return err
	}
	return j.plan.RaiseLimits()
}

// decideCgroup finds the container's cgroup and the way into it.
func (j *joiner) decideCgroup() (err error) {
	j.entry, err = j.c.record.Cgroup.Enter(j.c.record.PID, j.o.Cgroup)
	if j.entry.FD >= 0 {
		j.fds = append(j.fds, j.entry.FD)
	}
	return err
}

func (j *joiner) openSockets() error {
	terminal := j.o.Process.Terminal
	switch {
	case j.o.ConsoleSocket != "" && !terminal:
		return errors.New("--console-socket: the process has no terminal to send")
	case terminal && j.o.ConsoleSocket == "" && !j.o.Foreground:
		return &withHint{errors.New("the process wants a terminal, but nobody takes it: cannot allocate tty if mycr will detach without setting console socket"),
			"leave --detach out, or give --console-socket PATH"}
	}
	var err error
	j.master = -1
	switch {
	case j.o.ConsoleSocket != "":
		if j.console, err = j.fds.connect(j.o.ConsoleSocket); err != nil {
			return fmt.Errorf("--console-socket: %w", err)
		}
	case terminal:
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("make a socket pair: %w", err)
		}
		j.fds = append(j.fds, pair[:]...)
		j.master, j.console = pair[0], pair[1]
	}
	if err := checkPreserved(j.o.PreserveFDs); err != nil {
		return err
	}
	if j.base.Seccomp.Notify {
		if j.listener, err = j.fds.connect(j.base.Seccomp.ListenerPath); err != nil {
			return fmt.Errorf("linux.seccomp.listenerPath: %w", err)
		}
	}
	return nil
}

// start runs the list: join, fork into the pid namespace, the last steps.
func (j *joiner) start() error {
	flags, err := j.differing()
	if err != nil {
		return err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make the status socket: %w", err)
	}
	j.parent = pair[0]
	j.fds = append(j.fds, pair[0])
	options := process.ProgramOptions{
		ProcFD: -1, ConsoleSocket: j.console, PreserveFDs: j.o.PreserveFDs, KeepFDs: []int{pair[1]},
	}
	if j.listener >= 0 {
		options.KeepFDs = append(options.KeepFDs, j.listener)
	}
	state := specs.State{Version: j.c.record.OCIVersion, ID: j.c.record.ID, Status: specs.StateRunning, Pid: j.c.record.PID, Bundle: j.c.record.Bundle, Annotations: j.c.record.Annotations}
	if options.Seccomp, err = filterSteps(&j.base.Seccomp, j.listener, state, 0); err != nil {
		unix.Close(pair[1])
		return err
	}
	p := linux.NewProgram()
	if flags&unix.CLONE_NEWTIME != 0 {
		p.OwnMemory()
	}
	waiting := -1
	if j.entry.Unit != "" { // the manager moves a process of our own uid, so before it becomes another's
		if waiting, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
			unix.Close(pair[1])
			return fmt.Errorf("make an eventfd: %w", err)
		}
		j.fds = append(j.fds, waiting)
		p.OwnMemory()
		p.Call("die with the parent", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL))
		p.Call("wait for the cgroup", unix.SYS_READ, waiting, make([]byte, 8), 8)
	}
	j.plan.AddEarly(p)
	// Nobody in the container may look into us, from before we are in it
	// (CVE-2016-9962); the memory of a process that was not executed in the
	// container's user namespace belongs to ours, so its root cannot either.
	p.Call("become undumpable", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	if flags != 0 {
		p.Call("join the container's namespaces", unix.SYS_SETNS, j.pidfd, flags)
	}
	p.Fork("fork into the container", 0)
	p.Add(j.plan.Program(options))
	j.program = p
	between, err := linux.Clone(0, j.entry.FD, p, pair[1])
	unix.Close(pair[1])
	if err != nil {
		return fmt.Errorf("fork into %s: %w", j.entry.Words(), err)
	}
	defer unix.Close(between.PidFD)
	if waiting >= 0 {
		if err = j.entry.Attach(between.PID); err == nil {
			_, err = unix.Write(waiting, binary.NativeEndian.AppendUint64(nil, 1))
		}
		if err != nil {
			unix.PidfdSendSignal(between.PidFD, unix.SIGKILL, nil, 0)
			_, werr := linux.Wait(between.PID)
			return errors.Join(err, werr)
		}
	}
	sibling, fault, err := linux.ReadForked(j.parent)
	if _, werr := linux.Wait(between.PID); err == nil {
		err = werr
	}
	switch {
	case sibling == 0 && fault != nil:
		return fmt.Errorf("%s: %w", p.What(fault.Step), fault.Errno)
	case err != nil:
		return fmt.Errorf("join the container: %w", err)
	case fault != nil:
		linux.Wait(sibling)
		return j.failure(fault)
	}
	j.process.PID = sibling
	if j.process.PidFD, err = unix.PidfdOpen(sibling, 0); err != nil {
		return fmt.Errorf("open process %d: %w", sibling, err)
	}
	return nil
}

// differing returns the namespaces of the container that are not ours.
func (j *joiner) differing() (flags uint64, err error) {
	for _, k := range userns.Kinds() {
		var ours, theirs unix.Stat_t
		if err := unix.Stat("/proc/self/ns/"+userns.Name(k), &ours); errors.Is(err, unix.ENOENT) {
			continue // a kind that this kernel does not have
		} else if err != nil {
			return 0, fmt.Errorf("own %s namespace: %w", userns.Name(k), err)
		}
		if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/%s", j.c.record.PID, userns.Name(k)), &theirs); err != nil {
			return 0, fmt.Errorf("%s namespace of the container: %w", userns.Name(k), err)
		}
		if ours.Ino != theirs.Ino {
			flags |= k
		}
	}
	return flags, nil
}

// finish waits for execve, whose success is the status socket's end.
func (j *joiner) finish() error {
	report, err := linux.ReadReport(j.parent)
	if err == nil {
		linux.Wait(j.process.PID)
		unix.Close(j.process.PidFD)
		return j.failure(&report)
	}
	if j.master >= 0 {
		m, err := hear(j.master)
		if err == nil {
			j.process.Master, err = checkMaster(m.fds)
		}
		if err != nil {
			return j.undo(fmt.Errorf("receive the terminal: %w", err))
		}
	}
	if j.o.PidFile != "" {
		if err := writePidFile(j.o.PidFile, j.process.PID); err != nil {
			return j.undo(err)
		}
	}
	return nil
}

// failure tells why the last steps failed, looking at the program in the
// container's root.
func (j *joiner) failure(fault *linux.Report) error {
	root, err := j.c.OpenRoot()
	if err != nil {
		root = -1
	} else {
		defer unix.Close(root)
	}
	return execFailure(&j.plan, j.program, "", fault.Step, fault.Errno, root)
}

func (j *joiner) undo(cause error) error {
	unix.PidfdSendSignal(j.process.PidFD, unix.SIGKILL, nil, 0)
	_, err := linux.Wait(j.process.PID)
	return errors.Join(cause, err)
}

// checkMaster makes sure that what came out of a container is the master of a
// terminal, and not a device or file that reading and writing would do harm to.
func checkMaster(fds []int) (*os.File, error) {
	if len(fds) != 1 {
		return nil, fmt.Errorf("%d descriptors came with the terminal, not one", len(fds))
	}
	fd := fds[0]
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(5, 2) {
		unix.Close(fd)
		return nil, errors.New("what the container sent is no terminal")
	}
	return os.NewFile(uintptr(fd), "terminal"), nil
}
