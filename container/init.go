// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/coldjson"
	"mycr/hooks"
	"mycr/linux"
	"mycr/process"
	"mycr/rootfs"
)

// initWord is the first argument of the container's init, which mycr starts
// with its orders' descriptor as the second.
const initWord = "init"

// IsInit tells whether the arguments are those of a container's init.
func IsInit(args []string) bool { return len(args) == 3 && args[1] == initWord }

// Init is the container's init: it builds what its orders say and becomes the
// process. It returns only an error that happened before it knew where to
// report; all others it reports to its parent.
//
// All work is done by one thread, which the caller has locked: the other
// threads of a Go program keep the ids and capabilities that they began with,
// and end at execve.
func Init(args []string) error {
	fd, err := strconv.Atoi(args[2])
	if err != nil {
		return errors.New("init is not for people: it takes sealed orders from mycr")
	}
	o, err := unseal(fd)
	if err != nil {
		return err
	}
	unix.Close(fd)
	c := &child{orders: o, socket: o.Status, proc: -1, tree: o.Rootfs.Tree()}
	for _, fd := range []int{o.Status, o.Gate, o.Console, o.Listener} {
		if fd >= 0 {
			unix.CloseOnExec(fd)
		}
	}
	if err := c.run(); !errors.Is(err, errSilent) {
		c.report(err)
	}
	os.Exit(1)
	return nil
}

// child is the container's init while it is still mycr.
type child struct {
	orders *Orders
	socket int // where faults go: the status socket, later the connection of `start`
	pid    int // our pid as the parent has it
	proc   int // a verified procfs for the security labels, or -1
	tree   *rootfs.Tree
	path   string // the program, as Lookup found it
}

// run goes through the life of init in its order.
func (c *child) run() error {
	for _, step := range []func() error{
		c.becomeRoot, c.build, c.waitForHooks, c.enter, c.ready, c.waitForStart, c.startHooks,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return c.become()
}

func (c *child) report(err error) {
	say(c.socket, wordFault, marshal(faultOf(err)))
}

// expect waits for one word of the parent; its silence is its death.
func (c *child) expect(word byte) (message, error) {
	m, err := hear(c.orders.Status)
	if err == nil && m.word != word {
		err = fmt.Errorf("expected %q on the status socket, heard %q", word, m.word)
	}
	return m, err
}

// becomeRoot waits until the ids are mapped and takes those that build the
// container. A change of ids clears PDEATHSIG (prctl(2)), so it is set again;
// that the parent lives still, its next word shows.
func (c *child) becomeRoot() error {
	m, err := c.expect(wordMapped)
	if err != nil {
		return err
	}
	c.pid = pidOf(m.rest)
	c.tree.FromParent(m.fds)
	if c.orders.SetIDs {
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(c.orders.GID), uintptr(c.orders.GID), uintptr(c.orders.GID)); e != 0 {
			return fmt.Errorf("take gid %d of the user namespace: %w", c.orders.GID, e)
		}
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(c.orders.UID), uintptr(c.orders.UID), uintptr(c.orders.UID)); e != 0 {
			return fmt.Errorf("take uid %d of the user namespace: %w", c.orders.UID, e)
		}
	}
	if _, _, e := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0); e != 0 {
		return fmt.Errorf("ask to die with the parent: %w", e)
	}
	// Nobody in a joined user or pid namespace may look into us (CVE-2016-9962).
	if _, _, e := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0); e != 0 {
		return fmt.Errorf("become undumpable: %w", e)
	}
	return nil
}

// build makes everything that the createContainer hooks may see.
func (c *child) build() error {
	o := c.orders
	if _, err := unix.Setsid(); err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("start a session: %w", err)
	}
	if err := c.network(); err != nil {
		return err
	}
	if err := c.tree.Prepare(); err != nil {
		return err
	}
	c.tree.BeforeCgroup = c.place
	if err := c.tree.Mount(); err != nil {
		return err
	}
	if o.Hostname != "" {
		if err := unix.Sethostname([]byte(o.Hostname)); err != nil {
			return fmt.Errorf("hostname: set %q: %w", o.Hostname, err)
		}
	}
	if o.Domainname != "" {
		if err := unix.Setdomainname([]byte(o.Domainname)); err != nil {
			return fmt.Errorf("domainname: set %q: %w", o.Domainname, err)
		}
	}
	return nil
}

// place waits until init is in its cgroup, as late as it can, and makes that the root of its cgroup namespace.
func (c *child) place() error {
	if c.orders.Cgroup.Wait {
		if _, err := c.expect(wordPlaced); err != nil {
			return err
		}
	}
	if c.orders.Cgroup.Unshare {
		if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
			return fmt.Errorf("create a cgroup namespace: %w", err)
		}
	}
	return nil
}

// waitForHooks lets the parent run prestart and createRuntime, then runs
// createContainer here.
func (c *child) waitForHooks() error {
	o := c.orders
	if o.RuntimeHooks {
		if err := say(o.Status, wordBorn, nil); err != nil {
			return errSilent
		}
		if _, err := c.expect(wordHooked); err != nil {
			return err
		}
	}
	return c.hooks(hooks.CreateContainer, o.CreateContainer, specs.StateCreating)
}

func (c *child) hooks(kind string, list []specs.Hook, status specs.ContainerState) error {
	if len(list) == 0 {
		return nil
	}
	state := c.orders.HookState
	state.Status, state.Pid = status, c.pid
	b, err := coldjson.Marshal(state)
	if err != nil {
		return err
	}
	if err := hooks.Run(list, b, hooks.Options{Kind: kind}); err != nil {
		return &hookError{err}
	}
	return nil
}

