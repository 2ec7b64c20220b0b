// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/hooks"
	"mycr/linux"
)

// Start lets a created container's process run. It returns when execve has
// succeeded and the poststart hooks have run.
func (r *Root) Start(id string) error {
	c, err := r.loadLocked(id)
	if err != nil {
		return err
	}
	defer c.Close()
	switch status := c.Status(); status {
	case specs.StateCreated:
	case specs.StateStopped:
		return errors.New("cannot start a container that has stopped")
	case specs.StateRunning:
		return errors.New("cannot start an already running container")
	default:
		return fmt.Errorf("cannot start a container that is %s", status)
	}
	conn, err := c.passGate()
	if err != nil {
		return err
	}
	defer unix.Close(conn)
	if err := heardFault(conn); err != nil {
		var f *faultError
		if errors.As(err, &f) && f.fault.Hook {
			return errors.Join(err, c.destroy()) // the specification: continue at "destroyed"
		}
		return err
	}
	return c.poststart()
}

// passGate connects to the waiting init and says go. The gate's name goes
// first: it is what makes the container "created", and a start that dies in
// between leaves a stopped one, since init hears the end of its connection.
func (c *Container) passGate() (int, error) {
	conn, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("make a socket: %w", err)
	}
	fail := func(err error) (int, error) {
		unix.Close(conn)
		return -1, fmt.Errorf("tell the container's init to start: %w", err)
	}
	if err := unix.Connect(conn, linux.SocketIn(c.dir.fd, gateName)); err != nil {
		return fail(err)
	}
	if err := unix.Unlinkat(c.dir.fd, gateName, 0); err != nil {
		return fail(err)
	}
	if err := say(conn, wordCommitted, nil); err != nil {
		return fail(err)
	}
	return conn, nil
}

// heardFault waits for the other side's end, which is execve's success, or its
// fault.
func heardFault(conn int) error {
	m, err := hear(conn)
	if errors.Is(err, errSilent) {
		return nil
	}
	if err != nil {
		return err
	}
	var f Fault
	if m.word != wordFault || unmarshal(m.rest, &f) != nil {
		return fmt.Errorf("the container's init said %q", m.word)
	}
	return &faultError{f}
}

// poststart runs the hooks of that name, in the runtime's namespaces. Where one
// fails the container is stopped and destroyed, as the specification says.
func (c *Container) poststart() error {
	if !c.record.Poststart {
		return nil
	}
	later, err := c.laterHooks()
	if err == nil {
		err = c.runHooks(hooks.Poststart, later.Poststart, specs.StateRunning)
	}
	if err != nil {
		return errors.Join(err, c.destroy())
	}
	return nil
}

func (c *Container) laterHooks() (laterHooks, error) {
	var later laterHooks
	b, err := c.dir.read(hooksName)
	if err != nil {
		return later, err
	}
	if err := unmarshal(b, &later); err != nil || later.Version != recordVersion {
		return later, fmt.Errorf("%s/%s is not of this version of mycr: %v", c.dir.path, hooksName, err)
	}
	return later, nil
}

// Kill sends a signal to the container's init, or with all to each of its
// processes. note says in one line where the kernel will drop it.
func (c *Container) Kill(signal unix.Signal, all bool) (note string, err error) {
	if all {
		return "", c.killAll(signal)
	}
	pidfd, err := c.record.open()
	if err != nil {
		return "", err
	}
	defer unix.Close(pidfd)
	if !c.record.Reaper && dropped(c.record.PID, signal) {
		note = fmt.Sprintf("init of %s has no handler for %s, so the kernel drops it (process 1 of a pid namespace)", c.record.ID, unix.SignalName(signal))
	}
	if err := unix.PidfdSendSignal(pidfd, signal, nil, 0); err != nil {
		if errors.Is(err, unix.ESRCH) {
			return "", ErrNotRunning
		}
		return "", fmt.Errorf("send %s to process %d: %w", unix.SignalName(signal), c.record.PID, err)
	}
	return note, nil
}

// killAll signals each process of the container; one that is stopped has none.
// In a cgroup none escapes by forking meanwhile.
func (c *Container) killAll(signal unix.Signal) error {
	cgroup, err := c.cgroup()
	if err != nil {
		return err
	}
	if cgroup == nil {
		return c.signalAll(signal)
	}
	defer cgroup.Close()
	if signal == unix.SIGKILL {
		return cgroup.Kill()
	}
	if frozen, err := cgroup.Frozen(); err != nil || frozen {
		return errors.Join(err, c.signalAll(signal))
	}
	if err := cgroup.Freeze(true); err != nil {
		return err
	}
	err = c.signalAll(signal)
	return errors.Join(err, cgroup.Freeze(false))
}

func (c *Container) signalAll(signal unix.Signal) error {
	pids, err := c.Pids()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := c.signalMember(pid, signal); err != nil {
			return err
		}
	}
	return nil
}

// Delete removes a stopped or created container, with force also a running
// one. What cannot be read of its state does not stop force. notes are the
// poststop hooks that failed, which is no error.
func (r *Root) Delete(id string, force bool) (notes []string, err error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	d, err := r.openDir(id)
	if err != nil {
		return nil, goneIsDone(err, force)
	}
	c := &Container{root: r, dir: d, record: Record{ID: id}}
	defer c.Close()
	return c.Delete(force)
}

// Delete is Root.Delete of this container, and not of one that has its id since.
func (c *Container) Delete(force bool) (notes []string, err error) {
	if err := c.dir.lock(); err != nil {
		return nil, goneIsDone(err, force)
	}
	err = c.delete(force)
	return c.warnings, err
}

// goneIsDone makes success of a container that is not there, where it was to go by force.
func goneIsDone(err error, force bool) error {
	if force && errors.Is(err, ErrNotExist) {
		return nil
	}
	return err
}

func (c *Container) delete(force bool) error {
	id := c.record.ID
	if err := c.readRecord(); err != nil {
		if !force {
			return &withHint{err, "mycr delete --force " + id}
		}
		c.recover()
		return c.destroy()
	}
	status := c.Status()
	if !force && status != specs.StateStopped && status != specs.StateCreated {
		return &withHint{fmt.Errorf("cannot delete container %s that is not stopped: %s", id, status), "mycr delete --force " + id}
	}
	return c.destroy()
}

// destroy kills what is left of the container, removes its state, and runs the
// poststop hooks, which are read before and so run once. A failing hook is a
// note, not an error.
func (c *Container) destroy() error {
	later, hooksErr := laterHooks{}, error(nil)
	if c.record.Poststop {
		later, hooksErr = c.laterHooks()
	}
	if err := c.end(); err != nil {
		return err
	}
	if err := c.root.removeDir(c.record.ID, c.dir); err != nil {
		return err
	}
	c.destroyed = true
	if hooksErr == nil {
		hooksErr = c.runHooks(hooks.Poststop, later.Poststop, specs.StateStopped)
	}
	if hooksErr != nil {
		c.warnings = append(c.warnings, hooksErr.Error())
	}
	return nil
}
