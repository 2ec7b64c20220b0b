// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"runtime"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The namespaces that clone(2) can make. CLONE_NEWTIME is left out: the bit is
// part of the exit signal in clone's flags, only unshare and clone3 take it.
const cloneNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// low is the mask of the 32 bits that the kernel looks at where an argument is
// an int: with more, a program gets past the rule by setting upper bits
// (CVE-2019-10063).
const low = 0xffffffff

// personalities that change nothing but what uname(2) tells, and the question
// for the present one.
var personalities = [...]uint64{0 /* PER_LINUX */, 8 /* PER_LINUX32 */, 0x20000, /* UNAME26 */
	0x20008 /* UNAME26, PER_LINUX32 */, 0xffffffff}

// Default returns a profile for a command that nobody wrote a profile for: an
// allow-list of what programs use, without what makes or enters namespaces,
// mounts, loads code into the kernel, or reaches parts of it that are large and
// seldom needed (keyrings, io_uring, userfaultfd, BPF, perf events, vsock and
// kernel crypto sockets). Everything else answers EPERM. caps are the
// capabilities that the command has by explicit wish ("CAP_SYS_ADMIN"); each
// opens the system calls that are of no use without it.
//
// A 32-bit program that makes its sockets by socketcall(2) gets none, since the
// address family cannot be seen there.
func Default(caps ...string) *specs.LinuxSeccomp {
	s := &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno,
		Architectures: defaultArchitectures(),
	}
	allow := func(names []string, args ...specs.LinuxSeccompArg) {
		s.Syscalls = append(s.Syscalls, specs.LinuxSyscall{Names: names, Action: specs.ActAllow, Args: args})
	}
	deny := func(errno unix.Errno, name string, args ...specs.LinuxSeccompArg) {
		n := uint(errno)
		s.Syscalls = append(s.Syscalls, specs.LinuxSyscall{Names: []string{name}, Action: specs.ActErrno, ErrnoRet: &n, Args: args})
	}
	masked := func(index uint, mask, value uint64) specs.LinuxSeccompArg {
		return specs.LinuxSeccompArg{Index: index, Value: mask, ValueTwo: value, Op: specs.OpMaskedEqual}
	}

	allow(fileCalls())
	allow(processCalls())
	allow(memoryCalls())
	allow(timeCalls())
	allow(ipcCalls())
	allow(archCalls())

	// Input pushed into the terminal that the command shares with its user
	// (TIOCSTI), and the same by the console's paste (TIOCLINUX).
	allow([]string{"ioctl"})
	deny(unix.EPERM, "ioctl", masked(1, low, unix.TIOCSTI))
	deny(unix.EPERM, "ioctl", masked(1, low, unix.TIOCLINUX))

	// vsock reaches the hypervisor past every network namespace; the kernel's
	// crypto sockets are a large surface that libraries do without.
	allow([]string{"socket", "socketpair"})
	deny(unix.EAFNOSUPPORT, "socket", masked(0, low, unix.AF_VSOCK))
	deny(unix.EAFNOSUPPORT, "socket", masked(0, low, unix.AF_ALG))

	for _, p := range personalities {
		allow([]string{"personality"}, masked(0, low, p))
	}
	if !slices.Contains(caps, "CAP_SYS_ADMIN") {
		// s390 has clone's flags in the second argument.
		flags := uint(0)
		if runtime.GOARCH == "s390x" {
			flags = 1
		}
		allow([]string{"clone"}, masked(flags, cloneNamespaces, 0))
		// clone3's flags are in memory; libc falls back to clone.
		deny(unix.ENOSYS, "clone3")
	}
	for _, c := range caps {
		if names := capabilityCalls(c); len(names) > 0 {
			allow(names)
		}
	}
	return s
}

// defaultArchitectures are the native one and the 32-bit one beside it. x32 is
// not among them: nothing uses it.
func defaultArchitectures() []specs.Arch {
	switch runtime.GOARCH {
	case "amd64", "386":
		return []specs.Arch{specs.ArchX86_64, specs.ArchX86}
	case "arm64", "arm":
		return []specs.Arch{specs.ArchAARCH64, specs.ArchARM}
	case "ppc64":
		return []specs.Arch{specs.ArchPPC64, specs.ArchPPC}
	case "mips64", "mips":
		return []specs.Arch{specs.ArchMIPS64, specs.ArchMIPS}
	case "mips64le", "mipsle":
		return []specs.Arch{specs.ArchMIPSEL64, specs.ArchMIPSEL}
	}
	return nil // the native one
}

