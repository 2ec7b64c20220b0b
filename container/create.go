// SPDX-License-Identifier: Apache-2.0

package container

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/cgroupdelegate"
	"mycr/hooks"
	"mycr/linux"
	"mycr/netns"
	"mycr/userns"
)

// CreateOptions are what the command line says about a new container.
type CreateOptions struct {
	ID            string
	Bundle        string      // directory, "" is the current one
	Spec          *specs.Spec // nil: Bundle's config.json
	PidFile       string
	ConsoleSocket string
	NoPivot       bool
	NoNewKeyring  bool
	PreserveFDs   int    // this many of the caller's descriptors from 3 on are the process's too
	Manager       string // of cgroups: "", systemd, cgroupfs, disabled
	// TrustAnnotations: the bundle's annotations may say what systemd is to set.
	TrustAnnotations bool
	Network          netns.Options
	NotifySocket     string // the caller's NOTIFY_SOCKET, "" for none; see decideNotify
	Start            bool   // do not wait for `start`
	Foreground       bool   // the caller waits, and relays the terminal
	Reaper           bool   // a reaping init is process 1, the process its child
	DieWithParent    bool
	stateDir         string // of this container, filled in by Create
}

// Process is a process in a container that this mycr made and has to wait for.
type Process struct {
	PID    int
	PidFD  int
	Master *os.File // of its terminal, where the caller relays it; else nil
	Notify *Notify  // where the caller relays what the process tells its service manager; else nil
}

// Create makes a container. Whatever fails, nothing is left of it. The calling
// goroutine is locked to its thread from then on, which must outlive a child
// that is to die with its parent.
func (r *Root) Create(o CreateOptions) (c *Container, p *Process, err error) {
	if err := CheckID(o.ID); err != nil {
		return nil, nil, err
	}
	o.stateDir = filepath.Join(r.path, o.ID)
	plan, err := resolve(&o)
	if err != nil {
		return nil, nil, err
	}
	defer func() { plan.fds.close() }()
	d, err := r.makeDir(o.ID)
	if err != nil {
		return nil, nil, err
	}
	m := &maker{options: &o, plan: plan, parent: -1, reaper: -1, c: &Container{root: r, dir: d, record: plan.record}}
	defer func() {
		if err != nil {
			err = m.abort(err)
		}
	}()
	if err := m.c.writeRecord(); err != nil {
		return nil, nil, err
	}
	if err := m.writeNetworkFiles(); err != nil {
		return nil, nil, err
	}
	if err := m.openNotify(); err != nil {
		return nil, nil, err
	}
	if err := plan.orders.Process.RaiseLimits(); err != nil {
		return nil, nil, err
	}
	// PDEATHSIG follows the thread that clones.
	runtime.LockOSThread()
	for _, step := range []func() error{m.makeCgroup, m.launchDriver, m.begin, m.mapIDs, m.introduce, m.letMount, m.network, m.describe, m.place, m.runtimeHooks, m.commit} {
		if err := step(); err != nil {
			return nil, nil, err
		}
	}
	m.group.Close()
	d.unlock()
	return m.c, &m.process, nil
}

// maker is a container being made, from the parent's side.
type maker struct {
	options       *CreateOptions
	plan          *plan
	c             *Container
	program       *linux.Program
	process       Process
	group         *cgroupdelegate.Making
	placed        bool // init is in its cgroup
	parent        int  // our end of the status socket
	reaper        int  // eventfd on which a reaping init waits for its cgroup and its ids, or -1
	hooked        bool
	driver        *netns.Starting // of the network, or nil
	userNamespace int             // for the driver, or -1
}

// makeCgroup is before every process of ours: while it is made there may be none in the cgroup above.
func (m *maker) makeCgroup() (err error) {
	m.group, err = m.plan.cgroup.Begin()
	return err
}

