// SPDX-License-Identifier: Apache-2.0

package container

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"mycr/cgroupdelegate"
)

// Verdict says which limits the kernel enforced on a container that has ended
// with this exit status, a line each; none where it ended well. It is asked as
// soon as the end is known: systemd removes the cgroup of a scope that has no
// process left, and the numbers with it.
func (c *Container) Verdict(status int) []string {
	g := &c.record.Cgroup
	if status == 0 || g.Path == "" {
		return nil
	}
	return verdict{id: c.record.ID, path: g.Path, limits: g.Limits, read: readCgroup}.lines()
}

// readCgroup returns the text of a cgroup's file. Where it cannot be read there is
// nothing to tell, which is no error: what the container did is told without.
func readCgroup(name, file string) string {
	c, err := cgroupdelegate.Open(name)
	if err != nil {
		return ""
	}
	defer c.Close()
	text, err := c.Read(file)
	if err != nil {
		return ""
	}
	return text
}

// verdict looks at a container's cgroup and those above it, for a limit there
// holds for the container too.
type verdict struct {
	id           string
	path, limits string // of a Group
	read         func(cgroup, file string) string
}

func (v verdict) lines() []string {
	var lines []string
	for _, line := range [...]string{v.memory(), v.pids()} {
		if line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// memory: the kernel counts the killed where they were, and the limit that was
// reached where it is (memory.events.local, Linux 5.2); where it is nowhere, it was
// the host that had none left.
func (v verdict) memory() string {
	killed := v.event(v.limits, "memory.events", "oom_kill")
	if killed == 0 {
		return ""
	}
	line := fmt.Sprintf("the kernel killed %d %s of %s for want of memory: ", killed, plural(killed, "process", "processes"), v.id)
	for at := range v.upwards() {
		if v.event(at, "memory.events.local", "oom") > 0 {
			return line + v.reached(at, "memory", "linux.resources.memory.limit", " bytes")
		}
	}
	return line + "the host had none left" + v.peak(v.limits, "memory", " bytes")
}

// pids: before Linux 6.11 a refused fork is counted where it was tried, since then
// where the limit is, and above.
func (v verdict) pids() string {
	refused := max(v.event(v.path, "pids.events", "max"), v.event(v.limits, "pids.events", "max"))
	if refused == 0 {
		return ""
	}
	line := fmt.Sprintf("the kernel refused %d %s of %s: ", refused, plural(refused, "fork", "forks"), v.id)
	for at := range v.upwards() {
		most, limited := v.number(at, "pids.max")
		if peak, known := v.number(at, "pids.peak"); limited && (!known || peak >= most) {
			return line + v.reached(at, "pids", "linux.resources.pids.limit", "")
		}
	}
	return line + "a cgroup above it reached its pids.max"
}

// reached names the limit, its value and the peak.
func (v verdict) reached(at, controller, field, unit string) string {
	most, limited := v.number(at, controller+".max")
	value := "none any more"
	if limited {
		value = strconv.FormatUint(most, 10)
	}
	if at == v.limits || strings.HasPrefix(at, v.limits+"/") {
		return fmt.Sprintf("it reached %s.max (%s: %s)%s", controller, field, value, v.peak(v.limits, controller, unit))
	}
	return fmt.Sprintf("the cgroup %s above it reached %s.max, %s%s%s", at, controller, value, unit, v.peak(at, controller, unit))
}

// peak is the most that a cgroup ever used, where the kernel keeps it.
func (v verdict) peak(at, controller, unit string) string {
	peak, known := v.number(at, controller+".peak")
	if !known {
		return ""
	}
	return fmt.Sprintf(", peak %d%s", peak, unit)
}

// upwards goes from the container's cgroup to the topmost one.
func (v verdict) upwards() func(func(string) bool) {
	return func(yield func(string) bool) {
		for at := v.path; yield(at) && at != "/"; {
			at = path.Dir(at)
		}
	}
}

// event is a count of one of the files with a key and a number in each line.
func (v verdict) event(cgroup, file, key string) uint64 {
	for line := range strings.SplitSeq(v.read(cgroup, file), "\n") {
		if name, value, _ := strings.Cut(line, " "); name == key {
			n, _ := strconv.ParseUint(value, 10, 64)
			return n
		}
	}
	return 0
}

// number is that of a file with one number in it, not known for max.
func (v verdict) number(cgroup, file string) (uint64, bool) {
	n, err := strconv.ParseUint(v.read(cgroup, file), 10, 64)
	return n, err == nil
}

func plural(n uint64, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}
