// SPDX-License-Identifier: Apache-2.0

// Command vm starts a machine that integration/vm/build made and runs commands in it, one after the other, each in a
// login session of its own. integration/vm/run is how it is used.
//
// Usage: vm [flags] MACHINE PAYLOAD USER OUTPUT COMMAND [USER OUTPUT COMMAND]...
//
// PAYLOAD is a tar that is unpacked to /payload in the machine. OUTPUT is a file for both of the command's streams,
// or "-" for this process's own two. The status is that of the first command that failed, or 125 when it is the
// machine that failed or a limit of time was reached; the console's end is shown then.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// machineFailed is the status when it is not a command that failed.
const machineFailed = 125

// A command is what one user does in the machine.
type command struct {
	user, output, text string
}

func main() {
	// QEMU is to die with this process, and the kernel takes a thread's end for the parent's.
	runtime.LockOSThread()
	limit := flag.Duration("limit", 10*time.Minute, "for each command")
	saved := flag.Bool("saved", false, "continue from a saved state, made at the first use")
	memory := flag.Int("memory", 2048, "in MiB")
	flag.Parse()
	args := flag.Args()
	if len(args) < 5 || (len(args)-2)%3 != 0 {
		fmt.Fprintln(os.Stderr, "usage: vm [flags] MACHINE PAYLOAD USER OUTPUT COMMAND [USER OUTPUT COMMAND]...")
		os.Exit(machineFailed)
	}
	var commands []command
	for rest := args[2:]; len(rest) > 0; rest = rest[3:] {
		commands = append(commands, command{rest[0], rest[1], rest[2]})
	}
	status, err := run(args[0], args[1], *memory, *saved, *limit, commands)
	if err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		status = machineFailed
	}
	os.Exit(status)
}

func run(dir, payload string, memory int, saved bool, limit time.Duration, commands []command) (int, error) {
	work, err := os.MkdirTemp("", "mycr-vm-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)
	made := &machine{dir: dir, work: work, payload: filepath.Join(work, "payload"), memory: memory}
	defer made.kill()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-interrupted
		made.kill()
		os.RemoveAll(work)
		os.Exit(machineFailed)
	}()
	if err := copyPayload(payload, made.payload); err != nil {
		return 0, err
	}
	if err := start(made, saved); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, made.consoleTail())
	}
	first := 0
	for _, c := range commands {
		status, err := do(made, c, limit)
		if err != nil {
			return 0, fmt.Errorf("%w\n%s", err, made.consoleTail())
		}
		if first == 0 {
			first = status
		}
	}
	return first, nil
}

// payloadSize is fixed: a saved state knows its disks' sizes.
const payloadSize = 256 << 20

func copyPayload(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.Create(to)
	if err != nil {
		return err
	}
	defer target.Close()
	if size, err := io.Copy(target, source); err != nil {
		return err
	} else if size > payloadSize {
		return fmt.Errorf("%s is larger than %d MiB", from, payloadSize>>20)
	}
	return target.Truncate(payloadSize)
}

// start boots the machine, twice where the first one does not come up: software emulation now and then hangs at boot.
func start(m *machine, saved bool) error {
	if saved {
		err := m.resume()
		if err == nil {
			return nil
		}
		m.kill()
		fmt.Fprintln(os.Stderr, "vm: the saved state does not continue, booting:", err)
	}
	err := m.boot(4 * time.Minute)
	if err != nil {
		m.kill()
		fmt.Fprintln(os.Stderr, "vm: booting once more:", err)
		err = m.boot(4 * time.Minute)
	}
	if err != nil {
		return err
	}
	return m.begin()
}

// do runs one command to its end.
func do(m *machine, c command, limit time.Duration) (int, error) {
	stdout, stderr := io.Writer(os.Stdout), io.Writer(os.Stderr)
	if c.output != "-" {
		file, err := os.Create(c.output)
		if err != nil {
			return 0, err
		}
		defer file.Close()
		stdout, stderr = file, file
	}
	status, err := m.run(c.user, c.text, stdout, stderr, limit)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		line, _, _ := strings.Cut(c.text, "\n")
		err = fmt.Errorf("hung: %s did not end within %v as %s", line, limit, c.user)
	}
	return status, err
}
