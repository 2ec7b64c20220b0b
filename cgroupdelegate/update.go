// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"context"
	"reflect"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Update changes the limits of a container's cgroup, for systemd first, so that
// it does not write the old ones again, and then for the kernel. What resources
// does not name stays. Where a write fails, those before it hold.
func (g *Group) Update(upper *Cgroup, resources *specs.LinuxResources) error {
	filter, err := g.changesDevices(resources.Devices)
	if err != nil {
		return err
	}
	was, err := upper.inForce()
	if err != nil {
		return err
	}
	l, old, err := changesOf(resources, was)
	if err != nil {
		return err
	}
	if len(old) > 0 {
		return &Refusal{Cause: strings.Join(old, "; ") + ": only cgroup v1 can do that, and mycr uses cgroup v2"}
	}
	if len(l.Properties) > 0 && g.Unit != "" {
		if err := g.tellManager(l.Properties); err != nil {
			return err
		}
	}
	if err := upper.Apply(l.Files); err != nil {
		return err
	}
	if filter {
		if err := upper.filterDevices(resources.Devices); err != nil {
			return err
		}
	}
	if g.Path == g.Limits {
		return nil
	}
	c, err := Open(g.Path)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Apply(l.Files)
}

// changesDevices tells whether the rules are others than those in force, which
// only root can have filtered. Engines send the old ones with every change.
func (g *Group) changesDevices(rules []specs.LinuxDeviceCgroup) (bool, error) {
	if len(rules) == 0 || reflect.DeepEqual(rules, g.Devices) {
		return false, nil
	}
	if err := checkRules(rules); err != nil {
		return false, err
	}
	facts, err := gatherBus()
	if err == nil && !facts.HostRoot {
		err = &Refusal{Cause: "linux.resources.devices: other rules than the container was made with: only root of the host can have devices filtered"}
	}
	return err == nil, err
}

func (g *Group) tellManager(p []Property) error {
	b, err := g.dial()
	if err != nil {
		return err
	}
	defer b.close()
	return b.setProperties(context.Background(), g.Unit, p)
}
