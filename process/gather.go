// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/linux"
)

// Facts is what Resolve needs to know of the host and of the container's user
// namespace. Gather fills what this process can see by itself; the fields down
// to ClampRlimits are the caller's.
type Facts struct {
	Exec            bool      // joins a running container
	UserNamespace   bool      // the process will be in a user namespace that mycr made or joined
	UIDs, GIDs      []IDRange // ids mapped there; empty: not known, or all
	SetgroupsDenied bool      // /proc/PID/setgroups says deny
	KeepGroups      bool      // the engine asked for the caller's own groups
	ClampRlimits    bool      // limits above the hard limit are lowered, with a note

	Limits         []Limit // current limits, by resource number, of those that Gather was asked for
	CapSysResource bool    // in the initial user namespace
	Bounding       uint64  // capabilities that this process could pass on
	LastCap        int     // highest capability of this kernel
	NofileSoft     uint64  // RLIMIT_NOFILE at start, see NofileAtStart
	NofileHard     uint64
	OOMScoreAdj    int    // current value
	AppArmor       bool   // active
	AppArmorAttr   string // "apparmor/exec" since Linux 5.8, else "exec"
	SELinux        bool   // active
	StdioPipes     []int  // which of 0, 1, 2 are pipes
}

// IDRange is a run of ids inside a user namespace.
type IDRange struct{ First, Size uint32 }

// Limit is a resource's current soft and hard limit.
type Limit struct{ Soft, Hard uint64 }

// Gather reads the facts that p makes necessary.
func Gather(p *specs.Process) (Facts, error) {
	f := Facts{}
	var err error
	if f.NofileSoft, f.NofileHard, err = NofileAtStart(); err != nil {
		return f, err
	}
	if f.Limits, err = currentLimits(p.Rlimits); err != nil {
		return f, err
	}
	if err := f.gatherCapabilities(); err != nil {
		return f, err
	}
	if p.OOMScoreAdj != nil {
		text, err := linux.ReadFile("/proc/self/oom_score_adj")
		if err != nil {
			return f, fmt.Errorf("process.oomScoreAdj: %w", err)
		}
		if f.OOMScoreAdj, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
			return f, fmt.Errorf("process.oomScoreAdj: /proc/self/oom_score_adj: %w", err)
		}
	}
	if p.ApparmorProfile != "" {
		on, _ := linux.ReadFile("/sys/module/apparmor/parameters/enabled")
		f.AppArmor = len(on) > 0 && on[0] == 'Y'
		f.AppArmorAttr = "exec"
		if unix.Access("/proc/self/attr/apparmor/exec", unix.F_OK) == nil {
			f.AppArmorAttr = "apparmor/exec"
		}
	}
	if p.SelinuxLabel != "" {
		var fs unix.Statfs_t
		f.SELinux = unix.Statfs("/sys/fs/selinux", &fs) == nil && uint32(fs.Type) == unix.SELINUX_MAGIC
	}
	for fd := 0; fd <= 2; fd++ {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
			f.StdioPipes = append(f.StdioPipes, fd)
		}
	}
	return f, nil
}

// NofileAtStart returns RLIMIT_NOFILE as it was when this program was started.
//
// Go raises the soft limit when a program starts (syscall.init, since 1.19) and
// keeps the old value to itself; a container must get the old one. Only
// syscall.Exec and forkExec put it back. Exec does so just before execve, which
// cannot succeed on an empty path (ENOENT, execve(2)): afterwards the limit is
// the original one, for this process and for all that it starts.
func NofileAtStart() (soft, hard uint64, err error) {
	if err := syscall.Exec("", nil, nil); err != syscall.ENOENT {
		return 0, 0, fmt.Errorf("restore RLIMIT_NOFILE: %v", err)
	}
	var lim unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &lim); err != nil {
		return 0, 0, fmt.Errorf("read RLIMIT_NOFILE: %w", err)
	}
	return lim.Cur, lim.Max, nil
}

func currentLimits(rlimits []specs.POSIXRlimit) ([]Limit, error) {
	if len(rlimits) == 0 {
		return nil, nil
	}
	limits := make([]Limit, rlimitCount)
	for _, r := range rlimits {
		n, ok := rlimitNumber(r.Type)
		if !ok {
			continue // Resolve names it
		}
		var lim unix.Rlimit
		if err := unix.Prlimit(0, n, nil, &lim); err != nil {
			return nil, fmt.Errorf("read %s: %w", r.Type, err)
		}
		limits[n] = Limit{Soft: lim.Cur, Hard: lim.Max}
	}
	return limits, nil
}

// gatherCapabilities finds the kernel's last capability, those that this
// process could hand on, and whether limits can be raised. It asks by prctl and
// capget, since a /proc may be missing or masked.
func (f *Facts) gatherCapabilities() error {
	f.LastCap = len(capabilityNames) - 1
	for f.LastCap >= 0 && !knownCapability(f.LastCap) {
		f.LastCap--
	}
	for f.LastCap < 63 && knownCapability(f.LastCap+1) {
		f.LastCap++
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read this process's capabilities: %w", err)
	}
	permitted := uint64(data[0].Permitted) | uint64(data[1].Permitted)<<32
	effective := uint64(data[0].Effective) | uint64(data[1].Effective)<<32
	if permitted != 0 { // else nothing to hand on, and nothing to ask
		for c := 0; c <= f.LastCap; c++ {
			if in, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0); err == nil && in == 1 {
				f.Bounding |= 1 << c & permitted
			}
		}
	}
	// Raising a hard limit, or lowering oom_score_adj, takes the capability in
	// the initial user namespace: capable(), not ns_capable().
	if effective&(1<<unix.CAP_SYS_RESOURCE) != 0 {
		text, err := linux.ReadFile("/proc/self/uid_map")
		if err != nil {
			return err
		}
		f.CapSysResource = strings.Join(strings.Fields(string(text)), " ") == "0 0 4294967295"
	}
	return nil
}

func knownCapability(c int) bool {
	_, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(c), 0, 0, 0)
	return err == nil
}