// enter makes the new root the root, and finishes what needs it.
func (c *child) enter() error {
	o := c.orders
	if err := c.tree.Pivot(); err != nil {
		return err
	}
	if len(o.Sysctls) > 0 {
		if err := c.sysctls(); err != nil {
			return err
		}
	}
	if o.Process.AppArmor != "" || o.Process.SELinux != "" {
		var err error
		if c.proc, err = c.tree.OpenProc(); err != nil {
			return fmt.Errorf("security label: %w", err)
		}
	}
	if err := c.terminal(); err != nil {
		return err
	}
	if err := c.tree.Finish(); err != nil {
		return err
	}
	if o.Keyring != "" {
		if _, err := unix.KeyctlJoinSessionKeyring(o.Keyring); err != nil && !errors.Is(err, unix.ENOSYS) {
			return &withHint{fmt.Errorf("join session keyring %q: %w", o.Keyring, err), "--no-new-keyring keeps the caller's keyring"}
		}
	}
	if err := os.MkdirAll(o.Process.Cwd, 0o755); err != nil && !errors.Is(err, unix.EACCES) {
		return fmt.Errorf("process.cwd: %w", err)
	}
	if err := setHome(&o.Process, "/"); err != nil {
		return err
	}
	var err error
	c.path, err = process.Lookup(o.Process.Args[0], o.Process.Env, o.Process.Cwd)
	return err
}

// setHome gives the process the home directory of its user, as every runtime
// does, where its environment has none. root is a path of the container's root.
func setHome(p *process.Plan, root string) error {
	if p.HomeSet {
		return nil
	}
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the container's root: %w", err)
	}
	defer unix.Close(fd)
	home := "/"
	if passwd, err := linux.OpenInRoot(fd, "/etc/passwd"); err == nil {
		home = process.LookupHome(passwd, p.UID)
		passwd.Close()
	}
	p.Env = append(p.Env, "HOME="+home)
	return nil
}

// withHint is an error with a remedy.
type withHint struct {
	error
	hint string
}

// Hint returns what to type.
func (e *withHint) Hint() string { return e.hint }

// Unwrap returns the error without its remedy.
func (e *withHint) Unwrap() error { return e.error }

// sysctls writes linux.sysctl through a procfs that no mount of the bundle or
// of a hook can have replaced (CVE-2025-52881).
func (c *child) sysctls() error {
	proc, err := c.tree.OpenProc()
	if err != nil {
		return fmt.Errorf("linux.sysctl: %w", err)
	}
	defer unix.Close(proc)
	for _, s := range c.orders.Sysctls {
		fd, err := rootfs.OpenBelow(proc, "sys/"+s.Path, unix.O_WRONLY)
		if err == nil {
			_, err = unix.Write(fd, []byte(s.Value))
			unix.Close(fd)
		}
		if err != nil {
			return fmt.Errorf("linux.sysctl[%q]: set to %q: %w", s.Key, s.Value, err)
		}
	}
	return nil
}

// terminal makes a pty of the container's own devpts and sends its master to
// where it was asked for.
func (c *child) terminal() error {
	if !c.orders.Terminal {
		return nil
	}
	pts, err := c.tree.Pts()
	if err != nil {
		return err
	}
	defer unix.Close(pts)
	p := &c.orders.Process
	terminal, err := process.OpenTerminal(pts, p.Console, p.UID)
	if err != nil {
		return err
	}
	master, slave := terminal.Master, terminal.Slave
	if err := c.tree.Console(slave); err != nil {
		return err
	}
	if c.orders.Console >= 0 {
		err = unix.Sendmsg(c.orders.Console, []byte(fmt.Sprintf("/dev/pts/%d", terminal.Number)), unix.UnixRights(master), nil, unix.MSG_NOSIGNAL)
		unix.Close(c.orders.Console)
	} else {
		err = say(c.orders.Status, wordTerminal, nil, master)
	}
	if err != nil {
		return fmt.Errorf("send the terminal: %w", err)
	}
	unix.Close(master)
	for fd := range 3 {
		if err := unix.Dup3(slave, fd, 0); err != nil {
			return fmt.Errorf("make the terminal descriptor %d: %w", fd, err)
		}
	}
	return unix.Close(slave)
}

// ready tells the parent that the container is created, and waits until that
// is on disk. From then on the container lives without its maker.
func (c *child) ready() error {
	if err := say(c.orders.Status, wordReady, marshal(c.tree.Notes)); err != nil {
		return errSilent
	}
	if _, err := c.expect(wordCommitted); err != nil {
		return err
	}
	if c.orders.DieWithParent {
		return nil
	}
	if _, _, e := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, 0, 0); e != 0 {
		return fmt.Errorf("outlive the parent: %w", e)
	}
	return nil
}

// waitForStart holds a created container until `start` connects to the gate
// and says go; that connection then takes the faults.
func (c *child) waitForStart() error {
	if c.orders.Gate < 0 {
		return nil
	}
	if err := say(c.orders.Status, wordCommitted, nil); err != nil {
		return errSilent
	}
	unix.Close(c.orders.Status)
	for {
		conn, _, err := unix.Accept4(c.orders.Gate, unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for start: %w", err)
		}
		c.socket = conn
		if m, err := hear(conn); err != nil || m.word != wordCommitted {
			return errSilent // start died before it said go: its container is stopped
		}
		return nil
	}
}

func (c *child) startHooks() error {
	return c.hooks(hooks.StartContainer, c.orders.StartContainer, specs.StateCreated)
}
