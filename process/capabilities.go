// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Capabilities are the five sets as bit masks, bit n being capability n, and
// what the steps need to get there. See capabilities(7).
type Capabilities struct {
	Bounding, Effective, Permitted, Inheritable, Ambient uint64

	Available uint64 // what the process has before it gives the rest up
	Last      int    // the kernel's last capability
}

// MayHave tells whether the process, or what it executes, may have one of these capabilities, given by their numbers.
func (c *Capabilities) MayHave(numbers ...int) bool {
	for _, n := range numbers {
		if (c.Bounding|c.Permitted|c.Inheritable)&(1<<n) != 0 {
			return true
		}
	}
	return false
}

// capabilityNames in the order of linux/capability.h, as of Linux 6.18.
var capabilityNames = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER",
	"CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST",
	"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
	"CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE",
	"CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE",
	"CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD",
	"CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP",
	"CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
}

// KnownCapabilities returns the names of the capabilities up to the last one
// that the kernel has.
func KnownCapabilities(last int) []string {
	return capabilityNames[:min(last+1, len(capabilityNames))]
}

// CapabilityName returns the name of capability n.
func CapabilityName(n int) string {
	if n >= 0 && n < len(capabilityNames) {
		return capabilityNames[n]
	}
	return "capability " + strconv.Itoa(n)
}

func capabilityNumber(name string) (int, bool) {
	for n, c := range capabilityNames {
		if c == name {
			return n, true
		}
	}
	return 0, false
}

// resolveCapabilities turns names into masks. Names that this kernel does not
// know and capabilities that cannot be given are left out with a note: the
// specification wants a warning, not an error. That effective is above
// permitted is an error: the two lists contradict each other, and runc and
// crun fail there too.
func resolveCapabilities(plan *Plan, p *specs.Process, _ *specs.Linux, f Facts) error {
	caps := &plan.Caps
	caps.Last = f.LastCap
	caps.Available = f.Bounding
	if f.UserNamespace { // a new or joined user namespace gives all of them
		caps.Available = 1<<(f.LastCap+1) - 1
	}
	want := p.Capabilities
	if want == nil {
		return nil
	}
	if err := checkEffective(want); err != nil {
		return err
	}
	var left leftOut
	caps.Bounding = left.mask("bounding", want.Bounding, caps.Available, "")
	caps.Permitted = left.mask("permitted", want.Permitted, caps.Available, "")
	caps.Effective = left.mask("effective", want.Effective, caps.Available, "")
	// capset(2) refuses inheritable capabilities outside the bounding set, and
	// PR_CAP_AMBIENT_RAISE those that are not both permitted and inheritable.
	caps.Inheritable = left.mask("inheritable", want.Inheritable, caps.Available&caps.Bounding, "it is not in bounding")
	caps.Ambient = left.mask("ambient", want.Ambient, caps.Permitted&caps.Inheritable, "it is not both in permitted and inheritable")
	plan.Notes = append(plan.Notes, left.notes...)
	return nil
}

func checkEffective(want *specs.LinuxCapabilities) error {
	for i, name := range want.Effective {
		found := false
		for _, p := range want.Permitted {
			found = found || p == name
		}
		if !found {
			return fmt.Errorf("process.capabilities.effective[%d]: %s is not in process.capabilities.permitted", i, name)
		}
	}
	return nil
}

// leftOut collects a note for each capability that is not given, once per name
// and reason however many sets list it.
type leftOut struct {
	seen  []string
	notes []string
}

// mask returns the names that are in allowed; why says in other words than
// "this process does not have it" why a name that is not is left out.
func (l *leftOut) mask(set string, names []string, allowed uint64, why string) uint64 {
	var mask uint64
	var without []string // for the reason why
	for i, name := range names {
		path := fmt.Sprintf("process.capabilities.%s[%d]", set, i)
		n, ok := capabilityNumber(name)
		switch {
		case !ok && capitalised(name):
			l.note(name, "", fmt.Sprintf("%s: ignored %q, which is no capability; did you mean %s?", path, name, strings.ToUpper(name)))
		case !ok:
			l.note(name, "", fmt.Sprintf("%s: ignored %q, which is no capability that mycr knows", path, name))
		case allowed&(1<<n) != 0:
			mask |= 1 << n
		case why == "":
			l.note(name, "", fmt.Sprintf("%s: %s is not given, since mycr does not have it here", path, name))
		case l.new(name, why):
			without = append(without, name)
		}
	}
	if len(without) > 0 {
		l.notes = append(l.notes, fmt.Sprintf("process.capabilities.%s: not given, since %s: %s", set, why, strings.Join(without, ", ")))
	}
	return mask
}

func capitalised(name string) bool {
	_, ok := capabilityNumber(strings.ToUpper(name))
	return ok
}

func (l *leftOut) note(name, why, text string) {
	if l.new(name, why) {
		l.notes = append(l.notes, text)
	}
}

// new tells whether nothing was said yet of a name for this reason.
func (l *leftOut) new(name, why string) bool {
	for _, s := range l.seen {
		if s == name || s == name+why {
			return false
		}
	}
	l.seen = append(l.seen, name+why)
	return true
}

// AddCapabilities gives p the capabilities of `exec --cap` on top of those it
// has: bounding, permitted and effective, never inheritable (CVE-2022-24769:
// an inheritable set that is not empty lets any file with inheritable file
// capabilities raise them) and hence never ambient.
func AddCapabilities(p *specs.Process, names []string) {
	if len(names) == 0 {
		return
	}
	caps := specs.LinuxCapabilities{}
	if p.Capabilities != nil {
		caps = *p.Capabilities
	}
	for _, set := range []*[]string{&caps.Bounding, &caps.Permitted, &caps.Effective} {
		*set = append(append([]string(nil), *set...), names...)
	}
	p.Capabilities = &caps
}