// begin starts the child with its orders.
func (m *maker) begin() error {
	o := &m.plan.orders
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make the status socket: %w", err)
	}
	m.parent, o.Status = pair[0], pair[1]
	fail := func(err error) error {
		if o.Status >= 0 {
			unix.Close(o.Status)
		}
		return err
	}
	if o.Gate, err = m.makeGate(); err != nil {
		return fail(err)
	}
	sealed, err := seal(o)
	if err != nil {
		return fail(err)
	}
	defer unix.Close(sealed)
	exe, err := childExe(&m.plan.userns)
	if err != nil {
		return fail(err)
	}
	defer exe.close()
	if m.options.Reaper {
		if m.reaper, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_SEMAPHORE); err != nil {
			return fail(fmt.Errorf("make an eventfd: %w", err))
		}
		m.plan.fds = append(m.plan.fds, m.reaper)
	}
	m.program = childProgram(m.plan, exe, sealed, m.options.PreserveFDs, m.reaper, m.group.Moves())
	child, err := m.plan.userns.Start(m.program, m.group.FD(), o.Status, m.parent)
	if o.Gate >= 0 {
		unix.Close(o.Gate)
	}
	if err != nil {
		return explain(err)
	}
	m.process.PID, m.process.PidFD = child.PID, child.PidFD
	if err := m.openUserNamespace(); err != nil {
		return err
	}
	return m.group.Move(child.PID)
}

// explain adds to a refusal of the kernel what can be found out about it.
func explain(err error) error {
	var step *userns.StepError
	if errors.As(err, &step) {
		return userns.Diagnose(step.Step, step.Errno)
	}
	return err
}

// makeGate makes the socket at which a created container waits for `start`. It
// is bound by its short path below /proc, since sun_path takes 108 bytes.
func (m *maker) makeGate() (int, error) {
	if m.options.Start {
		return -1, nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("make the gate: %w", err)
	}
	if err := unix.Bind(fd, linux.SocketIn(m.c.dir.fd, gateName)); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("bind the gate in %s: %w", m.c.dir.path, err)
	}
	if err := unix.Listen(fd, 1); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("listen at the gate: %w", err)
	}
	return fd, nil
}

// mapIDs gives the child its ids.
func (m *maker) mapIDs() error {
	if m.placeFirst() {
		if err := m.settle(); err != nil {
			return err
		}
	}
	if m.plan.userns.User == userns.UserNew {
		if err := m.plan.ids.Write(m.process.PID); err != nil {
			return m.preferFault(err)
		}
	}
	return nil
}

// letMount tells the child that it has its ids, and gives it what only the parent can mount.
func (m *maker) letMount() error {
	if err := m.tellReaper(); err != nil {
		return err
	}
	mounts, err := m.mountsFromHere()
	if err != nil {
		return err
	}
	err = say(m.parent, wordMapped, pidBytes(m.process.PID), mounts...)
	for _, fd := range mounts {
		unix.Close(fd)
	}
	if err != nil {
		return m.preferFault(errSilent)
	}
	return nil
}

// tellReaper lets a reaping init go one step further.
func (m *maker) tellReaper() error {
	if m.reaper < 0 {
		return nil
	}
	if _, err := unix.Write(m.reaper, binary.NativeEndian.AppendUint64(nil, 1)); err != nil {
		return fmt.Errorf("tell the reaping init: %w", err)
	}
	return nil
}

// mountsFromHere makes the mounts that only the parent can make, now that the
// container's user namespace has its ids.
func (m *maker) mountsFromHere() ([]int, error) {
	if m.plan.orders.Rootfs.InParent == 0 {
		return nil, nil
	}
	user, err := unix.Open(fmt.Sprintf("/proc/%d/ns/user", m.process.PID), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, m.preferFault(fmt.Errorf("open the container's user namespace: %w", err))
	}
	defer unix.Close(user)
	return m.plan.orders.Rootfs.OpenInParent(user)
}

