// SPDX-License-Identifier: Apache-2.0

package userns

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Refusal is an error that knows why the kernel refused, and what to type against it.
type Refusal struct {
	Cause  string
	Remedy string // one thing to type or to do; "" where none is known
	Err    error  // what the kernel said
}

func (r *Refusal) Error() string { return r.Cause }
func (r *Refusal) Unwrap() error { return r.Err }

// Hint is the one thing to type, for the line below the error.
func (r *Refusal) Hint() string { return r.Remedy }

// ProbeFacts is what the host says of itself that explains a refusal; GatherProbe reads it.
type ProbeFacts struct {
	Exe         string // this executable's real path
	UID         uint32
	SysAdmin    bool   // CAP_SYS_ADMIN is effective
	Unmapped    bool   // the own uid or gid does not exist in the user namespace that mycr runs in
	NoNewPrivs  bool   // PR_GET_NO_NEW_PRIVS
	Seccomp     bool   // a filter is on this process
	Container   string // docker, podman, kubernetes, what /run/systemd/container says, or ""
	UsernsClone string // kernel.unprivileged_userns_clone of Debian and linux-hardened, "" where there is none

	Limits  []NamespaceLimit // user.max_*_namespaces
	Missing []string         // kinds of namespaces that this kernel was built without, as in /proc/self/ns

	AppArmorRestricts bool   // kernel.apparmor_restrict_unprivileged_userns is 1 (Ubuntu 23.10 and later)
	AppArmorABI4      bool   // /etc/apparmor.d/abi/4.0 is there
	AppArmorLabel     string // /proc/self/attr/current: "unconfined", "docker-default (enforce)"
	SELinux           bool   // enforcing

	Chroot       bool     // "/" is not a mount
	ProcAbsent   bool     // no procfs is mounted
	ProcReadOnly bool     // /proc is mounted read-only
	ProcMasks    []string // mounts below /proc that keep the kernel from giving a new one
}

// NamespaceLimit is one of the sysctls user.max_*_namespaces.
type NamespaceLimit struct {
	Kind  string // as in the sysctl: user, mnt, pid, net, ipc, uts, cgroup, time
	Value string
}

// Explain says why a step failed, as a *Refusal where the facts tell, else as the plain error.
// step is what was being done: "create namespaces user, mnt", "write uid_map", "mount proc on /proc",
// or another thing done inside the new user namespace.
func Explain(step string, err error, f ProbeFacts) error {
	plain := fmt.Errorf("%s: %w", step, err)
	creating := strings.HasPrefix(step, "create namespaces") || strings.HasPrefix(step, "clone") || strings.HasPrefix(step, "unshare")
	mounting := strings.Contains(step, "mount proc")
	refuse := func(cause, remedy string) error {
		return &Refusal{Cause: plain.Error() + ": " + cause, Remedy: remedy, Err: err}
	}
	switch {
	case creating && (errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS)):
		return refuse(exceeded(f))
	case creating && errors.Is(err, unix.EAGAIN):
		return refuse("the limit of processes is reached (RLIMIT_NPROC of this user, or pids.max of this cgroup)", "ulimit -u; ps -u $USER | wc -l")
	case creating && errors.Is(err, unix.EINVAL) && len(f.Missing) > 0:
		return refuse("this kernel was built without: "+strings.Join(f.Missing, ", ")+" namespaces", "")
	case creating && errors.Is(err, unix.ENOSYS) && !f.Seccomp:
		return refuse("this kernel has no clone3, which came with Linux 5.3", "")
	case !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.ENOSYS):
		return plain
	}
	if mounting {
		if cause, remedy := procRefused(f); cause != "" {
			return refuse(cause, remedy)
		}
	}
	if creating {
		if cause, remedy := creationRefused(step, f); cause != "" {
			return refuse(cause, remedy)
		}
	}
	if strings.Contains(step, "newuidmap") || strings.Contains(step, "newgidmap") {
		if f.NoNewPrivs {
			return refuse("no_new_privs is set, under which newuidmap and newgidmap gain no powers", "start mycr without no_new_privs, or with one id only: linux.uidMappings of size 1")
		}
	}
	if cause, remedy := policy(f); cause != "" {
		return refuse(cause, remedy)
	}
	return plain
}

// exceeded is ENOSPC: a limit of namespaces, of this user namespace or of one around it.
func exceeded(f ProbeFacts) (cause, remedy string) {
	where := "sudo sysctl -w "
	if f.Container != "" {
		where = "on the host, or in the outer container as its root: sysctl -w "
	}
	all := ""
	for _, l := range f.Limits {
		if l.Value == "0" {
			return "user.max_" + l.Kind + "_namespaces is 0", where + "user.max_" + l.Kind + "_namespaces=28633"
		}
		if l.Kind == "user" {
			all = " (user.max_user_namespaces is " + l.Value + ")"
		}
	}
	return "too many namespaces of this user, or more than 32 user namespaces in each other" + all,
		where + "user.max_user_namespaces=" + doubled(f)
}

