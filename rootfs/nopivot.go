// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mycr/linux"
)

// withoutPivot moves the root onto "/" and changes into it with chroot(2): an initramfs, which is
// the root of its mount namespace, cannot be pivoted away. It stays below, for whoever can
// break out of a chroot, so every procfs and sysfs in it is taken away or covered: the kernel lets a
// user namespace mount new ones where it sees an unmasked one.
func (t *Tree) withoutPivot() error {
	where, err := os.Readlink("/proc/thread-self/fd/" + strconv.Itoa(t.root))
	if err != nil {
		return step("no pivot: find the root's path", err)
	}
	text, err := linux.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return step("no pivot", err)
	}
	for line := range strings.Lines(string(text)) {
		left, right, _ := strings.Cut(line, " - ")
		fields := strings.Fields(left)
		if len(fields) < 5 || !strings.HasPrefix(right, "proc ") && !strings.HasPrefix(right, "sysfs ") {
			continue
		}
		at := unescape(fields[4])
		if at == where || strings.HasPrefix(at, strings.TrimSuffix(where, "/")+"/") {
			continue
		}
		if err := unix.Unmount(at, unix.MNT_DETACH); err == nil {
			continue
		}
		if err := unix.Mount("tmpfs", at, "tmpfs", unix.MS_RDONLY, "size=0"); err != nil {
			return step("no pivot: cover "+at, err)
		}
	}
	if err := unix.MoveMount(t.root, "", unix.AT_FDCWD, "/", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return step("no pivot: move the root", err)
	}
	return step2("chroot", unix.Chroot("."))
}

// unescape reads the octal escapes of mountinfo (proc_pid_mountinfo(5)).
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