// describe fills in the record while the child mounts.
func (m *maker) describe() error {
	record := &m.c.record
	_, start, err := linux.ProcessStat(m.process.PID)
	if err != nil {
		return m.preferFault(fmt.Errorf("read the start time of process %d: %w", m.process.PID, err))
	}
	record.PID, record.StartTime = m.process.PID, start
	record.Namespaces = namespaceInodes(m.process.PID)
	record.Made = make(map[string]uint64, len(record.Namespaces))
	for _, k := range userns.Kinds() {
		if m.plan.userns.New&k != 0 {
			record.Made[userns.Name(k)] = record.Namespaces[userns.Name(k)]
		}
	}
	if record.SharedPID && !m.plan.cgroup.HasCgroup() && m.plan.userns.New&unix.CLONE_NEWNS != 0 {
		record.MountNamespaceID = mountNamespaceID(m.process.PID)
	}
	m.plan.exec.Init = *record
	if err := m.c.dir.write(execName, marshal(&m.plan.exec)); err != nil {
		return err
	}
	if len(m.plan.hooks.Poststart)+len(m.plan.hooks.Poststop) > 0 {
		return m.c.dir.write(hooksName, marshal(&m.plan.hooks))
	}
	return nil
}

// runtimeHooks runs prestart and createRuntime when all is mounted.
func (m *maker) runtimeHooks() error {
	h := m.plan.spec.Hooks
	if !m.plan.orders.RuntimeHooks {
		return nil
	}
	if _, err := m.await(wordBorn); err != nil {
		return err
	}
	if err := m.networkReady(); err != nil {
		return err
	}
	m.hooked = true
	for _, k := range hooks.Lists(h)[:2] { // prestart, createRuntime
		if err := m.c.runHooks(k.Kind, k.Hooks, specs.StateCreating); err != nil {
			return err
		}
	}
	if err := say(m.parent, wordHooked, nil); err != nil {
		return errSilent
	}
	return nil
}

func (c *Container) runHooks(kind string, list []specs.Hook, status specs.ContainerState) error {
	if len(list) == 0 {
		return nil
	}
	state, err := c.record.hookState(status)
	if err != nil {
		return err
	}
	options := hooks.Options{Kind: kind, Dir: c.record.Bundle}
	if kind == hooks.Poststop { // one that fails does not keep the others from running
		return errors.Join(hooks.RunAll(list, state, options)...)
	}
	return hooks.Run(list, state, options)
}

// commit puts the container on disk when its init is ready, and lets it live.
func (m *maker) commit() error {
	ready, err := m.await(wordReady)
	if err != nil {
		return err
	}
	var notes []string
	if err := unmarshal(ready.rest, &notes); err != nil {
		return fmt.Errorf("notes of the container's init: %w", err)
	}
	record := &m.c.record
	if err := m.networkReady(); err != nil {
		return err
	}
	record.Notes = append(record.Notes, notes...)
	record.Creating = false
	if m.plan.userns.Later != 0 { // what init made itself meanwhile
		name := userns.Name(m.plan.userns.Later)
		record.Namespaces[name] = namespaceInode(m.process.PID, name)
		record.Made[name] = record.Namespaces[name]
	}
	if m.options.PidFile != "" {
		if err := writePidFile(m.options.PidFile, m.process.PID); err != nil {
			return err
		}
	}
	if err := m.c.writeRecord(); err != nil {
		return err
	}
	if err := say(m.parent, wordCommitted, nil); err != nil {
		return fmt.Errorf("the container's init ended when it was ready")
	}
	if m.options.Start {
		return m.started()
	}
	// Until it has given up PDEATHSIG, our end would be its own.
	if _, err := m.await(wordCommitted); err != nil {
		return err
	}
	unix.Close(m.parent)
	return nil
}

// started waits for the status socket's end, which is execve's success, and
// runs the poststart hooks.
func (m *maker) started() error {
	_, err := m.hear()
	if err == nil {
		err = errors.New("the container's init said a word after its last")
	}
	if !errors.Is(err, errSilent) {
		return err
	}
	unix.Close(m.parent)
	m.parent = -1
	return m.c.poststart()
}
