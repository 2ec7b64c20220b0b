// SPDX-License-Identifier: Apache-2.0

package container

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"mycr/cgroupdelegate"
)

// verdict looks at a container's cgroup and those above it, for a limit there
// holds for the container too.
type verdict struct {
	id           string
	path, limits string // of a Group
	read         func(cgroup, file string) string
	// gone: the numbers of the container's cgroups are the last that were seen of
	// them. Then before is what was counted above when the container began, nil if
	// nobody knows.
	gone   bool
	before map[string]string
	// killed: the container's process ended by KILL.
	killed bool
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

// memory: the kernel counts the killed where they were and above, and the limit
// that was reached where it is (memory.events.local, Linux 5.2); where it is
// nowhere, it was the host that had none left.
func (v verdict) memory() string {
	killed, above := v.event(v.limits, "memory.events", "oom_kill"), path.Dir(v.limits)
	atLeast := ""
	if v.gone {
		kills := v.since(above, "memory.events", "oom_kill")
		if killed == 0 && kills > 0 && v.killed { // else they are likely another's
			killed = 1
		}
		if kills != killed {
			atLeast = "at least "
		}
	}
	if killed == 0 {
		return ""
	}
	line := fmt.Sprintf("the kernel killed %s%d %s of %s for want of memory: ", atLeast, killed, plural(killed, "process", "processes"), v.id)
	if v.gone && v.since(above, "memory.events", "oom") > v.since(above, "memory.events.local", "oom") {
		return line + v.reached(v.limits, "memory", "linux.resources.memory.limit", " bytes")
	}
	for at := range v.upwards() {
		if v.event(at, "memory.events.local", "oom") > 0 {
			return line + v.reached(at, "memory", "linux.resources.memory.limit", " bytes")
		}
	}
	return line + "the host had none left" + v.peak(v.limits, "memory", " bytes")
}

// since is how much more is counted in the cgroup above than when the container
// began, 0 if nobody knows.
func (v verdict) since(above, file, key string) uint64 {
	if v.before == nil {
		return 0
	}
	now, then := v.event(above, file, key), count(v.before[path.Join(above, file)], key)
	return max(now, then) - then
}

// pids: before Linux 6.11 a refused fork is counted where it was tried, since then
// where the limit is, and above.
func (v verdict) pids() string {
	refused := max(v.event(v.path, "pids.events", "max"), v.event(v.limits, "pids.events", "max"))
	if refused == 0 {
		return ""
	}
	atLeast := ""
	if v.gone {
		atLeast = "at least "
	}
	line := fmt.Sprintf("the kernel refused %s%d %s of %s: ", atLeast, refused, plural(refused, "fork", "forks"), v.id)
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
	if cgroupdelegate.Within(at, v.limits) {
		return fmt.Sprintf("it reached %s.max (%s: %s)%s", controller, field, value, v.peak(v.limits, controller, unit))
	}
	return fmt.Sprintf("the cgroup %s above it reached %s.max, %s%s%s", at, controller, value, unit, v.peak(at, controller, unit))
}

// peak is the most that a cgroup ever used, where the kernel keeps it.
func (v verdict) peak(at, controller, unit string) string {
	peak, known := v.number(at, controller+".peak")
	most, limited := v.number(at, controller+".max")
	switch {
	case !known:
		return ""
	case v.gone && limited && peak < most: // seen too early; the limit was reached since
		return ", peak at the limit"
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

func (v verdict) event(cgroup, file, key string) uint64 {
	return count(v.read(cgroup, file), key)
}

// count is a number of one of the files with a key and a number in each line.
func count(text, key string) uint64 {
	for line := range strings.SplitSeq(text, "\n") {
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
