// SPDX-License-Identifier: Apache-2.0

// Package sandbox takes from this process what it no longer needs. What is left
// is a program that moves packets: it cannot execute another, write to a file,
// or make anything but sockets.
package sandbox

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Begin is called before anything else. In a program that is built with cgo, Go
// cannot change the credentials of all threads; where there are capabilities to
// be dropped, this thread drops them, and executes the program again, which then
// has one thread.
func Begin() error {
	if allThreads() {
		return nil
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	some, err := capabilities()
	if err != nil || !some {
		return err
	}
	// So that root does not get them back by execve(2).
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("sandbox: no_new_privs: %w", err)
	}
	var none [2]unix.CapUserData
	if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
		return fmt.Errorf("sandbox: drop the capabilities: %w", err)
	}
	return fmt.Errorf("sandbox: execute this program again: %w", unix.Exec("/proc/self/exe", os.Args, os.Environ()))
}

// Enter is called when everything is open. It gives notes on what this kernel
// or this build cannot do.
func Enter() (notes []string, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if allThreads() {
		if err := dropCapabilities(); err != nil {
			return nil, fmt.Errorf("sandbox: drop the capabilities: %w", err)
		}
		if err := restrictFiles(); err != nil {
			notes = append(notes, fmt.Sprintf("sandbox: Landlock: %v", err))
		}
	} else {
		notes = append(notes, "sandbox: Landlock: a program built with cgo cannot have it")
		// The filter's synchronization gives it to the other threads, too.
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return nil, fmt.Errorf("sandbox: no_new_privs: %w", err)
		}
	}
	if err := filterCalls(); err != nil {
		notes = append(notes, fmt.Sprintf("sandbox: seccomp: %v", err))
	}
	return notes, nil
}

// allThreads tells whether Go can make a call in all threads, and sets
// no_new_privs in them.
func allThreads() bool {
	_, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	return errno == 0
}

func capabilities() (some bool, err error) {
	var data [2]unix.CapUserData
	err = unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0])
	return data[0].Permitted|data[1].Permitted != 0, err
}

func dropCapabilities() error {
	some, err := capabilities()
	if err != nil || !some {
		return err
	}
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := &[2]unix.CapUserData{}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(data)), 0)
	runtime.KeepAlive(header)
	runtime.KeepAlive(data)
	if errno != 0 {
		return errno
	}
	return nil
}

// forbidden is every access to files but reading, of the first Landlock there
// was; see landlock(7).
const forbidden = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
	unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
	unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
	unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK |
	unix.LANDLOCK_ACCESS_FS_MAKE_SYM

// restrictFiles leaves nothing of the file system but reading.
func restrictFiles() error {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return errno
	}
	attributes := &unix.LandlockRulesetAttr{Handled_access_fs: forbidden}
	if version >= 3 {
		attributes.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	size := unsafe.Sizeof(attributes.Handled_access_fs)
	if version >= 6 {
		attributes.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
		size = unsafe.Offsetof(attributes.Quiet_access_fs)
	}
	rules, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(attributes)), size, 0)
	if errno != 0 {
		return errno
	}
	defer unix.Close(int(rules))
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, rules, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
