// SPDX-License-Identifier: Apache-2.0

package userns

import (
	"errors"
	"fmt"
	"os"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/linux"
)

// Gather opens the namespaces that l joins by path and asks the kernel what
// they are. Errors name the entry of linux.namespaces.
func Gather(l *specs.Linux) (Facts, error) {
	f := Facts{Ordinary: os.Geteuid() != 0}
	if l == nil {
		return f, nil
	}
	for i, ns := range l.Namespaces {
		if ns.Path == "" {
			continue
		}
		t, err := target(ns.Path)
		if err != nil {
			return f, fmt.Errorf("linux.namespaces[%d].path: %w", i, err)
		}
		f.Targets = append(f.Targets, t)
	}
	return f, nil
}

// target opens one namespace; NS_GET_USERNS fails with EPERM where the owner is
// outside of what this process can see (ioctl_ns(2)).
func target(path string) (Target, error) {
	// O_NONBLOCK: a FIFO at the path must not make us wait.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return Target{}, fmt.Errorf("open %q: %w", path, err)
	}
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if err != nil {
		unix.Close(fd)
		return Target{}, fmt.Errorf("%q is not a namespace", path)
	}
	t := Target{FD: fd, ID: inode(fd), Type: uint64(kind), Owner: -1}
	t.Current = t.ID == pathInode("/proc/self/ns/"+Name(t.Type))
	owner, err := unix.IoctlRetInt(fd, unix.NS_GET_USERNS)
	switch {
	case err == nil:
		unix.CloseOnExec(owner)
		t.Owner, t.OwnerID = owner, inode(owner)
		t.OwnerOwn = t.OwnerID == pathInode("/proc/self/ns/user")
	case !errors.Is(err, unix.EPERM):
		return t, fmt.Errorf("%q: ask for its user namespace: %w", path, err)
	}
	return t, nil
}

// OwnsMounts tells whether the mount namespace of this process belongs to its user namespace, as that of podman's
// processes does, and that of "unshare -Ur" does not.
func OwnsMounts() bool {
	t, err := target("/proc/self/ns/mnt")
	if err != nil {
		return false
	}
	unix.Close(t.FD)
	if t.Owner >= 0 {
		unix.Close(t.Owner)
	}
	return t.OwnerOwn
}

func inode(fd int) uint64 {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return 0
	}
	return st.Ino
}

func pathInode(path string) uint64 {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return 0
	}
	return st.Ino
}

// StepError is a step of starting the container's first process that the
// kernel refused; Step is what Refusal explains (see Explain).
type StepError struct {
	Step  string
	Errno unix.Errno
}

func (e *StepError) Error() string { return e.Step + ": " + e.Errno.Error() }

// Unwrap returns the errno.
func (e *StepError) Unwrap() error { return e.Errno }

