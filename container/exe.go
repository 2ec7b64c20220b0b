// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"mycr/idmap"
	"mycr/linux"
	"mycr/process"
	"mycr/userns"
)

// exe is the executable of the container's init: a path of which the child
// makes a detached read-only mount, or a sealed copy. The mount is a hundred
// times faster, but needs a mount namespace that init's user namespace owns.
type exe struct {
	path string
	fd   int // -1 where path is used
}

func (e *exe) close() {
	if e.fd >= 0 {
		unix.Close(e.fd)
	}
}

func childExe(p *userns.Plan) (*exe, error) {
	if p.New&unix.CLONE_NEWNS != 0 && p.Joined(unix.CLONE_NEWNS) == nil {
		if path := linux.ExePath(); path != "" {
			return &exe{path: path, fd: -1}, nil
		}
	}
	fd, err := linux.MemfdExe()
	return &exe{fd: fd}, err
}

// childProgram is what the child does between clone and execve of mycr itself. moved: somebody moves the
// process to its cgroup.
func childProgram(plan *plan, e *exe, sealed, preserve, waiting int, moved bool) *linux.Program {
	p, o := linux.NewProgram(), &plan.orders
	p.Call("die with the parent", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL))
	o.Process.AddEarly(p)
	if plan.userns.User != userns.UserShared {
		keepCapabilities(p)
	}
	if waiting >= 0 {
		if moved { // before there are two to move
			p.Call("wait for the cgroup", unix.SYS_READ, waiting, make([]byte, 8), 8)
		}
		p.Split("fork from the reaping init", reaper(&o.Process, waiting))
	}
	// Whatever the caller left open is closed by execve; what is ours is not.
	p.Call("close the caller's descriptors", unix.SYS_CLOSE_RANGE, 3+preserve, ^uint32(0), unix.CLOSE_RANGE_CLOEXEC)
	for _, fd := range []int{sealed, o.Status, o.Gate, o.Console, o.Listener} {
		if fd >= 0 {
			p.Call("keep a descriptor", unix.SYS_FCNTL, fd, unix.F_SETFD, 0)
		}
	}
	argv := p.Strings([]string{"mycr", initWord, strconv.Itoa(sealed)})
	// For Go's runtime, which makes threads for other processors before init has begun.
	envp := p.Strings([]string{"GOMAXPROCS=1"})
	if e.fd >= 0 {
		p.Call("execute a sealed copy of mycr", unix.SYS_EXECVEAT, e.fd, "", argv, envp, unix.AT_EMPTY_PATH)
	} else {
		p.Call("execute mycr from a read-only mount", unix.SYS_EXECVEAT, p.DetachExe(e.path), "", argv, envp, unix.AT_EMPTY_PATH)
	}
	return p
}

// reaper is what a reaping init does before it only waits: when the ids are
// mapped it takes those of the process, and gives up all else. It never
// executes anything, so its memory belongs to our user namespace and nobody in
// the container can look into it.
func reaper(plan *process.Plan, waiting int) *linux.Program {
	p := linux.NewProgram()
	p.Call("wait for the ids", unix.SYS_READ, waiting, make([]byte, 8), 8)
	p.Call("take the process's gid", unix.SYS_SETRESGID, plan.GID, plan.GID, plan.GID)
	p.Call("take the process's uid", unix.SYS_SETRESUID, plan.UID, plan.UID, plan.UID)
	p.Call("become undumpable", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	p.Call("gain no privileges", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	p.Call("give up all capabilities", unix.SYS_CAPSET, unsafe.Pointer(header), unsafe.Pointer(&[2]unix.CapUserData{}))
	p.Call("die with the parent", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL))
	// A reader must see the end when the process closes its standard streams.
	p.Call("close all descriptors", unix.SYS_CLOSE_RANGE, 0, ^uint32(0), 0)
	return p
}

// keepCapabilities makes all capabilities ambient: the ids are not mapped yet
// at execve, which would take the capabilities of a process that is not root.
func keepCapabilities(p *linux.Program) {
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	all := &[2]unix.CapUserData{}
	for i := range all {
		all[i] = unix.CapUserData{Effective: ^uint32(0), Permitted: ^uint32(0), Inheritable: ^uint32(0)}
	}
	p.Call("keep all capabilities", unix.SYS_CAPSET, unsafe.Pointer(header), unsafe.Pointer(all))
	for c := 0; c <= unix.CAP_LAST_CAP; c++ {
		p.Call("make a capability ambient", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, c, 0, 0)
		p.Tolerate(unix.EINVAL) // the kernel does not know it
	}
}

// Seal makes sure that nobody in the container can write to this program's
// executable, before a process of ours is in it: exec's child goes from here
// straight to execve inside the container, where an entry point of
// /proc/self/exe is still us (CVE-2019-5736). Where the executable's owner and
// mode do not do it already, the program starts again from a sealed copy, with
// the same arguments; Seal then does not return.
func (c *Container) Seal(argv, env []string) error {
	base, err := c.base()
	if err != nil {
		return err
	}
	if linux.ExeIsSealed() || outOfReach(base) {
		return nil
	}
	fd, err := detachedExe()
	if err != nil {
		if fd, err = linux.MemfdExe(); err != nil {
			return fmt.Errorf("seal mycr's executable: %w", err)
		}
	}
	p := linux.NewProgram()
	p.Call("execute a sealed copy of mycr", unix.SYS_EXECVEAT, fd, "", p.Strings(argv), p.Strings(env), unix.AT_EMPTY_PATH)
	_, errno := p.Run()
	return fmt.Errorf("execute a sealed copy of mycr: %w", errno)
}

// outOfReach tells whether the file that this program runs from belongs to
// nobody in the container: its owner is not mapped there, so that no capability
// of the container counts for it, and others may not write to it.
func outOfReach(base *execBase) bool {
	var st unix.Stat_t
	if unix.Stat("/proc/self/exe", &st) != nil || st.Mode&0o002 != 0 {
		return false
	}
	if _, mapped := idmap.ToContainer(base.IDs.UIDs, st.Uid); mapped || len(base.IDs.UIDs) == 0 {
		return false
	}
	_, mapped := idmap.ToContainer(base.IDs.GIDs, st.Gid)
	return st.Mode&0o020 == 0 || !mapped && len(base.IDs.GIDs) > 0
}

// detachedExe returns a detached read-only mount of our executable. An
// ordinary user cannot clone a mount, so a child does it in namespaces of its
// own and leaves the descriptor in the table that both share; with CLONE_VFORK
// it has done so when the clone returns.
func detachedExe() (int, error) {
	path := linux.ExePath()
	if path == "" {
		return -1, errors.New("mycr's executable has no path any more")
	}
	at, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	p := linux.NewProgram()
	p.Call("hand over the mount", unix.SYS_DUP3, p.DetachExe(path), at, unix.O_CLOEXEC)
	p.Call("tell", unix.SYS_WRITE, pair[1], "k", 1)
	child, err := linux.Clone(unix.CLONE_NEWUSER|unix.CLONE_NEWNS|unix.CLONE_FILES|unix.CLONE_VFORK, -1, p, pair[1])
	if err != nil {
		unix.Close(at)
		return -1, err
	}
	unix.Close(child.PidFD)
	buf := make([]byte, 64)
	if n, err := unix.Read(pair[0], buf); err != nil || n != 1 {
		unix.Close(at)
		return -1, errors.New("no detached mount can be made here")
	}
	return at, nil
}
