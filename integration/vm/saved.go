// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// resume continues from the state in which a machine that has booted waits for its payload. It is saved at the first
// use, beside the image, for this QEMU and these arguments.
func (m *machine) resume() error {
	version, err := exec.Command("qemu-system-x86_64", "--version").Output()
	if err != nil {
		return err
	}
	arguments := strings.NewReplacer(m.work, "", m.dir, "").Replace(strings.Join(m.arguments("disk", "on"), "\n"))
	dir := filepath.Join(m.dir, fmt.Sprintf("saved-%x", sha256.Sum256(append(version, arguments...)))[:18])
	if err := m.save(dir); err != nil {
		return fmt.Errorf("save a state: %w", err)
	}
	args := append(m.arguments(filepath.Join(dir, "disk"), "on"), "-incoming", "exec:cat "+filepath.Join(dir, "state"))
	if err := m.launch(args); err != nil {
		return err
	}
	return m.begin()
}

// save boots a machine on a disk of its own and writes its state down, unless that is done. Of two at once one waits.
func (m *machine) save(dir string) error {
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	fmt.Fprintln(os.Stderr, "vm: saving the state of a machine that has booted, for this and later runs")
	half := dir + ".half"
	if err := os.RemoveAll(half); err != nil {
		return err
	}
	if err := os.Mkdir(half, 0o755); err != nil {
		return err
	}
	disk, state := filepath.Join(half, "disk"), filepath.Join(half, "state")
	if out, err := exec.Command("cp", "--sparse=always", filepath.Join(m.dir, "image"), disk).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if err := m.launch(m.arguments(disk, "off")); err != nil {
		return err
	}
	defer m.kill()
	if err := m.waitReady(4 * time.Minute); err != nil {
		return err
	}
	if err := m.migrate(state); err != nil {
		return err
	}
	m.kill()
	if out, err := exec.Command("sync", disk, state).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return os.Rename(half, dir)
}

// migrate has QEMU write the running machine to a file, see its documentation of QMP.
func (m *machine) migrate(file string) error {
	conn, err := net.Dial("unix", m.path("qmp"))
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	answers := json.NewDecoder(bufio.NewReader(conn))
	// ask sends a command and reads up to its answer, past events.
	ask := func(command string) (string, error) {
		if _, err := io.WriteString(conn, command); err != nil {
			return "", err
		}
		for {
			var answer struct {
				Return *struct{ Status string }
				Error  *struct{ Desc string }
			}
			if err := answers.Decode(&answer); err != nil {
				return "", err
			}
			if answer.Error != nil {
				return "", errors.New(answer.Error.Desc)
			}
			if answer.Return != nil {
				return answer.Return.Status, nil
			}
		}
	}
	for _, command := range []string{
		`{"execute":"qmp_capabilities"}`,
		// Without a limit on its rate, and in one go: nothing changes while the machine waits.
		`{"execute":"migrate-set-parameters","arguments":{"max-bandwidth":17179869184,"downtime-limit":10000}}`,
		fmt.Sprintf(`{"execute":"migrate","arguments":{"uri":"exec:cat >%s"}}`, file),
	} {
		if _, err := ask(command); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
	}
	for {
		status, err := ask(`{"execute":"query-migrate"}`)
		switch {
		case err != nil:
			return err
		case status == "completed":
			_, err := ask(`{"execute":"quit"}`)
			return err
		case status == "failed" || status == "cancelled":
			return fmt.Errorf("the migration %s", status)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
