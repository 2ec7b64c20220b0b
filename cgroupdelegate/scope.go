// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
)

// scope is a transient unit for processes that exist already; see systemd.scope(5).
type scope struct {
	Unit        string // NAME.scope
	Slice       string
	Description string
	// Properties must be known to systemd.
	Properties []Property
	// Limits are also written to the kernel's files, so that systemd may be too old to know one:
	// it does not touch a file that it does not know, either.
	Limits []Property
}

// named is the (sv) of the calls.
type named struct {
	Name  string
	Value dbus.Variant
}

// auxiliary is the (sa(sv)) of StartTransientUnit, which has no use here.
type auxiliary struct {
	Name       string
	Properties []named
}

// job is something that systemd does.
type job struct {
	// Unknown are the names in scope.Limits that systemd does not know.
	Unknown []string

	bus    *bus
	unit   string
	verb   string
	pids   []int
	serial uint32
	again  func(*failure) bool // sends the call once more where that mends the failure
}

// start sends StartTransientUnit and waits for nothing: job.wait does. Until
// then the processes may be in either cgroup.
func (b *bus) start(ctx context.Context, s scope, pids []int) (*job, error) {
	properties, err := s.properties(pids)
	if err != nil {
		return nil, err
	}
	limits, err := variants(s.Limits)
	if err != nil {
		return nil, err
	}
	j := &job{bus: b, unit: s.Unit, verb: "start", pids: pids}
	send := func() {
		b.watch(s.Unit)
		j.serial = b.call(systemdName, systemdPath, managerIface+".StartTransientUnit",
			s.Unit, "fail", slices.Concat(properties, limits), []auxiliary{})
	}
	reset := false
	j.again = func(f *failure) bool {
		if f.Name == errUnitExists && !reset {
			// It may be one that has failed and was kept, which crun and runc leave behind.
			reset = true
			delete(b.awaited, b.call(systemdName, systemdPath, managerIface+".ResetFailedUnit", s.Unit))
			send()
			return true
		}
		i := slices.IndexFunc(limits, func(n named) bool { return f.Name == errReadOnly && strings.Contains(f.Text, " "+n.Name+",") })
		if i < 0 {
			return false
		}
		j.Unknown = append(j.Unknown, limits[i].Name)
		limits = slices.Delete(limits, i, i+1)
		send()
		return true
	}
	send()
	ctx, cancel := withPatience(ctx)
	defer cancel()
	defer b.until(ctx)()
	if err := b.flush(ctx); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Unit, err)
	}
	return j, nil
}

// properties are those of every scope, and the scope's own. The accounting is
// what runc sets, for systemctl status; with Delegate the controllers are there
// anyway. CollectMode: a scope that failed goes, too.
func (s *scope) properties(pids []int) ([]named, error) {
	own, err := variants(s.Properties)
	if err != nil {
		return nil, err
	}
	numbers := make([]uint32, len(pids))
	for i, p := range pids {
		numbers[i] = uint32(p)
	}
	all := []named{
		{"Description", dbus.MakeVariant(s.Description)},
		{"Slice", dbus.MakeVariant(s.Slice)},
		{"Delegate", dbus.MakeVariant(true)},
		{"PIDs", dbus.MakeVariant(numbers)},
		{"DefaultDependencies", dbus.MakeVariant(false)},
		{"CollectMode", dbus.MakeVariant("inactive-or-failed")},
	}
	for _, a := range []string{"CPUAccounting", "MemoryAccounting", "IOAccounting", "TasksAccounting"} {
		all = append(all, named{a, dbus.MakeVariant(true)})
	}
	return append(all, own...), nil
}

func variants(properties []Property) ([]named, error) {
	all := make([]named, len(properties))
	for i, p := range properties {
		v, err := p.variant()
		if err != nil {
			return nil, err
		}
		all[i] = named{p.Name, v}
	}
	return all, nil
}

// wait waits until systemd has done the job. Where a start failed, the
// processes are where they were.
func (j *job) wait(ctx context.Context) error {
	ctx, cancel := withPatience(ctx)
	defer cancel()
	defer j.bus.until(ctx)()
	result, err := j.result(ctx)
	switch {
	case err == nil && result == "done":
		return nil
	case err == nil:
		return j.failed(result)
	case answered(err, errUnitExists):
		return &Refusal{
			Cause:  fmt.Sprintf("%s exists already in %s", j.unit, j.bus.manager),
			Remedy: j.bus.manager.systemctl() + " stop " + shellWord(j.unit),
		}
	}
	return j.bus.refused(j.verb+" "+j.unit, err)
}