func fileCalls() []string {
	return []string{
		"access", "faccessat", "faccessat2",
		"chdir", "fchdir", "getcwd", "umask",
		"chmod", "fchmod", "fchmodat", "fchmodat2",
		"chown", "chown32", "fchown", "fchown32", "fchownat", "lchown", "lchown32",
		"close", "close_range", "dup", "dup2", "dup3", "fcntl", "fcntl64", "flock",
		"copy_file_range", "sendfile", "sendfile64", "splice", "tee", "vmsplice",
		"creat", "open", "openat", "openat2", "name_to_handle_at",
		"epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait", "epoll_pwait2",
		"epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "signalfd", "signalfd4",
		"poll", "ppoll", "ppoll_time64", "select", "_newselect", "pselect6", "pselect6_time64",
		"fadvise64", "fadvise64_64", "arm_fadvise64_64", "readahead",
		"fallocate", "ftruncate", "ftruncate64", "truncate", "truncate64",
		"fdatasync", "fsync", "sync", "syncfs", "sync_file_range", "sync_file_range2", "arm_sync_file_range",
		"fgetxattr", "getxattr", "getxattrat", "lgetxattr",
		"flistxattr", "listxattr", "listxattrat", "llistxattr",
		"fremovexattr", "lremovexattr", "removexattr", "removexattrat",
		"fsetxattr", "lsetxattr", "setxattr", "setxattrat",
		"fstat", "fstat64", "fstatat64", "lstat", "lstat64", "newfstatat", "stat", "stat64", "statx",
		"fstatfs", "fstatfs64", "statfs", "statfs64", "statmount", "listmount", "ustat",
		"getdents", "getdents64", "readdir", "file_getattr", "file_setattr",
		"inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch",
		"io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_pgetevents_time64", "io_setup", "io_submit",
		"link", "linkat", "mkdir", "mkdirat", "mknod", "mknodat", "readlink", "readlinkat",
		"rename", "renameat", "renameat2", "rmdir", "symlink", "symlinkat", "unlink", "unlinkat",
		"lseek", "_llseek", "pipe", "pipe2", "memfd_create", "memfd_secret",
		"pread64", "preadv", "preadv2", "read", "readv",
		"pwrite64", "pwritev", "pwritev2", "write", "writev", "cachestat",
		"futimesat", "utime", "utimensat", "utimensat_time64", "utimes",
	}
}

func processCalls() []string {
	return []string{
		"execve", "execveat", "exit", "exit_group", "fork", "vfork",
		"wait4", "waitid", "waitpid",
		"capget", "capset", "prctl", "seccomp", "process_mrelease",
		"landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self",
		"lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr",
		"futex", "futex_time64", "futex_requeue", "futex_wait", "futex_waitv", "futex_wake",
		"get_robust_list", "set_robust_list", "set_tid_address", "rseq", "rseq_slice_yield",
		"membarrier", "restart_syscall", "getcpu", "getrandom", "uname", "sysinfo", "kcmp",
		"getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32", "getuid", "getuid32",
		"getgroups", "getgroups32", "getresgid", "getresgid32", "getresuid", "getresuid32",
		"setfsgid", "setfsgid32", "setfsuid", "setfsuid32", "setgid", "setgid32", "setuid", "setuid32",
		"setgroups", "setgroups32", "setregid", "setregid32", "setresgid", "setresgid32",
		"setresuid", "setresuid32", "setreuid", "setreuid32",
		"getpgid", "getpgrp", "getpid", "getppid", "getsid", "gettid", "setpgid", "setsid",
		"getpriority", "setpriority", "nice", "ioprio_get", "ioprio_set",
		"getrlimit", "ugetrlimit", "setrlimit", "prlimit64", "getrusage", "times",
		"sched_getaffinity", "sched_getattr", "sched_getparam", "sched_get_priority_max",
		"sched_get_priority_min", "sched_getscheduler", "sched_rr_get_interval",
		"sched_rr_get_interval_time64", "sched_setaffinity", "sched_setattr", "sched_setparam",
		"sched_setscheduler", "sched_yield",
		"kill", "tgkill", "tkill", "pidfd_open", "pidfd_send_signal", "pidfd_getfd", "pause",
		"rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn",
		"rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_tgsigqueueinfo",
		"sigaction", "sigaltstack", "signal", "sigpending", "sigprocmask", "sigreturn", "sigsuspend",
		// Debuggers. The kernel asks for the same user or CAP_SYS_PTRACE, and
		// since 4.8 a tracer cannot get past a filter.
		"ptrace", "process_vm_readv", "process_vm_writev",
	}
}