// doubled is twice the limit of user namespaces as it is.
func doubled(f ProbeFacts) string {
	for _, l := range f.Limits {
		var n uint64
		if _, err := fmt.Sscan(l.Value, &n); err == nil && l.Kind == "user" && n < 1<<30 {
			return fmt.Sprint(2 * n)
		}
	}
	return "28633"
}

// creationRefused is what the kernel itself holds against new namespaces.
func creationRefused(step string, f ProbeFacts) (cause, remedy string) {
	user := strings.Contains(step, "user")
	switch {
	case !user && f.UID == 0 && !f.SysAdmin:
		return "without a new user namespace it takes CAP_SYS_ADMIN, which mycr does not have here",
			`add {"type": "user"} to linux.namespaces, with linux.uidMappings and linux.gidMappings`
	case user && f.UsernsClone == "0" && !f.SysAdmin:
		return "kernel.unprivileged_userns_clone is 0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"
	case user && f.Unmapped:
		return fmt.Sprintf("the own user or group id (shown as %d) is not mapped in the user namespace that mycr runs in", f.UID),
			"cat /proc/self/uid_map /proc/self/gid_map"
	case user && f.Chroot:
		return "mycr runs in a chroot, where the kernel gives no user namespace", leaveChroot
	}
	return "", ""
}

const leaveChroot = "make the directory a mount and its root with pivot_root (unshare --root does not): e.g. systemd-nspawn -D DIR"

// policy is what a security module or the filter of an outer container holds against it.
func policy(f ProbeFacts) (cause, remedy string) {
	label, mode, _ := strings.Cut(f.AppArmorLabel, " ")
	confined := label != "" && label != "unconfined" && mode != "(unconfined)" && mode != "(complain)"
	switch {
	case f.AppArmorRestricts && !f.SysAdmin && (label == "unconfined" || label == "unprivileged_userns"):
		return "AppArmor restricts user namespaces of programs without a profile (kernel.apparmor_restrict_unprivileged_userns is 1)", appArmorProfile(f)
	case confined && !f.Seccomp:
		return "the AppArmor profile " + label + " is on mycr", unconfine(f.Container, "apparmor")
	case f.Seccomp && confined:
		return "a seccomp filter and the AppArmor profile " + label + " are on mycr", unconfine(f.Container, "both")
	case f.Seccomp:
		return "a seccomp filter is on mycr (Seccomp: 2 in /proc/self/status), put there by what started it", unconfine(f.Container, "seccomp")
	case f.SELinux:
		remedy = "sudo ausearch -m avc -ts recent"
		if f.Container == "docker" || f.Container == "podman" {
			remedy = f.Container + " run --security-opt label=disable …"
		}
		return "SELinux is enforcing, and may deny it", remedy
	case f.Chroot:
		return "mycr runs in a chroot", ""
	}
	return "", ""
}

// unconfine is how the outer container is started without what stands in the way.
func unconfine(container, what string) string {
	apparmor := what == "apparmor" || what == "both"
	seccomp := what == "seccomp" || what == "both"
	switch container {
	case "docker", "podman":
		s := container + " run"
		if seccomp {
			s += " --security-opt seccomp=unconfined"
		}
		if apparmor {
			s += " --security-opt apparmor=unconfined"
		}
		return s + " … (or profiles that allow clone3, clone, unshare, setns, mount, umount2 and pivot_root)"
	case "kubernetes":
		s := "in the pod's securityContext: "
		if seccomp {
			s += "seccompProfile: {type: Unconfined}"
		}
		if seccomp && apparmor {
			s += ", "
		}
		if apparmor {
			s += "appArmorProfile: {type: Unconfined}"
		}
		return s + "; with hostUsers: false in the pod's spec"
	}
	if apparmor && !seccomp {
		return "allow userns, capability, mount, umount and pivot_root in that profile: sudo aa-status"
	}
	return "systemd: RestrictNamespaces=no and no SystemCallFilter= for the unit; else see what started mycr: pstree -s $$"
}

