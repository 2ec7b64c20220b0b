// SPDX-License-Identifier: Apache-2.0

package userns

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

var updateProbe = flag.Bool("update-probe", false, "write testdata/explain.json anew")

func TestRefusalsAreExplained(t *testing.T) {
	const create, inside, proc = "create namespaces user, mnt, pid", "mount tmpfs on /dev", "mount proc on /proc"
	ordinary := func(change func(*ProbeFacts)) ProbeFacts {
		f := ProbeFacts{Exe: "/home/alice/go/bin/mycr", UID: 1000, AppArmorLabel: "unconfined", AppArmorABI4: true,
			Limits: []NamespaceLimit{{"user", "15000"}, {"net", "15000"}}}
		change(&f)
		return f
	}
	cases := []struct {
		name  string
		step  string
		errno syscall.Errno
		facts ProbeFacts
	}{
		{"nothing known", create, unix.EPERM, ordinary(func(f *ProbeFacts) {})},
		{"another errno", inside, unix.ENODEV, ordinary(func(f *ProbeFacts) { f.Seccomp = true })},
		{"limit 0", create, unix.ENOSPC, ordinary(func(f *ProbeFacts) { f.Limits[0].Value = "0" })},
		{"limit of net 0 in docker", create, unix.ENOSPC, ordinary(func(f *ProbeFacts) { f.Limits[1].Value, f.Container = "0", "docker" })},
		{"limit reached", create, unix.ENOSPC, ordinary(func(f *ProbeFacts) {})},
		{"processes", create, unix.EAGAIN, ordinary(func(f *ProbeFacts) {})},
		{"kernel without time namespaces", create, unix.EINVAL, ordinary(func(f *ProbeFacts) { f.Missing = []string{"time"} })},
		{"old kernel", create, unix.ENOSYS, ordinary(func(f *ProbeFacts) {})},
		{"debian", create, unix.EPERM, ordinary(func(f *ProbeFacts) { f.UsernsClone = "0" })},
		{"debian allowed", create, unix.EPERM, ordinary(func(f *ProbeFacts) { f.UsernsClone = "1" })},
		{"unmapped", create, unix.EPERM, ordinary(func(f *ProbeFacts) { f.UID, f.Unmapped = 65534, true })},
		{"chroot", create, unix.EPERM, ordinary(func(f *ProbeFacts) { f.Chroot = true })},
		{"ubuntu", create, unix.EPERM, ordinary(func(f *ProbeFacts) { f.AppArmorRestricts = true })},
		{"ubuntu later step", inside, unix.EACCES, ordinary(func(f *ProbeFacts) { f.AppArmorRestricts = true })},
		{"ubuntu mint without abi and with a space", inside, unix.EACCES, ordinary(func(f *ProbeFacts) {
			f.AppArmorRestricts, f.AppArmorABI4, f.Exe = true, false, "/home/al ice's/mycr"
		})},
		{"ubuntu in podman", create, unix.EPERM, ordinary(func(f *ProbeFacts) { f.AppArmorRestricts, f.Container = true, "podman" })},
		{"ubuntu with the profile", create, unix.EPERM, ordinary(func(f *ProbeFacts) { f.AppArmorRestricts, f.AppArmorLabel = true, "mycr (unconfined)" })},
		{"docker", create, unix.EPERM, ordinary(func(f *ProbeFacts) {
			f.Container, f.Seccomp, f.AppArmorLabel = "docker", true, "docker-default (enforce)"
		})},
		{"docker clone3", create, unix.ENOSYS, ordinary(func(f *ProbeFacts) { f.Container, f.Seccomp = "docker", true })},
		{"docker apparmor only", inside, unix.EACCES, ordinary(func(f *ProbeFacts) { f.Container, f.AppArmorLabel = "docker", "docker-default (enforce)" })},
		{"kubernetes", create, unix.EPERM, ordinary(func(f *ProbeFacts) {
			f.Container, f.Seccomp, f.AppArmorLabel = "kubernetes", true, "cri-containerd.apparmor.d (enforce)"
		})},
		{"systemd unit", create, unix.EPERM, ordinary(func(f *ProbeFacts) { f.Seccomp = true })},
		{"profile of another", create, unix.EPERM, ordinary(func(f *ProbeFacts) { f.AppArmorLabel = "sandbox (enforce)" })},
		{"selinux", create, unix.EACCES, ordinary(func(f *ProbeFacts) { f.SELinux = true })},
		{"selinux in podman", create, unix.EACCES, ordinary(func(f *ProbeFacts) { f.SELinux, f.Container = true, "podman" })},
		{"uid 0 without CAP_SYS_ADMIN", "create namespaces mnt, pid", unix.EPERM, ProbeFacts{}},
		{"newuidmap", "newuidmap", unix.EPERM, ordinary(func(f *ProbeFacts) { f.NoNewPrivs = true })},
		{"masked proc", proc, unix.EPERM, ordinary(func(f *ProbeFacts) { f.ProcMasks = []string{"/proc/kcore", "/proc/keys"} })},
		{"masked proc in docker", proc, unix.EPERM, ordinary(func(f *ProbeFacts) { f.ProcMasks, f.Container = []string{"/proc/kcore"}, "docker" })},
		{"masked proc in podman", proc, unix.EPERM, ordinary(func(f *ProbeFacts) { f.ProcMasks, f.Container = []string{"/proc/kcore"}, "podman" })},
		{"masked proc in kubernetes", proc, unix.EPERM, ordinary(func(f *ProbeFacts) { f.ProcMasks, f.Container = []string{"/proc/kcore"}, "kubernetes" })},
		{"no proc", proc, unix.EPERM, ordinary(func(f *ProbeFacts) { f.ProcAbsent = true })},
		{"read-only proc", proc, unix.EPERM, ordinary(func(f *ProbeFacts) { f.ProcReadOnly = true })},
		{"ubuntu proc", proc, unix.EACCES, ordinary(func(f *ProbeFacts) { f.AppArmorRestricts = true })},
	}
	type result struct{ Name, Cause, Hint string }
	var got []result
	for _, c := range cases {
		err := Explain(c.step, c.errno, c.facts)
		if !errors.Is(err, c.errno) {
			t.Errorf("%s: %v lost the errno", c.name, err)
		}
		r := result{Name: c.name, Cause: err.Error()}
		var refusal *Refusal
		if errors.As(err, &refusal) {
			r.Hint = refusal.Hint()
		}
		if strings.Contains(r.Cause+r.Hint, "\n") || strings.Contains(r.Hint, "privileged=") || strings.Contains(r.Hint, "--privileged") {
			t.Errorf("%s: %q", c.name, r)
		}
		got = append(got, r)
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	e := json.NewEncoder(f)
	e.SetEscapeHTML(false)
	e.SetIndent("", "\t")
	if err := e.Encode(got); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "explain.json")
	if *updateProbe {
		if err := os.WriteFile(golden, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(b)); d != "" {
		t.Error(d)
	}
}

// The command of the remedy, run by a shell, prints a profile for this very path.
func TestPrintedProfileIsForThisExecutable(t *testing.T) {
	for _, exe := range []string{"/usr/bin/mycr", "/home/al ice's/mycr"} {
		command := appArmorProfile(ProbeFacts{Exe: exe, AppArmorABI4: true})
		command, _, _ = strings.Cut(command, " | sudo")
		out, err := exec.Command("/bin/sh", "-c", command).CombinedOutput()
		want := "abi <abi/4.0>,\ninclude <tunables/global>\nprofile mycr " + exe + " flags=(unconfined) {\n  userns,\n  include if exists <local/mycr>\n}\n"
		if strings.Contains(exe, " ") {
			want = strings.Replace(want, exe, `"`+exe+`"`, 1)
		}
		if d := cmp.Diff(want, string(out)); d != "" || err != nil {
			t.Error(err, d)
		}
	}
}

func TestProbeFactsComeFromTheFiles(t *testing.T) {
	root := t.TempDir() + "/"
	for name, content := range map[string]string{
		"proc/self/status":                          "Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n",
		"proc/self/uid_map":                         "         0       1000          1\n",
		"proc/self/gid_map":                         "         0       1000          1\n",
		"proc/self/attr/current":                    "docker-default (enforce)\n",
		"proc/self/ns/user":                         "",
		"proc/self/ns/mnt":                          "",
		"proc/sys/kernel/unprivileged_userns_clone": "0\n",
		"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n",
		"proc/sys/user/max_user_namespaces":                     "0\n",
		"run/.containerenv":                                     "",
		"proc/self/mountinfo": "21 1 8:1 /sub /mnt rw - ext4 /dev/sda rw\n22 21 0:5 / /proc ro,nosuid - proc proc rw\n" +
			"23 22 0:6 / /proc/sys/fs/binfmt_misc rw - autofs x rw\n24 22 0:7 /null /proc/kcore rw - tmpfs tmpfs rw\n25 22 0:5 /bus /proc/bus ro - proc proc rw\n",
	} {
		if err := os.MkdirAll(filepath.Dir(root+name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var f ProbeFacts
	f.read(root, 0, 1)
	want := ProbeFacts{Unmapped: true, Seccomp: true, Container: "podman", UsernsClone: "0",
		Limits: []NamespaceLimit{{"user", "0"}}, Missing: []string{"ipc", "uts", "net", "pid", "cgroup", "time"},
		AppArmorRestricts: true, AppArmorLabel: "docker-default (enforce)",
		Chroot: true, ProcReadOnly: true, ProcMasks: []string{"/proc/kcore", "/proc/bus"}}
	if d := cmp.Diff(want, f); d != "" {
		t.Error(d)
	}
	f = ProbeFacts{}
	f.read(t.TempDir()+"/", 5, 5)
	if d := cmp.Diff(ProbeFacts{}, f); d != "" {
		t.Errorf("of nothing: %s", d)
	}
}

// In a user namespace whose limit is 0 the kernel is asked, and the answer explained.
func TestLimitOfNamespacesIsFound(t *testing.T) {
	if os.Getenv("USERNS_TEST_LIMIT") == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestLimitOfNamespacesIsFound$", "-test.v")
		cmd.Env = []string{"USERNS_TEST_LIMIT=1"}
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		}
		out, err := cmd.CombinedOutput()
		if err != nil && len(out) == 0 {
			t.Skip("no user namespace here: " + err.Error())
		}
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if step, errno := firstRefused(true); errno != 0 {
		t.Skipf("namespaces in a user namespace fail here: %s: %v", step, errno)
	}
	if err := os.WriteFile("/proc/sys/user/max_net_namespaces", []byte("0"), 0); err != nil {
		t.Skip("no limit of this user namespace's own: " + err.Error())
	}
	step, errno := firstRefused(true)
	if step != "net namespace" || errno != unix.ENOSPC {
		t.Errorf("first refused: %s, %v", step, errno)
	}
	err := Diagnose("create namespaces user, net", errno)
	var r *Refusal
	if !errors.As(err, &r) || !strings.Contains(r.Cause, "user.max_net_namespaces is 0") {
		t.Errorf("%v", err)
	}
	if err := Diagnose("create namespaces user, net", unix.EIO); err == nil || !strings.Contains(err.Error(), "net namespace") {
		t.Errorf("tried one by one: %v", err)
	}
}
