// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/linux"
)

// filterName tells our filter from others on the same cgroup, such as systemd's.
const filterName = "mycr_devices"

// filterDevices has the kernel hold the processes of the cgroup, and of those
// below it, to the rules, in addition to every other filter on the way. That of
// an earlier call is replaced; without rules it is taken off. It takes CAP_BPF
// and CAP_NET_ADMIN, or CAP_SYS_ADMIN, in the initial user namespace.
func (c *Cgroup) filterDevices(rules []specs.LinuxDeviceCgroup) error {
	if err := c.replaceFilter(rules); err != nil {
		return fmt.Errorf("linux.resources.devices: filter the devices of cgroup %s: %w", c.Path, err)
	}
	return nil
}

// cannotFilter tells that the kernel was built without such filters, or lets this root have none.
func cannotFilter(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL)
}

func (c *Cgroup) replaceFilter(rules []specs.LinuxDeviceCgroup) error {
	old, err := c.filters()
	defer func() {
		for _, fd := range old {
			unix.Close(fd)
		}
	}()
	if err != nil {
		return err
	}
	replaced := 0
	if len(rules) > 0 {
		fd, err := linux.BPFLoad(unix.BPF_PROG_TYPE_CGROUP_DEVICE, filterProgram(rules), "Apache-2.0", filterName)
		if err != nil {
			return err
		}
		defer unix.Close(fd) // once attached it lives as long as the cgroup
		if replaced, err = c.attachFilter(fd, old); err != nil {
			return err
		}
	}
	for _, fd := range old[replaced:] {
		if err := linux.BPFDetach(c.fd, fd, unix.BPF_CGROUP_DEVICE); err != nil {
			return err
		}
	}
	return nil
}

// attachFilter puts a filter in the place of the first old one. Before Linux 5.6
// that takes two steps; then both hold for a moment, and never none.
func (c *Cgroup) attachFilter(fd int, old []int) (replaced int, err error) {
	if len(old) > 0 {
		err = linux.BPFAttach(c.fd, fd, unix.BPF_CGROUP_DEVICE, unix.BPF_F_ALLOW_MULTI|unix.BPF_F_REPLACE, old[0])
		if !errors.Is(err, unix.EINVAL) {
			return 1, err
		}
	}
	return 0, linux.BPFAttach(c.fd, fd, unix.BPF_CGROUP_DEVICE, unix.BPF_F_ALLOW_MULTI, 0)
}

// filters opens our filters on the cgroup. One that cannot be opened is not ours:
// a label of SELinux can be in the way.
func (c *Cgroup) filters() (ours []int, err error) {
	ids, err := linux.BPFAttached(c.fd, unix.BPF_CGROUP_DEVICE)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		fd, err := linux.BPFByID(id)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
			continue
		}
		if err != nil {
			return ours, err
		}
		if name, err := linux.BPFName(fd); err != nil || name != filterName {
			unix.Close(fd)
			continue
		}
		ours = append(ours, fd)
	}
	return ours, nil
}

// The registers of a filter.
const (
	verdict = iota // 1 allows
	bpfContext
	kind
	letters // of the access, those that no rule has decided on
	major
	minor
)

