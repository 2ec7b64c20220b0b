// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// Pids are the processes of the cgroup's whole subtree, as our pid namespace has them.
func (c *Cgroup) Pids() ([]int, error) {
	var pids []int
	err := c.walk(func(at *Cgroup) error {
		here, err := at.procs()
		if errors.Is(err, unix.EOPNOTSUPP) { // a threaded one; its processes are listed above it
			return nil
		}
		pids = append(pids, here...)
		return err
	})
	return pids, err
}

// walk visits the subtree, children first; cgroups that vanish meanwhile are passed over.
func (c *Cgroup) walk(visit func(*Cgroup) error) error {
	entries, err := c.entries()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		below, err := c.Open(e.Name())
		if errors.Is(err, ErrGone) {
			continue
		}
		if errors.Is(err, unix.EACCES) {
			return &closedError{path.Join(c.Path, e.Name()), err}
		}
		if err != nil {
			return err
		}
		err = below.walk(visit)
		below.Close()
		if err != nil {
			return err
		}
	}
	if err := visit(c); err != nil && !errors.Is(err, ErrGone) {
		return err
	}
	return nil
}

func (c *Cgroup) entries() ([]os.DirEntry, error) {
	fd, err := unix.Openat(c.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, c.failed("open", ".", err)
	}
	dir := os.NewFile(uintptr(fd), c.Path)
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("read cgroup %s: %w", c.Path, err)
	}
	return entries, nil
}

// event is a value of cgroup.events: populated or frozen.
func (c *Cgroup) event(key string) (bool, error) {
	events, err := c.flat("cgroup.events")
	if err != nil {
		return false, err
	}
	value, known := events[key]
	if !known {
		return false, fmt.Errorf("cgroup.events of cgroup %s has no %q", c.Path, key)
	}
	return value == 1, nil
}

// populated tells whether there is a process in the subtree.
func (c *Cgroup) populated() (bool, error) { return c.event("populated") }

// await waits until a value of cgroup.events is as wanted. The kernel wakes
// poll(2) for POLLPRI when the file changes; see cgroups(7).
func (c *Cgroup) await(key string, want bool, limit time.Duration) error {
	fd, err := c.openEvents("cgroup.events")
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	deadline := time.Now().Add(limit)
	for {
		unix.Pread(fd, make([]byte, 256), 0) // arms the notification
		is, err := c.event(key)
		if err != nil || is == want {
			return err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("cgroup %s: %q is still %v after %v", c.Path, key, is, limit)
		}
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}, int(left.Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for cgroup %s: %w", c.Path, err)
		}
	}
}

// Frozen tells whether the cgroup is frozen, or about to be.
func (c *Cgroup) Frozen() (bool, error) {
	text, err := c.Read("cgroup.freeze")
	return text == "1", err
}

// Freeze stops or continues all processes of the subtree and waits until the
// kernel has done so. What cannot be frozen in time continues.
func (c *Cgroup) Freeze(frozen bool) error {
	text := "0"
	if frozen {
		text = "1"
	}
	if err := c.Write("cgroup.freeze", text); err != nil {
		return err
	}
	err := c.await("frozen", frozen, patience)
	if err != nil && frozen {
		err = errors.Join(err, c.Write("cgroup.freeze", "0"))
	}
	return err
}

// Kill kills all processes of the subtree, also those that fork meanwhile and
// those that are frozen, and waits until there is none. Systemd removes a scope
// without processes at once.
func (c *Cgroup) Kill() error {
	err := c.Write("cgroup.kill", "1")
	switch {
	case errors.Is(err, unix.ENOENT): // before Linux 5.14
		err = c.killEach()
	case err == nil:
		err = c.await("populated", false, patience)
	}
	if errors.Is(err, ErrGone) {
		return nil
	}
	return err
}

