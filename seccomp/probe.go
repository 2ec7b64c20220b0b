// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Native are the facts that a start needs: the kernel refuses at installation
// what it does not know, so that it is not asked beforehand.
func Native() Facts { return Facts{Arch: runtime.GOARCH} }

// Probe asks the kernel which actions and flags it knows (actions_avail: 4.14).
func Probe() (Facts, error) {
	f := Native()
	text, err := os.ReadFile("/proc/sys/kernel/seccomp/actions_avail")
	if err != nil {
		return Facts{}, fmt.Errorf("find out the actions of seccomp: %w", err)
	}
	f.Actions = strings.Fields(string(text))
	f.Flags = []specs.LinuxSeccompFlag{}
	for _, known := range [...]struct {
		word specs.LinuxSeccompFlag
		bits uintptr
	}{
		{flagTSync, unix.SECCOMP_FILTER_FLAG_TSYNC},
		{specs.LinuxSeccompFlagLog, unix.SECCOMP_FILTER_FLAG_LOG},
		{specs.LinuxSeccompFlagSpecAllow, unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW},
		{specs.LinuxSeccompFlagWaitKillableRecv, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
	} {
		// Without a program it is EFAULT, or EINVAL for a flag that is unknown.
		_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, known.bits, 0)
		if errno == unix.EFAULT {
			f.Flags = append(f.Flags, known.word)
		}
	}
	return f, nil
}
