// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// unlimited is "max" in the kernel's files and infinity in systemd's properties.
const unlimited = math.MaxUint64

// limitsOf is what a new cgroup is to be given, and the settings of
// linux.resources that only cgroup v1 has. What a new cgroup has anyway is left
// out: engines fill such values in, and they need no controller. For a cgroup
// that was there before, changesOf leaves nothing out.
func limitsOf(r *specs.LinuxResources) (l Limits, old []string, err error) {
	return read(r, nil)
}

// changesOf is what `update` writes to a cgroup. 0 changes nothing, since
// engines send it for that; -1 takes a limit away.
func changesOf(r *specs.LinuxResources, was inForce) (l Limits, old []string, err error) {
	return read(r, &was)
}

func read(r *specs.LinuxResources, was *inForce) (Limits, []string, error) {
	a := asked{was: was, numbers: map[string]number{}}
	if r.Memory != nil {
		a.memory(r.Memory)
	}
	if r.CPU != nil {
		a.cpu(r.CPU)
	}
	if r.Pids != nil {
		a.pids(r.Pids)
	}
	if r.BlockIO != nil {
		a.blockIO(r.BlockIO)
	}
	a.hugepages(r.HugepageLimits)
	a.rdma(r.Rdma)
	if r.Network != nil {
		a.network(r.Network)
	}
	a.unified(r.Unified)
	l := a.limits()
	if a.err != nil {
		return Limits{}, nil, a.err
	}
	return l, a.old, nil
}

// asked collects what linux.resources asks for.
type asked struct {
	was *inForce // of the cgroup to update, nil for a new one

	numbers       map[string]number // by file
	quota, period *number           // of cpu.max
	cpus, mems    *list
	devices       []File // of io, hugetlb and rdma, in order
	ioWeight      number // for systemd; value 0 is none
	ioDevices     [5]struct{ entries []string }
	lines         []File // of unified, as they are
	old           []string
	err           error
}

// number is a setting, and the words of config.json for it.
type number struct {
	value uint64
	field string
}

func (a *asked) set(file string, value uint64, field string) {
	a.numbers[file] = number{value, field}
}

// refuse keeps the first error.
func (a *asked) refuse(field, why string, args ...any) {
	if a.err == nil {
		a.err = &Refusal{Cause: field + ": " + fmt.Sprintf(why, args...)}
	}
}

func (a *asked) onlyV1(path string, value any) {
	a.old = append(a.old, field(path, value))
}

func field(path string, value any) string {
	return fmt.Sprintf("linux.resources.%s: %v", path, value)
}

// amount reads a field in which -1 is no limit. Nothing is asked where it is
// missing, or 0, which is what engines send for it.
func (a *asked) amount(path string, v *int64) (n number, given bool) {
	if v == nil || *v == 0 {
		return number{}, false
	}
	n = number{uint64(*v), field(path, *v)}
	if *v < -1 {
		a.refuse(n.field, "neither an amount nor -1, which is no limit")
	}
	return n, true // -1 is unlimited as it stands
}

// pids: 0 is nothing here too, though runtime-spec 1.3 calls it a limit: until then
// the field was no pointer and engines sent 0 for none, as crun still reads it.
func (a *asked) pids(p *specs.LinuxPids) {
	if p.Limit == nil || *p.Limit == 0 {
		return
	}
	a.set("pids.max", uint64(max(*p.Limit, -1)), field("pids.limit", *p.Limit))
}

func (a *asked) network(n *specs.LinuxNetwork) {
	if n.ClassID != nil && *n.ClassID != 0 {
		a.onlyV1("network.classID", *n.ClassID)
	}
	for i, p := range n.Priorities {
		a.onlyV1(fmt.Sprintf("network.priorities[%d]", i), fmt.Sprintf("%s %d", p.Name, p.Priority))
	}
}

// The files with one number, in the order in which they are written: lowering
// memory.max swaps out what is above it, up to the memory.swap.max of that moment.
// Usual is what a new cgroup has, by cgroup-v2.rst of the kernel.
var numberFiles = [...]struct {
	name, property string
	usual          uint64
}{
	{"pids.max", "TasksMax", unlimited},
	{"memory.swap.max", "MemorySwapMax", unlimited},
	{"memory.min", "MemoryMin", 0},
	{"memory.low", "MemoryLow", 0},
	{"memory.high", "MemoryHigh", unlimited},
	{"memory.max", "MemoryMax", unlimited},
}

// limits puts everything in order.
func (a *asked) limits() Limits {
	var l Limits
	a.cpusets(&l)
	for _, f := range numberFiles {
		n, given := a.numbers[f.name]
		if !given || f.name == "memory.swap.max" && n.value == unlimited && a.was != nil && !a.was.swapKnown {
			continue // the kernel could not limit swap
		}
		if f.name == "pids.max" { // never left out: a scope has systemd's DefaultTasksMax
			l.property(f.property, max(n.value, 1)) // systemd knows no 0; a cgroup with a process in it is full either way
		} else if !a.usual(n.value, f.usual) {
			l.property(f.property, n.value)
		}
		if !a.usual(n.value, f.usual) {
			l.file(f.name, maxOr(n.value), n.field)
		}
	}
	a.cpuWeight(&l)
	a.cpuTime(&l)
	l.Files = append(l.Files, a.devices...)
	a.ioProperties(&l)
	l.Files = append(l.Files, a.lines...)
	for _, f := range l.Files {
		controller, _, _ := strings.Cut(f.Name, ".")
		l.Controllers = append(l.Controllers, controller)
	}
	slices.Sort(l.Controllers)
	l.Controllers = slices.Compact(l.Controllers)
	return l
}

// usual tells what a new cgroup need not be given.
func (a *asked) usual(value, usual uint64) bool { return a.was == nil && value == usual }

func (l *Limits) file(name, value, field string) {
	l.Files = append(l.Files, File{Name: name, Value: value, Field: field})
}

func (l *Limits) property(name string, value uint64) {
	l.Properties = append(l.Properties, Property{Name: name, Type: "t", Value: strconv.FormatUint(value, 10)})
}

func maxOr(n uint64) string {
	if n == unlimited {
		return "max"
	}
	return strconv.FormatUint(n, 10)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
