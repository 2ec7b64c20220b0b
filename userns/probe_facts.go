// SPDX-License-Identifier: Apache-2.0

package userns

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"mycr/linux"
)

// GatherProbe reads the facts; what cannot be read is left out, since something failed already.
func GatherProbe() ProbeFacts {
	f := ProbeFacts{UID: uint32(os.Geteuid())}
	f.Exe, _ = os.Executable()
	if real, err := filepath.EvalSymlinks(f.Exe); err == nil {
		f.Exe = real
	}
	n, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	f.NoNewPrivs = err == nil && n == 1
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if unix.Capget(&header, &caps[0]) == nil {
		f.SysAdmin = caps[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
	}
	f.read("/", f.UID, uint32(os.Getegid()))
	return f
}

// read fills in what files tell; root is "/" but in tests.
func (f *ProbeFacts) read(root string, uid, gid uint32) {
	word := func(path string) string {
		b, _ := linux.ReadFile(root + path)
		return strings.TrimRight(string(b), "\n\x00")
	}
	exists := func(path string) bool { return unix.Access(root+path, unix.F_OK) == nil }

	f.Seccomp = strings.Contains(word("proc/self/status"), "\nSeccomp:\t2")
	f.Unmapped = !mapped(word("proc/self/uid_map"), uid) || !mapped(word("proc/self/gid_map"), gid)
	f.UsernsClone = word("proc/sys/kernel/unprivileged_userns_clone")
	for _, flag := range Kinds() {
		kind := Name(flag)
		if v := word("proc/sys/user/max_" + kind + "_namespaces"); v != "" {
			f.Limits = append(f.Limits, NamespaceLimit{kind, v})
		}
		if exists("proc/self/ns") && unix.Faccessat(unix.AT_FDCWD, root+"proc/self/ns/"+kind, unix.F_OK, unix.AT_SYMLINK_NOFOLLOW) != nil {
			f.Missing = append(f.Missing, kind)
		}
	}
	f.AppArmorRestricts = word("proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1"
	f.AppArmorABI4 = exists("etc/apparmor.d/abi/4.0")
	f.SELinux = word("sys/fs/selinux/enforce") == "1"
	if !f.SELinux { // else it is SELinux's label
		f.AppArmorLabel = word("proc/self/attr/current")
	}
	switch {
	case exists("run/secrets/kubernetes.io") || exists("var/run/secrets/kubernetes.io"):
		f.Container = "kubernetes"
	case exists("run/.containerenv"):
		f.Container = "podman"
	case exists(".dockerenv"):
		f.Container = "docker"
	default:
		f.Container = word("run/systemd/container")
	}
	f.mounts(word("proc/self/mountinfo"))
}

// mapped tells whether an id is in the text of a uid_map or gid_map; true where that cannot be read.
func mapped(text string, id uint32) bool {
	for line := range strings.Lines(text) {
		var inside, outside, size uint64
		if _, err := fmt.Sscan(line, &inside, &outside, &size); err == nil && uint64(id) >= inside && uint64(id) < inside+size {
			return true
		}
	}
	return text == ""
}

// mounts looks for what is known of / and /proc in the text of a mountinfo; see proc_pid_mountinfo(5).
func (f *ProbeFacts) mounts(text string) {
	if text == "" {
		return
	}
	f.Chroot, f.ProcAbsent, f.ProcReadOnly, f.ProcMasks = true, true, false, nil
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 7 {
			continue
		}
		_, after, _ := strings.Cut(line, " - ")
		fstype, _, _ := strings.Cut(after, " ")
		switch point := fields[4]; {
		case point == "/":
			f.Chroot = false
		case fstype == "proc" && fields[3] == "/" && !strings.HasPrefix(point, "/proc/"):
			f.ProcAbsent = false
			if point == "/proc" {
				f.ProcReadOnly = strings.HasPrefix(fields[5]+",", "ro,")
			}
		// These places exist to be mounted on, and are always empty: the kernel does not count them.
		case point == "/proc/sys/fs/binfmt_misc", point == "/proc/fs/nfsd", point == "/proc/openprom":
		case strings.HasPrefix(point, "/proc/"):
			f.ProcMasks = append(f.ProcMasks, point)
		}
	}
}
