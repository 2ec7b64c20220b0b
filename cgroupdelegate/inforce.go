// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"fmt"
	"strings"
)

// inForce is what a cgroup has before an update, as far as it matters to what
// the update asks for.
type inForce struct {
	quota, period, burst uint64 // microseconds; quota may be unlimited
	idle                 bool
	memory, swap         uint64 // limits in bytes, or unlimited
	memoryKnown          bool   // the cgroup has memory.current
	swapKnown            bool   // and the kernel counts swap
	memoryUsed, swapUsed uint64 // bytes
}

// inForce reads the cgroup. A controller that it has not leaves what every
// cgroup has.
func (c *Cgroup) inForce() (inForce, error) {
	f := inForce{quota: unlimited, period: usualPeriod, memory: unlimited, swap: unlimited}
	var idle uint64
	if err := c.number("cpu.max.burst", &f.burst); err != nil {
		return f, err
	}
	if err := c.number("cpu.idle", &idle); err != nil {
		return f, err
	}
	f.idle = idle == 1
	for file, to := range map[string]*uint64{
		"memory.max": &f.memory, "memory.swap.max": &f.swap,
		"memory.current": &f.memoryUsed, "memory.swap.current": &f.swapUsed,
	} {
		if err := c.number(file, to); err != nil {
			return f, err
		}
	}
	f.memoryKnown, f.swapKnown = c.Has("memory.current"), c.Has("memory.swap.max")
	if !c.Has("cpu.max") {
		return f, nil
	}
	text, err := c.Read("cpu.max")
	if err != nil {
		return f, err
	}
	quota, period, _ := strings.Cut(text, " ")
	var ok [2]bool
	f.quota, ok[0] = parseMax(quota)
	f.period, ok[1] = parseNumber(period)
	if !ok[0] || !ok[1] {
		return f, fmt.Errorf("cpu.max of cgroup %s: %q is no quota and period", c.Path, text)
	}
	return f, nil
}

// number reads a file with one number or max in it; one that is not there leaves n.
func (c *Cgroup) number(file string, n *uint64) error {
	if !c.Has(file) {
		return nil
	}
	text, err := c.Read(file)
	if err != nil {
		return err
	}
	v, ok := parseMax(text)
	if !ok {
		return fmt.Errorf("%s of cgroup %s: %q is no number", file, c.Path, text)
	}
	*n = v
	return nil
}
