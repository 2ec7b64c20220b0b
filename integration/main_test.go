// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mycr/integration/testbed"
)

// The situations in which the tests run, as design.md's table has them.
const (
	ordinaryUser = "user"
	unshareRoot  = "unshare" // root of unshare -Ur: one id
	podmanRoot   = "podman"  // root of podman unshare: all subordinate ids
	realRoot     = "root"
)

// A runtime is a program with runc's command line.
type runtime struct {
	name  string
	path  string
	flags []string // before the command
}

var (
	situation string
	mycr      runtime
	// runtimes holds mycr and, where $MYCR_PEERS names some, others: security tests are seen failing on these.
	runtimes []runtime
	// scratch holds everything that this run makes; template is a root file system's content in it.
	scratch  string
	template testbed.Template
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "probe" {
		os.Exit(probe(os.Args[1:]))
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	if os.Getenv("MYCR") == "" {
		// Also go test ./... from a checkout comes here: only what needs no binary can run then.
		fmt.Println("MYCR does not name the binary: integration/run sets it; only tests of the source run")
		return m.Run()
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		return 1
	}
	status := m.Run()
	forceRemove(scratch)
	return status
}

func prepare() error {
	mycr = runtime{name: "mycr", path: os.Getenv("MYCR")}
	runtimes = []runtime{mycr}
	for _, peer := range strings.FieldsFunc(os.Getenv("MYCR_PEERS"), func(r rune) bool { return r == ',' }) {
		path, err := exec.LookPath(peer)
		if err != nil {
			return err
		}
		made := runtime{name: peer, path: path}
		if peer == "crun" {
			made.flags = []string{"--cgroup-manager=disabled"}
		}
		runtimes = append(runtimes, made)
	}
	situation = os.Getenv("MYCR_SITUATION")
	switch {
	case situation != "":
	case os.Geteuid() == 0:
		situation = realRoot
	default:
		situation = ordinaryUser
	}
	// What a runtime leaves running becomes a child of this process and can be told from everything else.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become a subreaper: %w", err)
	}
	go testbed.ReapAdopted() // until the end
	// A shell starts background jobs with these ignored, and what is ignored is inherited by all that is started here,
	// containers included: with a handler it is not.
	for _, sig := range []os.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	unix.Umask(0o022)
	var err error
	if scratch, err = os.MkdirTemp("/tmp", "mycr-it-"); err != nil {
		return err
	}
	if err := os.Chmod(scratch, 0o755); err != nil {
		return err
	}
	template, err = testbed.MakeTemplate(filepath.Join(scratch, "template"))
	return err
}

// needBinary skips a test that was started without a built binary.
func needBinary(t testing.TB) {
	t.Helper()
	if mycr.path == "" {
		t.Skip("needs the built binary: integration/run")
	}
}

func forceRemove(path string) {
	filepath.Walk(path, func(p string, info os.FileInfo, err error) error {
		if err == nil && info.IsDir() {
			os.Chmod(p, 0o755)
		}
		return nil
	})
	os.RemoveAll(path)
}