// appArmorProfile is the command that gives this executable, and no other, its user namespaces back.
func appArmorProfile(f ProbeFacts) string {
	abi := `abi <abi/4.0>,\n`
	if !f.AppArmorABI4 {
		abi = "" // apparmor_parser would stop at the missing file
	}
	attach := "%s"
	if strings.ContainsAny(f.Exe, " \t") {
		attach = `"%s"`
	}
	command := `printf '` + abi + `include <tunables/global>\nprofile mycr ` + attach +
		` flags=(unconfined) {\n  userns,\n  include if exists <local/mycr>\n}\n' ` + shellWord(f.Exe) +
		` | sudo tee /etc/apparmor.d/mycr && sudo apparmor_parser -r /etc/apparmor.d/mycr`
	if f.Container != "" {
		return "on the host: " + command
	}
	return command
}

// shellWord quotes a path for a shell where it has to be.
func shellWord(s string) string {
	for _, c := range s {
		if !strings.ContainsRune("/._-+@%:,abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", c) {
			return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
		}
	}
	return s
}

// procRefused: a user namespace gets a new procfs only where it sees a whole one already, so that it uncovers
// nothing (mount_too_revealing in the kernel's fs/namespace.c).
func procRefused(f ProbeFacts) (cause, remedy string) {
	switch {
	case f.ProcAbsent:
		return "no /proc is mounted here, and the kernel gives a new one only to who sees one", "mount /proc where mycr is started, or use --proc none"
	case len(f.ProcMasks) > 0:
		masks := f.ProcMasks[0]
		if n := len(f.ProcMasks) - 1; n > 0 {
			masks += fmt.Sprintf(" (+%d more)", n)
		}
		remedy = "rerun with --proc host (shows the outer container's processes), or "
		switch f.Container {
		case "docker":
			remedy += "start the outer one with docker run --security-opt systempaths=unconfined …"
		case "podman":
			remedy += "start the outer one with podman run --security-opt unmask=ALL …"
		case "kubernetes":
			remedy += "set securityContext.procMount: Unmasked and hostUsers: false in the pod"
		default:
			remedy += "unmount what is below /proc outside: grep ' /proc/' /proc/self/mountinfo"
		}
		return "this container masks " + masks + ", so the kernel refuses a new procfs", remedy
	case f.ProcReadOnly:
		return "/proc is read-only here, so the kernel refuses a writable one", `rerun with --proc host, or add "ro" to the options of the mount of type proc`
	}
	return "", ""
}

// Diagnose says why a step failed: from the facts of the host, and, where they do not tell,
// by trying the namespaces one after the other in children that end at once.
func Diagnose(step string, err error) error {
	f := GatherProbe()
	told := Explain(step, err, f)
	var r *Refusal
	if errors.As(told, &r) || !strings.HasPrefix(step, "create namespaces") {
		return told
	}
	narrow, errno := firstRefused(strings.Contains(step, "user") || f.UID != 0 || !f.SysAdmin)
	switch {
	case errno == 0:
		return told
	case narrow == "user namespace" && errno == unix.EPERM: // nothing of what clone(2) has for it is left but this
		return &Refusal{Cause: told.Error() + ": mycr seems to run in a chroot, where the kernel gives no user namespace", Remedy: leaveChroot, Err: err}
	}
	return fmt.Errorf("%w (tried alone, the first to fail: %s: %w)", told, narrow, errno)
}

// firstRefused tries each kind of namespace alone, in a user namespace of its own where withUser says so,
// then the maps, then a mount, and gives the first that fails; errno 0 where all work.
func firstRefused(withUser bool) (step string, errno syscall.Errno) {
	var base uintptr
	if withUser {
		base = unix.CLONE_NEWUSER
		if errno := try(&syscall.SysProcAttr{Cloneflags: base}); errno != 0 {
			return "user namespace", errno
		}
	}
	for _, flag := range Kinds() {
		// Time namespaces are entered by a child of who unshares one, and need no trial.
		if flag == unix.CLONE_NEWUSER || flag == unix.CLONE_NEWTIME {
			continue
		}
		if errno := try(&syscall.SysProcAttr{Cloneflags: base | uintptr(flag)}); errno != 0 {
			return Name(flag) + " namespace", errno
		}
	}
	attr := syscall.SysProcAttr{Cloneflags: base}
	if withUser {
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	if errno := try(&attr); errno != 0 {
		return "id maps", errno
	}
	attr.Unshareflags = unix.CLONE_NEWNS // package syscall then makes / private: a mount
	return "mount", try(&attr)
}

// try starts a child with those attributes that executes nothing: the file name is empty, so that
// ENOENT says that all before it went well.
func try(attr *syscall.SysProcAttr) syscall.Errno {
	pid, err := syscall.ForkExec("", []string{""}, &syscall.ProcAttr{Env: []string{}, Sys: attr})
	if err == nil { // cannot be, but no child is left behind
		syscall.Kill(pid, syscall.SIGKILL)
		syscall.Wait4(pid, nil, 0, nil)
		return 0
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) || errno == syscall.ENOENT {
		return 0
	}
	return errno
}