// filterProgram is denied as a program for the kernel: struct
// bpf_cgroup_dev_ctx in, 1 out for what is allowed. The rules come last first,
// since the last one decides. Making a node is always allowed, as runc and crun
// have it: it is the opening that counts.
func filterProgram(rules []specs.LinuxDeviceCgroup) []linux.BPFInsn {
	const loadWord, and, shiftRight, move = unix.BPF_LDX | unix.BPF_MEM | unix.BPF_W, unix.BPF_ALU | unix.BPF_AND, unix.BPF_ALU | unix.BPF_RSH, unix.BPF_ALU | unix.BPF_MOV | unix.BPF_X
	p := program{
		linux.BPF(loadWord, letters, bpfContext, 0, 0), // access in the upper half, type in the lower
		linux.BPF(move, kind, letters, 0, 0),
		linux.BPF(and, kind, 0, 0, 0xffff),
		linux.BPF(shiftRight, letters, 0, 0, 16),
		linux.BPF(and, letters, 0, 0, unix.BPF_DEVCG_ACC_READ|unix.BPF_DEVCG_ACC_WRITE),
		linux.BPF(loadWord, major, bpfContext, 4, 0),
		linux.BPF(loadWord, minor, bpfContext, 8, 0),
	}
	p.unless(unix.BPF_JNE, letters, 0, decide(1))
	for _, d := range defaultRules() {
		p.rule(d)
	}
	for i := len(rules) - 1; i >= 0; i-- {
		if p.rule(rules[i]) {
			return p
		}
	}
	return append(p, decide(0)...)
}

// defaultRules allow what defaultNode knows.
func defaultRules() []specs.LinuxDeviceCgroup {
	var rules []specs.LinuxDeviceCgroup
	allow := func(major, minor int64) {
		rules = append(rules, specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: &major, Minor: &minor, Access: "rw"})
	}
	for _, minor := range []int64{3, 5, 7, 8, 9} {
		allow(1, minor)
	}
	for _, minor := range []int64{0, 1, 2} {
		allow(5, minor)
	}
	allow(136, -1)
	return rules
}

type program []linux.BPFInsn

// rule adds the code of a rule. It is final where nothing gets past it.
func (p *program) rule(r specs.LinuxDeviceCgroup) (final bool) {
	var access int32
	if strings.ContainsRune(r.Access, 'r') {
		access |= unix.BPF_DEVCG_ACC_READ
	}
	if strings.ContainsRune(r.Access, 'w') {
		access |= unix.BPF_DEVCG_ACC_WRITE
	}
	// A number that no device has (dev_t has 12 and 20 bits) matches none.
	if access == 0 || !wildcard(r.Major) && *r.Major >= 1<<12 || !wildcard(r.Minor) && *r.Minor >= 1<<20 {
		return false
	}
	const all = unix.BPF_DEVCG_ACC_READ | unix.BPF_DEVCG_ACC_WRITE
	var body program
	switch {
	case access == all && r.Allow:
		body = decide(1)
	case access == all: // something is undecided, else we were not here
		body = decide(0)
	case r.Allow:
		body = program{linux.BPF(unix.BPF_ALU|unix.BPF_AND, letters, 0, 0, all&^access)}
		body.unless(unix.BPF_JNE, letters, 0, decide(1))
	default:
		body = program{linux.BPF(unix.BPF_JMP|unix.BPF_JSET, letters, 0, 1, access), linux.BPF(unix.BPF_JMP|unix.BPF_JA, 0, 0, 2, 0)}
		body = append(body, decide(0)...)
	}
	final = access == all
	match := func(register uint8, number int64) {
		final = false
		var around program
		around.unless(unix.BPF_JNE, register, int32(number), body)
		body = around
	}
	if !wildcard(r.Minor) {
		match(minor, *r.Minor)
	}
	if !wildcard(r.Major) {
		match(major, *r.Major)
	}
	switch r.Type {
	case "b":
		match(kind, unix.BPF_DEVCG_DEV_BLOCK)
	case "c":
		match(kind, unix.BPF_DEVCG_DEV_CHAR)
	}
	*p = append(*p, body...)
	return final
}

// unless jumps over the body where the condition holds.
func (p *program) unless(jump, register uint8, value int32, body program) {
	*p = append(*p, linux.BPF(unix.BPF_JMP|jump, register, 0, int16(len(body)), value))
	*p = append(*p, body...)
}

// decide ends the program.
func decide(allow int32) program {
	return program{
		linux.BPF(unix.BPF_ALU|unix.BPF_MOV, verdict, 0, 0, allow),
		linux.BPF(unix.BPF_JMP|unix.BPF_EXIT, 0, 0, 0, 0),
	}
}
