// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"mycr/linux"
)

// ProgramOptions says what Program needs beyond the Plan.
type ProgramOptions struct {
	// Path is the program's file as Lookup found it; "" tries args[0], or the
	// directories of PATH, in order, as execvp(3) does.
	Path string
	// ProcFD is a procfs opened and verified before the container could touch
	// it, for the security labels; below 0, the container's /proc is opened and
	// must be a procfs.
	ProcFD int
	// ConsoleSocket takes the master of a new terminal of the container, by
	// SCM_RIGHTS; below 0, the terminal, if any, is on descriptor 0 already.
	ConsoleSocket int
	// PreserveFDs descriptors from 3 on stay open in the program.
	PreserveFDs int
	// KeepFDs stay open until execve, which closes them: the status socket, the
	// seccomp agent's, and in a Go process the poller's (see PollerFDs).
	KeepFDs []int
	// InGo says that the list runs in a Go process, not in a raw child: signal
	// handlers are taken back, and all other descriptors are left to execve,
	// since the runtime aborts where its poller's are gone. What is open then
	// is the caller's care (CVE-2024-21626).
	InGo bool
	// ParentDeathSignal is sent to the process when its parent dies, 0 is none.
	ParentDeathSignal int
	// Seccomp adds the filter's steps, at the one place where they belong.
	Seccomp func(*linux.Program)
}

// AddEarly adds what a process that joins a container does before it joins:
// the first CPU affinity, and oom_score_adj while /proc is the host's and the
// process still dumpable (the file of one that is not belongs to the root of
// the namespace that its program was started in). For a container's init they
// go before pivot_root.
func (plan *Plan) AddEarly(p *linux.Program) {
	if plan.InitialAffinity != nil {
		addAffinity(p, "process.execCPUAffinity.initial", plan.InitialAffinity)
	}
	if plan.OOMScoreAdj != nil {
		text := fmt.Sprint(*plan.OOMScoreAdj)
		what := "write process.oomScoreAdj " + text
		if *plan.OOMScoreAdj < plan.OOMScoreNow {
			what += fmt.Sprintf(", below the present %d, which takes CAP_SYS_RESOURCE on the host,", plan.OOMScoreNow)
		}
		fd := p.Call(what+" (open /proc/self/oom_score_adj)", unix.SYS_OPENAT, unix.AT_FDCWD, "/proc/self/oom_score_adj", unix.O_WRONLY|unix.O_CLOEXEC)
		p.Call(what, unix.SYS_WRITE, fd, text, len(text))
		p.Call("close oom_score_adj", unix.SYS_CLOSE, fd)
	}
}

// Program returns the last steps, execve being the last of all. Where it comes
// to its end (Run returns Len), no file could be executed: see ExecError.
//
// What comes when, and why:
//   - descriptors and labels are opened before RLIMIT_NOFILE may forbid it;
//   - ids change with the capabilities kept, and chdir comes after that with
//     all of them in effect again: so the directory can be one that only root
//     of the container, or only the user (FUSE, NFS), may enter;
//   - descriptors are closed, not only marked: execve resolves its path before
//     it closes the marked ones (CVE-2024-21626);
//   - the filter comes as late as it can: after no_new_privs, or, without it,
//     while CAP_SYS_ADMIN is still there.
func (plan *Plan) Program(o ProgramOptions) *linux.Program {
	p := linux.NewProgram()
	// Zero is what this process began with; linux.Entry lets mycr's timers be late.
	p.Call("reset the timer slack", unix.SYS_PRCTL, unix.PR_SET_TIMERSLACK, 0)
	if o.InGo {
		p.WithoutHandlers()
	}
	plan.addSession(p, o)
	plan.addScheduling(p)
	plan.addLabels(p, o.ProcFD)
	plan.addIDs(p)
	plan.addCwd(p)
	plan.addRlimits(p)
	plan.addDescriptors(p, o)
	if o.Seccomp != nil && !plan.NoNewPrivileges {
		o.Seccomp(p)
	}
	plan.addCapabilities(p)
	if o.ParentDeathSignal != 0 { // after the ids and capabilities, whose change clears it
		p.Call("set the parent death signal", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, o.ParentDeathSignal, 0, 0, 0)
	}
	if plan.NoNewPrivileges {
		p.Call("set process.noNewPrivileges", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		if o.Seccomp != nil {
			o.Seccomp(p)
		}
	}
	plan.addExec(p, o.Path)
	return p
}

func (plan *Plan) addSession(p *linux.Program, o ProgramOptions) {
	// A session of its own: a process of the caller's session could push
	// characters into its terminal (TIOCSTI), or signal its group.
	p.Call("setsid", unix.SYS_SETSID)
	p.Tolerate(unix.EPERM) // init has one since it began
	switch {
	case plan.Terminal && o.ConsoleSocket >= 0:
		AddTerminal(p, o.ConsoleSocket, plan.Console, plan.UID)
	case plan.Terminal:
		p.Call("make standard input the controlling terminal", unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0)
	}
	for _, fd := range plan.OwnStdio {
		// Not allowed where the pipe's owner is not mapped in the container.
		p.Call("give a standard stream to the user", unix.SYS_FCHOWN, fd, plan.UID, -1)
		p.Tolerate(unix.EPERM, unix.EINVAL, unix.EROFS)
	}
}

func (plan *Plan) addScheduling(p *linux.Program) {
	if plan.IOPriority != nil {
		const whoProcess = 1 // IOPRIO_WHO_PROCESS; the session is one process
		p.Call("set process.ioPriority", unix.SYS_IOPRIO_SET, whoProcess, 0, *plan.IOPriority)
	}
	if s := plan.Scheduler; s != nil {
		attr := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: s.Policy, Flags: s.Flags, Nice: s.Nice,
			Priority: s.Priority, Runtime: s.Runtime, Deadline: s.Deadline, Period: s.Period}
		p.Call("set process.scheduler", unix.SYS_SCHED_SETATTR, 0, unsafe.Pointer(attr), 0)
	}
	if plan.Personality != nil {
		p.Call("set linux.personality", unix.SYS_PERSONALITY, *plan.Personality)
	}
	if m := plan.MemoryPolicy; m != nil {
		if len(m.Nodes) == 0 {
			p.Call("set linux.memoryPolicy", unix.SYS_SET_MEMPOLICY, m.Mode, 0, 0)
		} else { // the kernel takes one bit off maxnode
			p.Call("set linux.memoryPolicy", unix.SYS_SET_MEMPOLICY, m.Mode, unsafe.Pointer(&m.Nodes[0]), len(m.Nodes)*64+1)
		}
	}
	if plan.FinalAffinity != nil {
		addAffinity(p, "process.execCPUAffinity.final", plan.FinalAffinity)
	}
	if plan.Umask != nil {
		p.Call("set process.user.umask", unix.SYS_UMASK, *plan.Umask)
	}
}