func memoryCalls() []string {
	return []string{
		"brk", "madvise", "process_madvise", "mincore", "mmap", "mmap2", "mprotect", "mremap", "munmap",
		"mlock", "mlock2", "mlockall", "munlock", "munlockall", "msync", "mseal", "remap_file_pages",
		"pkey_alloc", "pkey_free", "pkey_mprotect", "map_shadow_stack",
	}
}

func timeCalls() []string {
	return []string{
		"adjtimex", "alarm", "clock_adjtime", "clock_adjtime64", // reading; setting takes CAP_SYS_TIME
		"clock_getres", "clock_getres_time64", "clock_gettime", "clock_gettime64",
		"clock_nanosleep", "clock_nanosleep_time64", "nanosleep",
		"getitimer", "setitimer", "gettimeofday", "time",
		"timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_gettime64",
		"timer_settime", "timer_settime64", "timerfd_create", "timerfd_gettime",
		"timerfd_gettime64", "timerfd_settime", "timerfd_settime64",
	}
}

func ipcCalls() []string {
	return []string{
		// Not socketcall(2): it hides socket's arguments. The rules hold for it.
		"accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen",
		"recv", "recvfrom", "recvmmsg", "recvmmsg_time64", "recvmsg",
		"send", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown",
		"mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedreceive_time64",
		"mq_timedsend", "mq_timedsend_time64", "mq_unlink",
		"ipc", "msgctl", "msgget", "msgrcv", "msgsnd",
		"semctl", "semget", "semop", "semtimedop", "semtimedop_time64",
		"shmat", "shmctl", "shmdt", "shmget",
	}
}

// archCalls are those that only some architectures have.
func archCalls() []string {
	return []string{
		"arch_prctl", "get_thread_area", "modify_ldt", "set_thread_area",
		"breakpoint", "cacheflush", "get_tls", "set_tls",
		"riscv_flush_icache", "riscv_hwprobe",
		"s390_pci_mmio_read", "s390_pci_mmio_write", "s390_runtime_instr", "s390_guarded_storage", "s390_sthyi",
		"spu_create", "spu_run", "swapcontext", "switch_endian",
		"uretprobe", "uprobe",
	}
}

// capabilityCalls are those that are of no use without a capability.
func capabilityCalls(capability string) []string {
	switch capability {
	case "CAP_BPF":
		return []string{"bpf"}
	case "CAP_DAC_READ_SEARCH":
		return []string{"open_by_handle_at"}
	case "CAP_PERFMON":
		return []string{"perf_event_open"}
	case "CAP_SYS_ADMIN":
		return []string{
			"bpf", "clone", "clone3", "fanotify_init", "fanotify_mark", "fsconfig", "fsmount", "fsopen", "fspick",
			"lookup_dcookie", "mount", "mount_setattr", "move_mount", "open_tree", "open_tree_attr",
			"perf_event_open", "pivot_root", "quotactl", "quotactl_fd", "setdomainname", "sethostname",
			"setns", "umount", "umount2", "unshare",
		}
	case "CAP_SYS_BOOT":
		return []string{"reboot"}
	case "CAP_SYS_CHROOT":
		return []string{"chroot"}
	case "CAP_SYS_MODULE":
		return []string{"delete_module", "finit_module", "init_module"}
	case "CAP_SYS_NICE":
		return []string{"get_mempolicy", "mbind", "migrate_pages", "move_pages", "set_mempolicy", "set_mempolicy_home_node"}
	case "CAP_SYS_PACCT":
		return []string{"acct"}
	case "CAP_SYS_RAWIO":
		return []string{"ioperm", "iopl"}
	case "CAP_SYS_TIME":
		return []string{"clock_settime", "clock_settime64", "settimeofday", "stime"}
	case "CAP_SYS_TTY_CONFIG":
		return []string{"vhangup"}
	case "CAP_SYSLOG":
		return []string{"syslog"}
	}
	return nil
}
