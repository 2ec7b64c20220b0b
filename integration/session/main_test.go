// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mycr/integration/testbed"
)

var (
	mycr string // the binary
	// machine is the suite of the virtual machine that this runs in, "" elsewhere.
	machine = os.Getenv("MYCR_MACHINE")
	// missing says what there is not, where these tests cannot run. They are skipped then, or fail in a machine.
	missing string
	manager systemd
	// scratch holds everything that this run makes.
	scratch  string
	template testbed.Template
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "probe" { // in a container
		os.Exit(probe(os.Args[1:]))
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	mycr = os.Getenv("MYCR")
	if mycr == "" {
		missing = "needs the built binary: make test, make test-here"
		return m.Run()
	}
	var err error
	if manager, err = findManager(); err != nil {
		missing = "no systemd session with delegated controllers: " + err.Error()
		if machine != "" {
			fmt.Fprintln(os.Stderr, missing)
			return 1
		}
		return m.Run()
	}
	testbed.Hang = 4 * time.Minute // an emulated machine with other work beside it
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "session:", err)
		return 1
	}
	defer os.RemoveAll(scratch)
	return m.Run()
}

func prepare() error {
	// What a runtime leaves running becomes a child of this process and can be told from everything else.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become a subreaper: %w", err)
	}
	go testbed.ReapAdopted() // until the end
	unix.Umask(0o022)
	var err error
	if scratch, err = os.MkdirTemp("/tmp", "mycr-session-"); err != nil {
		return err
	}
	if err := os.Chmod(scratch, 0o755); err != nil {
		return err
	}
	template, err = testbed.MakeTemplate(filepath.Join(scratch, "template"))
	return err
}

// A systemd is the manager that mycr is to ask: the user's, or for root the system's.
type systemd struct {
	flags  []string // systemctl's
	cgroup string   // its directory below /sys/fs/cgroup, without the mount point; "" is the root
}

// wanted are the controllers that these tests need.
var wanted = []string{"cpu", "memory", "pids"}

func findManager() (systemd, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &fs); err != nil {
		return systemd{}, err
	}
	if fs.Type != unix.CGROUP2_SUPER_MAGIC {
		return systemd{}, fmt.Errorf("/sys/fs/cgroup is not cgroup v2")
	}
	if _, err := exec.LookPath("systemctl"); err != nil {
		return systemd{}, err
	}
	var s systemd
	if os.Geteuid() != 0 {
		if os.Getenv("XDG_RUNTIME_DIR") == "" {
			return systemd{}, fmt.Errorf("XDG_RUNTIME_DIR is not set")
		}
		s.flags = []string{"--user"}
	}
	// Over the bus, which this starts too: a daemon that is started later would count as left behind.
	exec.Command("busctl", append(s.flags, "--no-pager", "list")...).Run()
	out, err := exec.Command("systemctl", append(s.flags, "show", "-p", "ControlGroup", "--value")...).CombinedOutput()
	if err != nil {
		return systemd{}, fmt.Errorf("systemctl %s: %s", strings.Join(s.flags, " "), strings.TrimSpace(string(out)))
	}
	s.cgroup = strings.TrimSuffix(strings.TrimSpace(string(out)), "/")
	text, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", s.cgroup, "cgroup.controllers"))
	if err != nil {
		return systemd{}, err
	}
	for _, controller := range wanted {
		if !strings.Contains(" "+strings.TrimSpace(string(text))+" ", " "+controller+" ") {
			return systemd{}, fmt.Errorf("the manager has the controllers %q, not %s", strings.TrimSpace(string(text)), controller)
		}
	}
	return s, nil
}