func (j *job) result(ctx context.Context) (string, error) {
	if w := j.bus.watching; w != 0 {
		if _, ok := j.bus.awaited[w]; ok {
			if _, err := j.bus.answer(ctx, w); err != nil {
				return "", fmt.Errorf("ask for AddMatch: %w", err)
			}
		}
	}
	for {
		body, err := j.bus.answer(ctx, j.serial)
		var f *failure
		if errors.As(err, &f) && j.again != nil && j.again(f) {
			continue
		}
		if err != nil {
			return "", err
		}
		path, ok := first[dbus.ObjectPath](body)
		if !ok {
			return "", fmt.Errorf("the answer has no job: %v", body)
		}
		for {
			if result, ok := j.bus.removed[path]; ok {
				delete(j.bus.removed, path)
				return result, nil
			}
			if err := j.bus.read(); err != nil {
				return "", j.bus.explain(ctx, err)
			}
		}
	}
}

// failed says what a job's result means; see JobRemoved in org.freedesktop.systemd1(5).
func (j *job) failed(result string) error {
	m := &j.bus.manager
	log := "sudo journalctl USER_UNIT=" // a user may read none of it where the journal is not kept on disk
	if m.System {
		log = "journalctl UNIT="
	}
	r := Refusal{Remedy: log + shellWord(j.unit)}
	why := "its job ended as " + result
	switch result {
	case "failed":
		why = "it failed"
		if j.verb == "start" {
			why = "it could not move the process there"
			if from := j.session(); from != "" {
				why += fmt.Sprintf(" from %s, which takes the system's manager and %s", from, systemBus)
				r.Remedy = "systemd-run --user --pipe --wait mycr …"
			}
		}
	case "canceled":
		why = "another job for the same unit canceled it"
	case "timeout":
		why = "it took too long"
	case "dependency":
		why = "a unit that it needs, as its slice, did not start"
	}
	r.Cause = fmt.Sprintf("%s %s: %s says %q: %s", j.verb, j.unit, m, result, why)
	return &r
}

// session is the cgroup of a process that a user's manager may not move itself:
// one of a login session, say. It asks the system's manager to do it then, on
// the system's bus and not on ours (tried on 252 with neither bus of the two).
func (j *job) session() string {
	if j.bus.manager.System {
		return ""
	}
	for _, pid := range j.pids {
		from, err := OfProcess(strconv.Itoa(pid))
		if err == nil && !strings.Contains(from, fmt.Sprintf("/user@%d.service/", j.bus.manager.UID)) {
			return from
		}
	}
	return ""
}

// refused says what was being done when systemd answered with an error.
func (b *bus) refused(what string, err error) error {
	if answered(err, errAccessDenied) || answered(err, errInteractive) {
		return fmt.Errorf("%s: %s denies it to us: %w", what, b.manager, err)
	}
	var f *failure
	if errors.As(err, &f) {
		return fmt.Errorf("%s: %s: %w", what, b.manager, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// once makes one call and waits for its answer.
func (b *bus) once(ctx context.Context, what, method string, args ...any) error {
	ctx, cancel := withPatience(ctx)
	defer cancel()
	defer b.until(ctx)()
	if _, err := b.answer(ctx, b.call(systemdName, systemdPath, managerIface+"."+method, args...)); err != nil {
		return b.refused(what, err)
	}
	return nil
}

// attach moves processes into a unit, or into a cgroup below it. A unit that is
// gone is ErrGone.
func (b *bus) attach(ctx context.Context, unit, subgroup string, pids []int) error {
	numbers := make([]uint32, len(pids))
	for i, p := range pids {
		numbers[i] = uint32(p)
	}
	err := b.once(ctx, "move a process into "+unit, "AttachProcessesToUnit", unit, "/"+strings.TrimPrefix(subgroup, "/"), numbers)
	if answered(err, errNoSuchUnit) {
		return fmt.Errorf("%w: %w", err, ErrGone)
	}
	return err
}

// setProperties changes a unit until it ends.
func (b *bus) setProperties(ctx context.Context, unit string, p []Property) error {
	values, err := variants(p)
	if err != nil {
		return err
	}
	err = b.once(ctx, "change "+unit, "SetUnitProperties", unit, true, values)
	if answered(err, errNoSuchUnit) {
		return fmt.Errorf("%w: %w", err, ErrGone)
	}
	return err
}

// stopUnit stops a unit and waits for that. One that is not there is no error.
// systemd sends SIGTERM to what is in it and waits TimeoutStopUSec for it, so
// that who is in a hurry kills first.
func (b *bus) stopUnit(ctx context.Context, unit string) error {
	b.watch(unit)
	j := &job{bus: b, unit: unit, verb: "stop"}
	j.serial = b.call(systemdName, systemdPath, managerIface+".StopUnit", unit, "replace")
	err := j.wait(ctx)
	if answered(err, errNoSuchUnit) {
		return nil
	}
	var f *Refusal
	if !errors.As(err, &f) {
		return err
	}
	// The job has an end: what is left is a unit in the state failed, or none.
	if reset := b.once(ctx, "reset "+unit, "ResetFailedUnit", unit); reset != nil && !answered(reset, errNoSuchUnit) {
		return fmt.Errorf("%w; %w", err, reset)
	}
	return err
}
