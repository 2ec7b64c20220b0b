// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary is also the program in the sandbox.
func TestMain(m *testing.M) {
	if directory := os.Getenv("MYCR_SANDBOX_TEST"); directory != "" {
		os.Exit(inside(directory))
	}
	os.Exit(m.Run())
}

func TestSandbox(t *testing.T) {
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "file"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"MYCR_SANDBOX_TEST=" + directory}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

// inside tries from several threads what is not possible any more, and what is.
func inside(directory string) int {
	if err := Begin(); err != nil {
		fmt.Println(err)
		return 1
	}
	notes, err := Enter()
	fmt.Println("notes:", notes, err)
	if err != nil {
		return 1
	}
	status := make(chan int)
	for range 4 {
		go func() { status <- attempts(directory) }()
	}
	failed := 0
	for range 4 {
		failed += <-status
	}
	return min(1, failed)
}

func attempts(directory string) (failed int) {
	file := filepath.Join(directory, "file")
	for name, f := range map[string]func() error{
		"execve":        func() error { return unix.Exec("/bin/true", []string{"true"}, nil) },
		"fork":          func() error { return exec.Command("/bin/true").Run() },
		"create":        func() error { return os.WriteFile(filepath.Join(directory, "new"), nil, 0o600) },
		"write":         func() error { return os.WriteFile(file, nil, 0o600) },
		"append":        func() error { _, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0); return err },
		"truncate":      func() error { return os.Truncate(file, 0) },
		"remove":        func() error { return os.Remove(file) },
		"rename":        func() error { return os.Rename(file, file+"2") },
		"mkdir":         func() error { return os.Mkdir(file+"3", 0o700) },
		"chmod":         func() error { return os.Chmod(file, 0o777) },
		"unix socket":   func() error { _, err := net.Dial("unix", "/run/nobody"); return err },
		"packet socket": func() error { _, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0); return err },
		"kill":          func() error { return unix.Kill(os.Getppid(), 0) },
		"tgkill":        func() error { return unix.Tgkill(os.Getppid(), os.Getppid(), 0) },
		"unshare":       func() error { return unix.Unshare(unix.CLONE_NEWUSER) },
		"clone": func() error {
			_, _, errno := unix.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
			return refusedOnly(errno)
		},
		"ptrace":      func() error { return unix.PtraceAttach(os.Getppid()) },
		"other ioctl": func() error { _, err := unix.IoctlGetInt(0, unix.TIOCGPGRP); return err },
		"io_uring": func() error {
			_, _, errno := unix.RawSyscall(unix.SYS_IO_URING_SETUP, 1, 0, 0)
			return refusedOnly(errno)
		},
		"prctl": func() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) },
	} {
		if err := f(); !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
			fmt.Printf("%s: %v\n", name, err)
			failed++
		}
	}
	for name, f := range map[string]func() error{
		"read": func() error {
			text, err := os.ReadFile(file)
			if err == nil && string(text) != "text" {
				err = fmt.Errorf("it is %q", text)
			}
			return err
		},
		"list": func() error { _, err := filepath.Glob("/proc/self/fd/*"); return err },
		"link": func() error { _, err := os.Readlink("/proc/self/exe"); return err },
		"TCP and a timer": func() error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			defer l.Close()
			c, err := net.DialTimeout("tcp", l.Addr().String(), time.Minute)
			if err != nil {
				return err
			}
			defer c.Close()
			c.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("read: %w", err)
			}
			return nil
		},
		"UDP": func() error {
			c, err := net.ListenPacket("udp", "[::]:0")
			if err == nil {
				err = c.Close()
			}
			return err
		},
	} {
		if err := f(); err != nil {
			fmt.Printf("%s: %v\n", name, err)
			failed++
		}
	}
	return failed
}

func refusedOnly(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