// killEach kills until none is left; what is frozen cannot fork in between.
func (c *Cgroup) killEach() error {
	if err := c.Freeze(true); err != nil {
		return err
	}
	pids, err := c.Pids()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if pid > 0 {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
	if err := c.Write("cgroup.freeze", "0"); err != nil {
		return err
	}
	return c.await("populated", false, patience)
}

// Foreign is how the caller changes what belongs to its subordinate ids: it
// makes directories readable that a container has closed, and removes others,
// in the order given, all by absolute paths.
type Foreign func(open, remove []string) error

// Remove kills what is left in the container's cgroup and removes it, with the
// scope. One that is gone already is no error.
func (g *Group) Remove(foreign Foreign) error {
	if err := g.empty(foreign); err != nil || g.Unit == "" {
		return errors.Join(err, g.removeMade(foreign))
	}
	b, err := g.dial()
	if err != nil {
		if g.gone() { // nobody is needed to remove what is not there
			return nil
		}
		return err
	}
	defer b.close()
	return g.remove(b, foreign)
}

func (g *Group) remove(b *bus, foreign Foreign) error {
	if err := g.empty(foreign); err != nil {
		return err
	}
	if err := g.removeMade(foreign); err != nil || b == nil || g.Unit == "" {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.stopUnit(ctx, g.Unit); err != nil {
		return err
	}
	// systemd leaves one behind in which it found cgroups that it may not remove.
	return removeDirectories([]string{g.Limits}, foreign)
}

// removeMade removes the directories that mycr made and that have no others in
// them: one above the container's may by now, and create may have found the
// container's in use.
func (g *Group) removeMade(foreign Foreign) error {
	for i := len(g.Made) - 1; i >= 0; i-- {
		err := removeDirectories(g.Made[i:i+1], foreign)
		if g.Made[i] != g.Limits && (errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOTEMPTY)) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// empty kills the processes and removes the cgroups that the container, or
// mycr for it, made in the one with the limits.
func (g *Group) empty(foreign Foreign) error {
	if g.Limits == "" {
		return nil
	}
	c, err := Open(g.Limits)
	if errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer c.Close()
	if busy, err := c.populated(); err == nil && busy {
		if err := c.Kill(); err != nil {
			return err
		}
	}
	below, err := c.below(foreign)
	if err != nil {
		return err
	}
	return removeDirectories(below, foreign)
}

// below lists the paths of the cgroups in c, children first. A container may
// have closed some to its owner.
func (c *Cgroup) below(foreign Foreign) ([]string, error) {
	for opened := map[string]bool{}; ; {
		var all []string
		err := c.walk(func(at *Cgroup) error {
			if at != c {
				all = append(all, at.Path)
			}
			return nil
		})
		var closed *closedError
		if !errors.As(err, &closed) || opened[closed.path] {
			return all, err
		}
		opened[closed.path] = true
		if err := foreign([]string{path.Join(MountPoint, closed.path)}, nil); err != nil {
			return nil, fmt.Errorf("open cgroup %s: %w", closed.path, err)
		}
	}
}

// closedError is a cgroup that the caller may not look into.
type closedError struct {
	path string
	error
}

// removeDirectories removes cgroups in the order given; those that are gone are
// no error.
func removeDirectories(names []string, foreign Foreign) error {
	for i, name := range names {
		err := unix.Rmdir(path.Join(MountPoint, name))
		if errors.Is(err, unix.EACCES) { // of a directory that belongs to a subordinate id
			rest := make([]string, 0, len(names)-i)
			for _, name := range names[i:] {
				rest = append(rest, path.Join(MountPoint, name))
			}
			err = foreign(nil, rest)
			if err == nil {
				return nil
			}
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("remove cgroup %s: %w", name, err)
		}
	}
	return nil
}

// gone tells whether the cgroup with the limits is not there.
func (g *Group) gone() bool {
	if g.Limits == "" {
		return true
	}
	c, err := Open(g.Limits)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, ErrGone)
}

// dial reaches the manager of a stored scope, however little this command's
// environment says.
func (g *Group) dial() (*bus, error) {
	facts, err := gatherBus()
	if err != nil {
		return nil, err
	}
	m, err := findManager(facts)
	if err != nil {
		return nil, err
	}
	return m.dial(context.Background())
}
