// SPDX-License-Identifier: Apache-2.0

package idmap

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func write(t *testing.T, root, name, content string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func host(t *testing.T) string {
	root := t.TempDir() + "/"
	write(t, root, "proc/self/uid_map", "0 0 4294967295\n", 0o644)
	write(t, root, "proc/self/gid_map", "0 0 4294967295\n", 0o644)
	return root
}

func TestHostWithNothingInEtcIsACase(t *testing.T) {
	f := Facts{UID: 1234, GID: 1234}
	if err := f.gather(host(t), "relative/dir"); err != nil {
		t.Fatal(err)
	}
	if f.User != "" || !f.UserUnknown || f.SubUIDs != nil || f.Newuidmap.Path != "" || f.FreeSubID != 100000 {
		t.Errorf("%+v", f)
	}
	if _, err := Resolve(nil, specs.User{}, f); err != nil {
		t.Error(err)
	}
}

func TestFactsComeFromTheFiles(t *testing.T) {
	root := host(t)
	write(t, root, "etc/passwd", "alice:x:1234:5::/:/bin/sh\n", 0o644)
	write(t, root, "etc/subuid", "alice:100000:65536\n1234:200000:5\nbob:165536:5\n", 0o644)
	write(t, root, "etc/subgid", "bob:300000:65536\n", 0o644)
	write(t, root, "etc/os-release", "ID=alpine\n", 0o644)
	write(t, root, "proc/self/gid_map", "0 1000 1\n", 0o644)
	write(t, root, "proc/self/setgroups", "deny\n", 0o644)
	f := Facts{UID: 1234, GID: 5}
	if err := f.gather(root, ""); err != nil {
		t.Fatal(err)
	}
	want := Facts{UID: 1234, GID: 5, User: "alice", SubUIDs: []Range{{100000, 65536}, {200000, 5}},
		SetgroupsDenied: true, OuterUIDs: hostMaps, OuterGIDs: []Map{{0, 1000, 1}}, PageSize: os.Getpagesize(),
		FreeSubID: 200005, Distro: "alpine"}
	if d := cmp.Diff(want, f); d != "" {
		t.Error(d)
	}
}

func TestHelperWithoutItsPowersOrInAPlaceOfOthersIsNotRun(t *testing.T) {
	root := host(t)
	gid := uint32(os.Getegid())
	if h := findHelper(root, "/own", "newuidmap", unix.CAP_SETUID, gid); h.Path != "" {
		t.Errorf("found %v where there is none", h)
	}
	write(t, root, "own/newuidmap", "", 0o755)
	if err := os.Chmod(root+"own", 0o777); err != nil {
		t.Fatal(err)
	}
	if h := findHelper(root, "/own", "newuidmap", unix.CAP_SETUID, gid); h.Path != "" {
		t.Errorf("found %v in a directory that all can write", h)
	}
	if err := os.Chmod(root+"own", 0o755); err != nil {
		t.Fatal(err)
	}
	h := findHelper(root, "/own", "newuidmap", unix.CAP_SETUID, gid)
	if h.Path != root+"own/newuidmap" || h.Problem == "" {
		t.Errorf("%+v: has no powers", h)
	}
	write(t, root, "usr/bin/newuidmap", "", 0o755|os.ModeSetuid)
	if os.Geteuid() == 0 {
		if h := findHelper(root, "/own", "newuidmap", unix.CAP_SETUID, gid); h.Path != root+"usr/bin/newuidmap" || h.Problem != "" {
			t.Errorf("%+v: the one with powers is to be taken", h)
		}
	}
	write(t, root, "bin/newgidmap", "", 0o644)
	if h := findHelper(root, "/own", "newgidmap", unix.CAP_SETGID, gid); h.Path != "" {
		t.Errorf("found %v, which is not executable", h)
	}
}

func TestFileCapabilitiesAreReadAsTheKernelStoresThem(t *testing.T) {
	setuid := []byte{1, 0, 0, 2, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if !filePermits(setuid, unix.CAP_SETUID) || filePermits(setuid, unix.CAP_SETGID) || filePermits(setuid[:12], unix.CAP_SETUID) {
		t.Error("cap_setuid=ep of version 2")
	}
}

// The helpers and the kernel are asked, as an unprivileged user: the maps that were decided are the maps that are there.
func TestMapsAreWritten(t *testing.T) {
	if os.Getenv("IDMAP_TEST_UNPRIVILEGED") == "" && os.Geteuid() == 0 {
		asUnprivileged(t)
		return
	}
	f, err := Gather("/nonexistent")
	if err != nil {
		t.Fatal(err)
	}
	own := lines(0, f.UID, 1)
	for _, c := range []struct {
		name  string
		linux *specs.Linux
		user  specs.User
	}{
		{"automatic", nil, specs.User{}},
		{"single", linuxOf("new", own, lines(0, f.GID, 1)), specs.User{}},
		{"single other", linuxOf("new", lines(33, f.UID, 1), lines(34, f.GID, 1)), specs.User{UID: 33, GID: 34}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Resolve(c.linux, c.user, f)
			if err != nil {
				t.Fatal(err)
			}
			if c.name == "automatic" && p.Direct {
				t.Skip("no full map for this user: " + strings.Join(p.Notes, " "))
			}
			pid := inNewUserNamespace(t)
			if err := p.Write(pid); err != nil {
				t.Fatal(err)
			}
			for file, want := range map[string][]Map{"uid_map": p.UIDs, "gid_map": p.GIDs} {
				got, err := readMaps(fmt.Sprintf("/proc/%d/%s", pid, file))
				if d := cmp.Diff(want, got); d != "" || err != nil {
					t.Errorf("%s: %v %s", file, err, d)
				}
			}
			setgroups, _ := os.ReadFile(fmt.Sprintf("/proc/%d/setgroups", pid))
			if denied := strings.TrimSpace(string(setgroups)) == "deny"; denied != p.DenySetgroups {
				t.Errorf("setgroups is %q, the plan says denied: %v", setgroups, p.DenySetgroups)
			}
		})
	}
	t.Run("the tool's own words are in the error", func(t *testing.T) {
		if f.Newuidmap.Path == "" {
			t.Skip("newuidmap is not installed")
		}
		p := Plan{NewNamespace: true, UIDs: []Map{{0, 0, 1}}, GIDs: []Map{{0, f.GID, 1}}, DenySetgroups: true, Newuidmap: f.Newuidmap.Path}
		err := p.Write(inNewUserNamespace(t))
		if err == nil || !strings.Contains(err.Error(), "not allowed") || strings.Contains(err.Error(), "\n") {
			t.Errorf("error: %v", err)
		}
	})
}

// inNewUserNamespace starts a process that waits in a user namespace without maps.
func inNewUserNamespace(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("/bin/cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	if err := cmd.Start(); err != nil {
		t.Skip("no user namespace here: " + err.Error())
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	return cmd.Process.Pid
}

// asUnprivileged runs the test again as the first user that has subordinate ids.
func asUnprivileged(t *testing.T) {
	t.Helper()
	subuid, _ := os.ReadFile("/etc/subuid")
	name, _, _ := strings.Cut(string(subuid), ":")
	passwd, _ := os.ReadFile("/etc/passwd")
	var uid, gid int
	for line := range strings.Lines(string(passwd)) {
		f := strings.Split(line, ":")
		if len(f) > 3 && f[0] == name {
			uid, _ = strconv.Atoi(f[2])
			gid, _ = strconv.Atoi(f[3])
		}
	}
	if uid == 0 {
		t.Skip("no unprivileged user with a range in /etc/subuid on this machine")
	}
	// The directory of the test binary is closed to other users, so it goes to one that is not.
	dir, err := os.MkdirTemp("/tmp", "idmap")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	os.Chmod(dir, 0o755)
	if err := os.WriteFile(dir+"/idmap.test", self, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(dir+"/idmap.test", "-test.run=^TestMapsAreWritten$", "-test.v")
	cmd.Dir = "/"
	cmd.Env = []string{"IDMAP_TEST_UNPRIVILEGED=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
	if bytes.Contains(out, []byte("--- SKIP")) {
		t.Log("parts were skipped")
	}
}

func BenchmarkGather(b *testing.B) {
	for b.Loop() {
		f := Facts{UID: 1001, GID: 1001}
		if err := f.gather("/", "/usr/local/bin"); err != nil {
			b.Fatal(err)
		}
	}
}
