// SPDX-License-Identifier: Apache-2.0

// Package userns creates or joins the user namespace and, with it, the seven
// others: Resolve decides which are new, which are joined and in what order,
// Plan.Start does it with one clone3(2) wherever the kernel lets it.
package userns

import (
	"fmt"
	"sort"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Facts of the host that Resolve needs; Gather fills them in.
type Facts struct {
	Ordinary bool     // the effective uid is not 0: nothing works without a user namespace
	Targets  []Target // one for each linux.namespaces entry with a path, in their order
}

// Target is a namespace that the bundle joins by path.
type Target struct {
	FD       int    // open descriptor of the namespace
	ID       uint64 // its inode
	Type     uint64 // CLONE_NEW* as the kernel says (NS_GET_NSTYPE)
	Current  bool   // it is the one that this process is in
	Owner    int    // descriptor of the user namespace that owns it, or -1
	OwnerID  uint64 // inode of that user namespace, 0 where it is out of reach
	OwnerOwn bool   // the owner is the user namespace of this process
}

// User says what becomes of the user namespace.
type User string

// The three things that can become of it.
const (
	UserShared User = "shared" // the container is in the caller's
	UserNew    User = "new"
	UserJoined User = "joined"
)

// Plan is the decision, as plain data.
type Plan struct {
	User        User
	New         uint64 // CLONE_NEW* of the namespaces that are created
	Later       uint64 // those of New that the container's init makes itself, when it is time
	Joins       []Join // joined before the clone, in this order
	TimeOffsets string // what /proc/self/timens_offsets gets; "" for none
	AutoUser    bool   // the bundle did not ask for the user namespace
}

// Join is one setns(2).
type Join struct {
	FD   int
	Flag uint64
	Path string
	Own  bool // it belongs to the container's user namespace, or to one below
}

// Owns tells whether a namespace of the container, of a kind given as
// CLONE_NEW*, belongs to its user namespace, so that its capabilities count
// there: it is new, or was joined with the user namespace that owns it.
func (p Plan) Owns(flag uint64) bool {
	j := p.Joined(flag)
	return p.New&flag != 0 || j != nil && j.Own
}

// Joined returns the join of a kind, or nil.
func (p Plan) Joined(flag uint64) *Join {
	for i := range p.Joins {
		if p.Joins[i].Flag == flag {
			return &p.Joins[i]
		}
	}
	return nil
}

// Flag returns the CLONE_NEW* of a namespace type, or 0; see namespaces(7).
func Flag(t specs.LinuxNamespaceType) uint64 {
	switch t {
	case specs.UserNamespace:
		return unix.CLONE_NEWUSER
	case specs.MountNamespace:
		return unix.CLONE_NEWNS
	case specs.PIDNamespace:
		return unix.CLONE_NEWPID
	case specs.NetworkNamespace:
		return unix.CLONE_NEWNET
	case specs.IPCNamespace:
		return unix.CLONE_NEWIPC
	case specs.UTSNamespace:
		return unix.CLONE_NEWUTS
	case specs.CgroupNamespace:
		return unix.CLONE_NEWCGROUP
	case specs.TimeNamespace:
		return unix.CLONE_NEWTIME
	}
	return 0
}

// Name returns the word of /proc/PID/ns for a CLONE_NEW*.
func Name(flag uint64) string {
	switch flag {
	case unix.CLONE_NEWUSER:
		return "user"
	case unix.CLONE_NEWNS:
		return "mnt"
	case unix.CLONE_NEWPID:
		return "pid"
	case unix.CLONE_NEWNET:
		return "net"
	case unix.CLONE_NEWIPC:
		return "ipc"
	case unix.CLONE_NEWUTS:
		return "uts"
	case unix.CLONE_NEWCGROUP:
		return "cgroup"
	case unix.CLONE_NEWTIME:
		return "time"
	}
	return fmt.Sprintf("%#x", flag)
}

// Kinds are all CLONE_NEW* in the order in which they are joined: the user
// namespace first, since the others are joined with its capabilities; the
// mount namespace last, since it changes what paths mean.
func Kinds() [8]uint64 {
	return [8]uint64{
		unix.CLONE_NEWUSER, unix.CLONE_NEWIPC, unix.CLONE_NEWUTS, unix.CLONE_NEWNET,
		unix.CLONE_NEWPID, unix.CLONE_NEWCGROUP, unix.CLONE_NEWTIME, unix.CLONE_NEWNS,
	}
}

// Resolve decides. l may be nil. The entries of l.Namespaces have been checked
// for their types and for duplicates.
func Resolve(l *specs.Linux, f Facts) (Plan, error) {
	p := Plan{User: UserShared}
	if l == nil {
		l = &specs.Linux{}
	}
	target := 0
	var owned []int // indexes of targets that another user namespace owns
	for i, ns := range l.Namespaces {
		flag := Flag(ns.Type)
		if ns.Path == "" {
			p.New |= flag
			continue
		}
		t := f.Targets[target]
		target++
		if t.Type != flag {
			return p, fmt.Errorf("linux.namespaces[%d].path: %q is a %s namespace, not %s", i, ns.Path, Name(t.Type), ns.Type)
		}
		if t.Current {
			continue // setns(2) to the user namespace that one is in is EINVAL
		}
		p.Joins = append(p.Joins, Join{FD: t.FD, Flag: flag, Path: ns.Path})
		if flag != unix.CLONE_NEWUSER && !t.OwnerOwn {
			owned = append(owned, target-1)
		}
	}
	if err := p.resolveUser(l, f, owned); err != nil {
		return p, err
	}
	p.resolveOwners(l, f)
	order := Kinds()
	rank := func(flag uint64) int {
		for i, k := range order {
			if k == flag {
				return i
			}
		}
		return len(order)
	}
	sort.SliceStable(p.Joins, func(a, b int) bool { return rank(p.Joins[a].Flag) < rank(p.Joins[b].Flag) })
	p.TimeOffsets = offsets(l.TimeOffsets)
	return p, nil
}

// resolveOwners finds the joins whose owner is the container's user namespace.
func (p *Plan) resolveOwners(l *specs.Linux, f Facts) {
	var user uint64 // inode of a joined user namespace
	if j := p.Joined(unix.CLONE_NEWUSER); j != nil {
		for _, t := range f.Targets {
			switch {
			case t.FD == j.FD:
				user = t.ID
			case t.Owner == j.FD:
				user = t.OwnerID
			}
		}
	}
	for i := range p.Joins {
		for _, t := range f.Targets {
			if t.FD == p.Joins[i].FD {
				p.Joins[i].Own = p.User == UserShared || user != 0 && t.OwnerID == user
			}
		}
	}
}

// resolveUser decides about the user namespace, which the bundle may leave to
// us: an ordinary user gets a new one, or the one that owns what is joined.
func (p *Plan) resolveUser(l *specs.Linux, f Facts, owned []int) error {
	switch {
	case p.New&unix.CLONE_NEWUSER != 0:
		p.User = UserNew
		if f.Ordinary && len(p.Joins) > 0 {
			return fmt.Errorf("linux.namespaces: %q cannot be joined by an ordinary user whose bundle also asks for a new user namespace: leave the user namespace out, or give its path", p.Joins[0].Path)
		}
	case p.Joined(unix.CLONE_NEWUSER) != nil:
		p.User = UserJoined
	case f.Ordinary && len(owned) > 0:
		first := f.Targets[owned[0]]
		for _, i := range owned {
			if f.Targets[i].OwnerID != first.OwnerID {
				return fmt.Errorf("linux.namespaces: the joined namespaces belong to different user namespaces, and no path of a user namespace says which to use")
			}
		}
		if first.OwnerID == 0 {
			return fmt.Errorf("linux.namespaces: %q belongs to a user namespace that this user cannot enter", p.Joins[0].Path)
		}
		p.User, p.AutoUser = UserJoined, true
		p.Joins = append(p.Joins, Join{FD: first.Owner, Flag: unix.CLONE_NEWUSER, Path: "owner of " + p.Joins[0].Path})
	case f.Ordinary:
		if len(p.Joins) > 0 {
			return fmt.Errorf("linux.namespaces: %q belongs to the host, where an ordinary user cannot join it", p.Joins[0].Path)
		}
		p.User, p.AutoUser = UserNew, true
		p.New |= unix.CLONE_NEWUSER
	}
	return nil
}

// offsets returns the lines of /proc/PID/timens_offsets; see time_namespaces(7).
func offsets(m map[string]specs.LinuxTimeOffset) string {
	var b strings.Builder
	for _, clock := range [2]string{"monotonic", "boottime"} {
		if o, ok := m[clock]; ok {
			fmt.Fprintf(&b, "%s %d %d\n", clock, o.Secs, o.Nanosecs)
		}
	}
	return b.String()
}
