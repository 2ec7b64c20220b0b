// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// figures are what one client measured: bytes for each second, and microseconds.
type figures struct{ up, down, trip float64 }

// What more of is better.
func (f figures) ofUp() float64    { return f.up }
func (f figures) ofDown() float64  { return f.down }
func (f figures) ofHaste() float64 { return -f.trip }

// A way is a network as somebody makes it.
type way struct {
	name    string
	driver  string
	mycr    bool
	client  func(words ...string) (string, error) // runs the client in a network made for it
	figures []figures
	first   []float64 // milliseconds from the start to the first byte
}

// try does something, and at most twice more where it fails and mycr has no
// part in it: pasta of Debian 12 has been seen to answer for no neighbour after
// some of its starts. What failed is told.
func (w *way) try(do func() error) error {
	for tries := 1; ; tries++ {
		err := do()
		if err == nil {
			return nil
		}
		err = fmt.Errorf("%s: %w", w.name, err)
		if w.mycr || tries == 3 {
			return err
		}
		fmt.Fprintf(os.Stderr, "bench-net: %v; once more\n", err)
	}
}

// A run is mycr run with a network or none, of a program that needs none.
type run struct {
	name           string
	client         func(words ...string) (string, error)
	program, whole []float64 // milliseconds until the program runs, and until all is over
}

// An alone is a driver's own start on a namespace that is there.
type alone struct {
	name  string
	start func() (nanoseconds int64, err error)
	took  []float64
}

func (b *bench) prepare() error {
	if err := b.bundle(); err != nil {
		return err
	}
	have := func(program string) bool { _, err := exec.LookPath(program); return err == nil }
	b.runs = append(b.runs, &run{name: "none", client: b.inMycr("none")})
	for _, driver := range []string{"internal", "pasta", "slirp4netns"} {
		if driver != "internal" && !have(driver) {
			fmt.Fprintf(os.Stderr, "bench-net: %s is not installed and left out\n", driver)
			continue
		}
		b.ways = append(b.ways, &way{name: "mycr " + driver, driver: driver, mycr: true, client: b.inMycr(driver)})
		b.runs = append(b.runs, &run{name: driver, client: b.inMycr(driver)})
		if driver != "internal" {
			start := map[string]func(pid int) (*os.Process, error){"pasta": b.startPasta, "slirp4netns": b.startSlirp}[driver]
			b.ways = append(b.ways, &way{name: driver + " alone", driver: driver, client: b.inNamespace(start)})
			b.drivers = append(b.drivers, &alone{name: driver, start: func() (int64, error) { return b.startAlone(start) }})
		}
	}
	if have("rootlesskit") && have("slirp4netns") {
		b.ways = append(b.ways, &way{name: "rootlesskit slirp4netns", driver: "slirp4netns", client: b.inRootlesskit})
	}
	return nil
}

// bundle is runc's default one with the client as its program.
func (b *bench) bundle() error {
	dir := filepath.Join(b.home, "rootfs")
	for _, sub := range []string{"bin", "dev", "etc", "proc", "sys"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	program, err := os.ReadFile(b.self)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "bin", "client"), program, 0o755)
	}
	if err != nil {
		return err
	}
	_, err = output(exec.Command(b.mycr, "spec", "--bundle", b.home))
	return err
}

func (b *bench) inMycr(network string) func(words ...string) (string, error) {
	return func(words ...string) (string, error) {
		path := filepath.Join(b.home, "config.json")
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		var config map[string]any
		if err := json.Unmarshal(text, &config); err != nil {
			return "", err
		}
		process := config["process"].(map[string]any)
		process["terminal"], process["args"] = false, append([]string{"/bin/client", "client"}, words...)
		if text, err = json.Marshal(config); err == nil {
			err = os.WriteFile(path, text, 0o644)
		}
		if err != nil {
			return "", err
		}
		return output(exec.Command(b.mycr, "--root", filepath.Join(b.home, "state"), "run", "--network", network, "-b", b.home, "c"))
	}
}

// held starts a client in a user and network namespace of its own, which waits for its standard input.
func (b *bench) held(words ...string) *exec.Cmd {
	cmd := exec.Command(b.self, append([]string{"client", "held"}, words...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	return cmd
}

// inNamespace is a driver on a namespace, and nothing else.
func (b *bench) inNamespace(start func(pid int) (*os.Process, error)) func(words ...string) (string, error) {
	return func(words ...string) (string, error) {
		cmd := b.held(words...)
		var out, complaints bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &complaints
		gate, err := cmd.StdinPipe()
		if err != nil {
			return "", err
		}
		if err := cmd.Start(); err != nil {
			return "", err
		}
		driver, err := start(cmd.Process.Pid)
		gate.Close()
		if err != nil {
			cmd.Process.Kill()
		}
		if ended := cmd.Wait(); err == nil && ended != nil {
			err = fmt.Errorf("%w: %s", ended, strings.TrimSpace(complaints.String()))
		}
		stop(driver)
		return out.String(), err
	}
}

// startAlone is how long a driver takes until it is ready.
func (b *bench) startAlone(start func(pid int) (*os.Process, error)) (int64, error) {
	cmd := b.held("stamp")
	gate, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	begin := now()
	driver, err := start(cmd.Process.Pid)
	took := now() - begin
	gate.Close()
	stop(driver)
	return took, errors.Join(err, cmd.Wait())
}

func stop(driver *os.Process) {
	if driver != nil {
		driver.Kill()
		driver.Wait() // in vain for one that has gone into the background
	}
}

// startPasta is as podman does it. pasta goes into the background when it is ready, and does not end with the namespace
// of a process.
func (b *bench) startPasta(pid int) (*os.Process, error) {
	file := filepath.Join(b.home, "pasta.pid")
	os.Remove(file)
	if _, err := output(exec.Command("pasta", "--config-net", "--dns-forward", "169.254.1.1", "-t", "none", "-u", "none", "-T", "none",
		"-U", "none", "--no-map-gw", "--quiet", "--pid", file, fmt.Sprint(pid))); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("pasta's pid: %w", err)
	}
	return os.FindProcess(number)
}

// startSlirp is as podman does it.
func (b *bench) startSlirp(pid int) (*os.Process, error) {
	ready, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	var complaints bytes.Buffer
	cmd := exec.Command("slirp4netns", "--disable-host-loopback", "--mtu=65520", "--enable-sandbox", "--enable-seccomp", "-c", "-r", "3",
		fmt.Sprint(pid), "tap0")
	cmd.ExtraFiles, cmd.Stderr = []*os.File{theirs}, &complaints
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return nil, err
	}
	if _, err := bufio.NewReader(ready).ReadByte(); err != nil {
		stop(cmd.Process)
		return nil, fmt.Errorf("%w: %s", err, &complaints)
	}
	return cmd.Process, nil
}

func (b *bench) inRootlesskit(words ...string) (string, error) {
	return output(exec.Command("rootlesskit", append([]string{"--net=slirp4netns", "--mtu=65520", "--disable-host-loopback",
		"--slirp4netns-sandbox=auto", "--slirp4netns-seccomp=auto", "--state-dir=" + filepath.Join(b.home, "rootlesskit"),
		"--copy-up=/etc", b.self, "client"}, words...)...))
}

// output is what a command prints.
func output(cmd *exec.Cmd) (string, error) {
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(exit.Stderr)))
	}
	return string(out), err
}
