// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"context"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Update changes the limits of a container's cgroup, for systemd first, so that
// it does not write the old ones again, and then for the kernel. What resources
// does not name stays. Where a write fails, those before it hold.
func (g *Group) Update(upper *Cgroup, resources *specs.LinuxResources) error {
	if err := checkRules(resources.Devices); err != nil {
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
	if resources.Devices != nil {
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

func (g *Group) tellManager(p []Property) error {
	b, err := g.dial()
	if err != nil {
		return err
	}
	defer b.close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return b.setProperties(ctx, g.Unit, p)
}
