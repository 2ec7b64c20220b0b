// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"mycr/cgroupdelegate"
)

// StatePaused is runc's word for a container that is frozen; runtime-spec has
// none.
const StatePaused specs.ContainerState = "paused"

// cgroup opens the container's cgroup; nil where it has none.
func (c *Container) cgroup() (*cgroupdelegate.Cgroup, error) {
	if !c.HasCgroup() {
		return nil, nil
	}
	cgroup, err := cgroupdelegate.Open(c.record.Cgroup.Limits)
	if errors.Is(err, cgroupdelegate.ErrGone) && !c.record.alive() {
		return nil, nil // it went with its last process
	}
	return cgroup, err
}

// needCgroup is cgroup for what cannot be done without one.
func (c *Container) needCgroup(what string) (*cgroupdelegate.Cgroup, error) {
	cgroup, err := c.cgroup()
	if err == nil && cgroup == nil && c.HasCgroup() {
		err = fmt.Errorf("cannot %s container %s: %w", what, c.record.ID, ErrNotRunning)
	} else if err == nil && cgroup == nil {
		err = fmt.Errorf("cannot %s container %s: it has no cgroup of its own (%s)", what, c.record.ID, &c.record.Cgroup)
	}
	return cgroup, err
}

// frozen tells whether the container is paused.
func (c *Container) frozen() bool {
	cgroup, err := c.cgroup()
	if err != nil || cgroup == nil {
		return false
	}
	defer cgroup.Close()
	frozen, err := cgroup.Frozen()
	return err == nil && frozen
}

// Pause freezes all processes of a running or created container and waits
// until they are.
func (r *Root) Pause(id string) error {
	return r.freeze(id, true)
}

// Resume lets a paused container continue.
func (r *Root) Resume(id string) error {
	return r.freeze(id, false)
}

func (r *Root) freeze(id string, pause bool) error {
	c, err := r.loadLocked(id)
	if err != nil {
		return err
	}
	defer c.Close()
	status := c.Status()
	what := "pause"
	switch {
	case pause && status != specs.StateRunning && status != specs.StateCreated:
		return fmt.Errorf("container not running or created: %s", status)
	case !pause && status != StatePaused:
		return errors.New("container not paused")
	case !pause:
		what = "resume"
	}
	cgroup, err := c.needCgroup(what)
	if err != nil {
		return err
	}
	defer cgroup.Close()
	return cgroup.Freeze(pause)
}

// Update changes the limits of a container that is not stopped; what resources
// does not name stays.
func (r *Root) Update(id string, resources *specs.LinuxResources) error {
	c, err := r.loadLocked(id)
	if err != nil {
		return err
	}
	defer c.Close()
	if c.Status() == specs.StateStopped {
		return errors.New("container not running")
	}
	cgroup, err := c.needCgroup("update")
	if err != nil {
		return err
	}
	defer cgroup.Close()
	return c.record.Cgroup.Update(cgroup, resources)
}

// Stats reads what the kernel counts for a container.
func (c *Container) Stats() (*cgroupdelegate.Stats, error) {
	cgroup, err := c.needCgroup("read the statistics of")
	if err != nil {
		return nil, err
	}
	defer cgroup.Close()
	return cgroup.Stats()
}