func addAffinity(p *linux.Program, what string, mask []uint64) {
	p.Call("set "+what, unix.SYS_SCHED_SETAFFINITY, 0, len(mask)*8, unsafe.Pointer(&mask[0]))
}

// addLabels writes what execve will change to. RESOLVE_NO_XDEV sees a mount
// over the file, whose write would go elsewhere (CVE-2019-16884, 2025-52881);
// thread-self, since a Go process's last steps run in any of its threads.
func (plan *Plan) addLabels(p *linux.Program, procFD int) {
	if plan.AppArmor == "" && plan.SELinux == "" {
		return
	}
	var proc any = procFD
	if procFD < 0 {
		fd := p.Call("open /proc", unix.SYS_OPENAT, unix.AT_FDCWD, "/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC)
		expectFilesystem(p, "/proc, which is no procfs", fd, unix.PROC_SUPER_MAGIC)
		proc = fd
	}
	write := func(what, file, text string) {
		how := &unix.OpenHow{Flags: unix.O_WRONLY | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_MAGICLINKS}
		fd := p.Call("set "+what+" (open /proc/thread-self/attr/"+file+")", unix.SYS_OPENAT2, proc, "thread-self/attr/"+file, unsafe.Pointer(how), int(unsafe.Sizeof(*how)))
		p.Call("set "+what+" (write /proc/thread-self/attr/"+file+")", unix.SYS_WRITE, fd, text, len(text))
		p.Call("close a label", unix.SYS_CLOSE, fd)
	}
	if plan.AppArmor != "" {
		write("process.apparmorProfile "+plan.AppArmor, plan.AppArmorAttr, "exec "+plan.AppArmor)
	}
	if plan.SELinux != "" {
		write("process.selinuxLabel "+plan.SELinux, "exec", plan.SELinux)
	}
}

// expectFilesystem stops the program unless fd is on a filesystem of that type.
func expectFilesystem(p *linux.Program, what string, fd linux.Result, magic uint32) {
	is, must := &unix.Statfs_t{}, &unix.Statfs_t{Type: int64(magic)}
	p.Call("statfs "+what, unix.SYS_FSTATFS, fd, unsafe.Pointer(is))
	expectEqual(p, "use "+what, &is.Type, &must.Type)
}

// expectEqual stops the program unless is has must's value when it gets there.
func expectEqual[T int64 | uint64](p *linux.Program, what string, is, must *T) {
	a, b := (*[8]byte)(unsafe.Pointer(is)), (*[8]byte)(unsafe.Pointer(must))
	for i := range a {
		p.ExpectByte(what, &a[i], b[i], unix.EINVAL)
	}
}

// addIDs drops the bounding set while CAP_SETPCAP is in effect, and changes the
// ids with the permitted set kept.
func (plan *Plan) addIDs(p *linux.Program) {
	for c := 0; c <= plan.Caps.Last; c++ {
		if plan.Caps.Bounding&(1<<c) == 0 && plan.Caps.Available&(1<<c) != 0 {
			p.Call("drop "+CapabilityName(c)+" from the bounding set", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		}
	}
	if plan.UID != 0 {
		p.Call("keep capabilities over setuid", unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1, 0, 0, 0)
	}
	if plan.SetGroups {
		var list any = 0
		if len(plan.Groups) > 0 {
			list = unsafe.Pointer(&slices.Clone(plan.Groups)[0])
		}
		p.Call("set process.user.additionalGids", unix.SYS_SETGROUPS, len(plan.Groups), list)
	}
	gid, uid := plan.GID, plan.UID
	p.Call(fmt.Sprintf("setresgid to process.user.gid %d", gid), unix.SYS_SETRESGID, gid, gid, gid)
	p.Call(fmt.Sprintf("setresuid to process.user.uid %d", uid), unix.SYS_SETRESUID, uid, uid, uid)
	if uid != 0 {
		addCapset(p, "have the kept capabilities in effect", plan.Caps.Available, plan.Caps.Available, 0)
	}
}

// addCwd changes the directory and makes sure that it is one of the container:
// getcwd(2) writes "(unreachable)/..." for one outside (CVE-2024-21626).
func (plan *Plan) addCwd(p *linux.Program) {
	p.Call("chdir to process.cwd "+plan.Cwd, unix.SYS_CHDIR, plan.Cwd)
	at := make([]byte, unix.PathMax)
	p.Call("read the path of process.cwd "+plan.Cwd, unix.SYS_GETCWD, at, len(at))
	p.ExpectByte("chdir to process.cwd "+plan.Cwd+", which is outside the container", &at[0], '/', unix.ENOENT)
}

func (plan *Plan) addRlimits(p *linux.Program) {
	for _, r := range plan.Rlimits {
		lim := &unix.Rlimit{Cur: r.Soft, Max: r.Hard}
		p.Call(fmt.Sprintf("set %s to soft %s, hard %s", r.Name, limit(r.Soft), limit(r.Hard)), unix.SYS_PRLIMIT64, 0, r.Resource, unsafe.Pointer(lim), 0)
	}
}

func (plan *Plan) addDescriptors(p *linux.Program, o ProgramOptions) {
	for fd := 3; fd < 3+o.PreserveFDs; fd++ {
		p.Call(fmt.Sprintf("preserve descriptor %d", fd), unix.SYS_FCNTL, fd, unix.F_SETFD, 0)
	}
	if o.InGo {
		p.Call("mark descriptors", unix.SYS_CLOSE_RANGE, 3+o.PreserveFDs, uint32(1<<32-1), unix.CLOSE_RANGE_CLOEXEC)
		return
	}
	keep := slices.Clone(o.KeepFDs)
	slices.Sort(keep)
	from := 3 + o.PreserveFDs
	for _, fd := range keep {
		if fd < from {
			continue
		}
		if fd > from {
			p.Call("close descriptors", unix.SYS_CLOSE_RANGE, from, fd-1, 0)
		}
		from = fd + 1
	}
	p.Call("close descriptors", unix.SYS_CLOSE_RANGE, from, uint32(1<<32-1), 0)
	if from > 3+o.PreserveFDs {
		p.Call("mark descriptors", unix.SYS_CLOSE_RANGE, 3+o.PreserveFDs, uint32(1<<32-1), unix.CLOSE_RANGE_CLOEXEC)
	}
}

func (plan *Plan) addCapabilities(p *linux.Program) {
	c := plan.Caps
	addCapset(p, "set process.capabilities", c.Effective, c.Permitted, c.Inheritable)
	p.Call("clear the ambient capabilities", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	for n := 0; n <= c.Last; n++ {
		if c.Ambient&(1<<n) != 0 {
			p.Call("raise "+CapabilityName(n)+" as ambient", unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, n, 0, 0)
		}
	}
}

func addCapset(p *linux.Program, what string, effective, permitted, inheritable uint64) {
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := &[2]unix.CapUserData{
		{Effective: uint32(effective), Permitted: uint32(permitted), Inheritable: uint32(inheritable)},
		{Effective: uint32(effective >> 32), Permitted: uint32(permitted >> 32), Inheritable: uint32(inheritable >> 32)},
	}
	p.Call(what, unix.SYS_CAPSET, unsafe.Pointer(header), unsafe.Pointer(data))
}

// addExec tries each file; what is tolerated is what execvp(3) goes on after.
func (plan *Plan) addExec(p *linux.Program, file string) {
	files := []string{file}
	if file == "" {
		files = candidates(plan.Args[0], plan.Env)
	}
	argv, envp := p.Strings(plan.Args), p.Strings(plan.Env)
	for _, f := range files {
		p.Call("exec "+f, unix.SYS_EXECVE, f, argv, envp)
		p.Tolerate(unix.ENOENT, unix.ENOTDIR, unix.EACCES, unix.ESTALE)
	}
}

// defaultPath is what is searched where the environment has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// candidates lists the files that arg0 may mean, in order. An empty element of
// PATH is the working directory, see execvp(3).
func candidates(arg0 string, env []string) []string {
	if strings.Contains(arg0, "/") {
		return []string{arg0}
	}
	if arg0 == "" {
		return nil
	}
	search, ok := variable(env, "PATH")
	if !ok {
		search = defaultPath
	}
	var files []string
	for _, dir := range strings.Split(search, ":") {
		file := path.Join(dir, arg0)
		if !strings.Contains(file, "/") {
			file = "./" + file
		}
		if !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	return files
}
