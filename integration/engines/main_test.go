// SPDX-License-Identifier: Apache-2.0

package engines

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mycr/integration/testbed"
)

var (
	// machine is the suite of the virtual machine that this runs in, "" elsewhere.
	machine = os.Getenv("MYCR_MACHINE")
	// all is the long run: every section, under each runtime.
	all = os.Getenv("MYCR_ALL") != ""
	// scratch holds everything that this run makes.
	scratch string
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "terminal" { // in a session
		os.Exit(terminal(os.Args[1:]))
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	if machine == "" {
		return m.Run()
	}
	testbed.Hang = 4 * time.Minute // an emulated machine with other work beside it
	if all {
		testbed.Hang = 25 * time.Minute // two hundred times podman in one line
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "engines:", err)
		return 1
	}
	defer os.RemoveAll(scratch)
	return m.Run()
}

// prepare makes what the sessions find in their directory: rootfs.tar of a busybox, and terminal in their PATH.
func prepare() error {
	unix.Umask(0o022)
	var err error
	if scratch, err = os.MkdirTemp("/tmp", "mycr-engines-"); err != nil {
		return err
	}
	if err := os.Chmod(scratch, 0o755); err != nil {
		return err
	}
	template, err := testbed.MakeTemplate(filepath.Join(scratch, "template"))
	if err != nil {
		return err
	}
	if err := template.Rootfs(filepath.Join(scratch, "rootfs")); err != nil {
		return err
	}
	// The test binary, which other tests have in their containers, is nothing that these need.
	if err := os.Remove(filepath.Join(scratch, "rootfs/bin/probe")); err != nil {
		return err
	}
	bin := filepath.Join(scratch, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Symlink(self, filepath.Join(bin, "terminal")); err != nil {
		return err
	}
	// dockerd, and where crictl comes with the tests.
	return os.Setenv("PATH", bin+":"+filepath.Dir(self)+":"+os.Getenv("PATH")+":/usr/sbin:/sbin")
}