// Start makes the container's first process in all its namespaces and runs
// program in it; status is the child's end of a SEQPACKET socket, which Start
// closes here, and parent ours. The caller's goroutine is locked to its thread. Where nothing is joined
// and no clock is shifted it is one clone3; else a process in between joins
// and clones a sibling, and is gone when Start returns.
func (p Plan) Start(program *linux.Program, cgroup, status, parent int) (linux.Child, error) {
	if len(p.Joins) == 0 && p.TimeOffsets == "" {
		child, err := linux.Clone(p.New&^p.Later, cgroup, program, status)
		unix.Close(status)
		if err != nil {
			return child, &StepError{Step: "create namespaces " + names(p.New&^p.Later), Errno: errnoOf(err)}
		}
		return child, nil
	}
	between, first, rest := linux.NewProgram(), uint64(0), p.New&^p.Later
	between.Call("die with the parent", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL))
	for _, j := range p.Joins {
		between.Call(fmt.Sprintf("join %s namespace %s", Name(j.Flag), j.Path), unix.SYS_SETNS, j.FD, j.Flag)
	}
	if p.TimeOffsets != "" || p.Joined(unix.CLONE_NEWTIME) != nil {
		between.OwnMemory()
	}
	if p.TimeOffsets != "" {
		// The offsets are written between unshare and fork: once a process is in
		// the namespace they are fixed (EACCES; time_namespaces(7)).
		first, rest = p.New&unix.CLONE_NEWUSER, rest&^(unix.CLONE_NEWUSER|unix.CLONE_NEWTIME)
		between.Call("create a time namespace", unix.SYS_UNSHARE, uint64(unix.CLONE_NEWTIME))
		fd := between.Call("open /proc/self/timens_offsets", unix.SYS_OPENAT, unix.AT_FDCWD, "/proc/self/timens_offsets", unix.O_WRONLY|unix.O_CLOEXEC)
		between.Call("write linux.timeOffsets", unix.SYS_WRITE, fd, p.TimeOffsets, len(p.TimeOffsets))
	}
	between.Fork("create namespaces "+names(rest), rest)
	between.Add(program)
	child, err := linux.Clone(first, cgroup, between, status)
	unix.Close(status)
	if err != nil {
		return child, &StepError{Step: "create namespaces " + names(first), Errno: errnoOf(err)}
	}
	defer unix.Close(child.PidFD)
	sibling, fault, err := linux.ReadForked(parent)
	if _, werr := linux.Wait(child.PID); err == nil {
		err = werr
	}
	if fault != nil {
		if sibling != 0 {
			linux.Wait(sibling)
		}
		return child, &StepError{Step: between.What(fault.Step), Errno: fault.Errno}
	}
	if err != nil {
		return child, fmt.Errorf("start the process that joins namespaces: %w", err)
	}
	pidfd, err := unix.PidfdOpen(sibling, 0)
	if err != nil {
		return child, fmt.Errorf("open the container's process %d: %w", sibling, err)
	}
	return linux.Child{PID: sibling, PidFD: pidfd}, nil
}

// Joined is what /proc tells of a user namespace that a plan joins.
type Joined struct {
	UIDMap, GIDMap  string // the files' text, with outer ids as this process sees them
	SetgroupsDenied bool
}

// Look returns what there is to know of the user namespace that the plan
// joins: a child joins it and holds still meanwhile.
func (p Plan) Look() (seen Joined, err error) {
	j := p.Joined(unix.CLONE_NEWUSER)
	if j == nil {
		return seen, errors.New("no user namespace is joined")
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return seen, fmt.Errorf("make a socket pair: %w", err)
	}
	defer unix.Close(pair[0])
	q := linux.NewProgram()
	q.OwnMemory()
	q.Call("die with the parent", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL))
	q.Call("join user namespace "+j.Path, unix.SYS_SETNS, j.FD, uint64(unix.CLONE_NEWUSER))
	q.Fork("tell", 0)
	q.Call("hold still", unix.SYS_READ, pair[1], make([]byte, 1), 1)
	child, err := linux.Clone(0, -1, q, pair[1])
	unix.Close(pair[1])
	if err != nil {
		return seen, fmt.Errorf("fork: %w", err)
	}
	defer unix.Close(child.PidFD)
	sibling, fault, err := linux.ReadForked(pair[0])
	if _, werr := linux.Wait(child.PID); err == nil {
		err = werr
	}
	if sibling != 0 {
		defer func() {
			unix.Kill(sibling, unix.SIGKILL)
			linux.Wait(sibling)
		}()
	}
	if fault != nil {
		return seen, &StepError{Step: q.What(fault.Step), Errno: fault.Errno}
	}
	if err != nil {
		return seen, err
	}
	var files [3]string
	for i, name := range [3]string{"uid_map", "gid_map", "setgroups"} {
		b, err := linux.ReadFile(fmt.Sprintf("/proc/%d/%s", sibling, name))
		if err != nil {
			return seen, err
		}
		files[i] = string(b)
	}
	return Joined{UIDMap: files[0], GIDMap: files[1], SetgroupsDenied: strings.HasPrefix(files[2], "deny")}, nil
}

func names(flags uint64) string {
	var words []string
	for _, k := range Kinds() {
		if flags&k != 0 {
			words = append(words, Name(k))
		}
	}
	return strings.Join(words, ", ")
}

func errnoOf(err error) unix.Errno {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return unix.EINVAL
}
