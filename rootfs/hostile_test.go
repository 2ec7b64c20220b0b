// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Ten thousand mounts work.
func TestManyMounts(t *testing.T) {
	needNamespaces(t)
	if testing.Short() {
		t.Skip("-short")
	}
	spec := captured(t, "lab1")
	spec.Mounts = append(spec.Mounts, tmpfs("/m"))
	for i := range 10000 {
		spec.Mounts = append(spec.Mounts, tmpfs(fmt.Sprintf("/m/%d", i), "ro", "size=4k"))
	}
	out, err := run(t, allNamespaces, order{Spec: spec, Bundle: bundle(t), Facts: facts(allNamespaces), Script: "grep -c ' /m/' /proc/self/mountinfo"})
	if err != nil || !strings.Contains(out, "10000") {
		t.Errorf("%v: %s", err, out)
	}
}

// An id-mapped mount shows the files of one id as another's; real root only.
func TestIDMappedMounts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	needNamespaces(t)
	dir := bundle(t)
	mkVol(t, dir)
	// Root of the container is none of the host's here.
	if err := os.MkdirAll(dir+"/rootfs/vol", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		flags   uintptr
		options []string
		want    string
	}{
		{hostRootNamespaces, []string{"idmap=uids=0-4000-10;gids=0-5000-10"}, "4000 5000"},
		{hostRootNamespaces, []string{"ridmap=uids=0-4000-10#10-1-5;gids=0-5000-10", "ro"}, "4000 5000"},
		{allNamespaces, []string{"idmap=uids=0-100001-1;gids=@0-2-1"}, "1 2"},
		{allNamespaces, []string{"idmap"}, "0 0"},
	} {
		spec, f := captured(t, "lab1"), facts(c.flags)
		if f.UserNamespace {
			f.MappedUIDs, f.MappedGIDs = []Map{{0, 100000, 65536}}, []Map{{0, 100000, 65536}}
		}
		spec.Mounts = append(spec.Mounts, bindMount(dir+"/vol", "/vol", c.options...))
		out, err := run(t, c.flags, order{Spec: spec, Bundle: dir, Facts: f, Script: "stat -c '%u %g' /vol/file"})
		if err != nil || !strings.Contains(out, c.want) {
			t.Errorf("%q: %v: %s", c.options, err, out)
		}
	}
}

// Real root's container in a user namespace gets volumes that it could not reach by itself.
func TestSourceBehindClosedDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	needNamespaces(t)
	dir := bundle(t)
	mkVol(t, dir)
	for _, d := range []string{dir + "/rootfs/vol", dir + "/closed/vol/sub"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/closed/vol/file", []byte("content\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o755, dir + "/closed": 0o700} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	spec, f := captured(t, "lab1"), facts(allNamespaces)
	f.MappedUIDs, f.MappedGIDs = []Map{{0, 100000, 65536}}, []Map{{0, 100000, 65536}}
	spec.Mounts = append(spec.Mounts, bindMount(dir+"/closed/vol", "/vol", "ro", "nosuid"))
	out, err := run(t, allNamespaces, order{Spec: spec, Bundle: dir, Facts: f, Script: "cat /vol/file; grep /vol /proc/self/mountinfo"})
	if err != nil || !strings.Contains(out, "content") || !strings.Contains(out, " /vol ro,nosuid") || strings.Contains(out, "shared:") {
		t.Errorf("%v: %s", err, out)
	}
}

// What the parent opens for a container in a user namespace never is the peer of a mount of the host.
func TestParentGivesNoPeers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	if !outer(t) {
		inOuterAs(t, "-mpf", t.Name(), "mount --make-rshared /")
		return
	}
	dir := bundle(t)
	mkVol(t, dir)
	for option, want := range map[string]string{"rprivate": "", "": "", "rslave": "master:", "rshared": "shared:"} {
		spec, f := captured(t, "lab1"), facts(allNamespaces)
		f.Privileged = true
		spec.Mounts = append(spec.Mounts, bindMount(dir+"/vol", "/vol", option))
		out, err := run(t, allNamespaces, order{Spec: spec, Bundle: dir, Facts: f, Script: "mkdir -p /vol/sub; mount -t tmpfs leak /vol/sub; grep ' /vol ' /proc/self/mountinfo"})
		if err != nil || !strings.Contains(out, want) || want == "" && (strings.Contains(out, "shared:") || strings.Contains(out, "master:")) {
			t.Errorf("%q: %v: %s", option, err, out)
		}
		if text, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(text), " leak ") {
			t.Errorf("%q: the container has mounted something on the host", option)
			unix.Unmount(dir+"/vol/sub", unix.MNT_DETACH)
		}
	}
}

// A root whose /dev is swapped while its tmpfs is mounted there gets no devices.
func TestSwappedDev(t *testing.T) {
	needNamespaces(t)
	dir := bundle(t)
	at := dir + "/rootfs/"
	if err := os.Mkdir(at+"other", 0o755); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan bool), make(chan bool)
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				unix.Renameat2(unix.AT_FDCWD, at+"dev", unix.AT_FDCWD, at+"other", unix.RENAME_EXCHANGE)
			}
		}
	}()
	refused := 0
	for range 20 {
		if _, err := run(t, allNamespaces, order{Spec: captured(t, "lab1"), Bundle: dir, Facts: facts(allNamespaces), Script: "true"}); err != nil {
			refused++
		}
	}
	close(stop)
	<-done
	t.Logf("%d of 20 were refused", refused)
	for _, d := range []string{"dev", "other"} {
		if entries, err := os.ReadDir(at + d); err != nil || len(entries) != 0 {
			t.Errorf("%s has %v %v", d, entries, err)
		}
	}
}

// Whatever another container does to a shared volume meanwhile, nothing is made or mounted outside
// of the root (CVE-2021-30465, CVE-2024-45310).
func TestSwappedMountPoint(t *testing.T) {
	needNamespaces(t)
	dir, victim := bundle(t), t.TempDir()
	at := dir + "/rootfs/vol/"
	if err := os.MkdirAll(at+"x", 0o755); err != nil {
		t.Fatal(err)
	}
	link(t, "../../../../../.."+victim, at+"y")
	if err := os.MkdirAll(dir+"/rootfs"+victim, 0o755); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan bool), make(chan bool)
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				unix.Renameat2(unix.AT_FDCWD, at+"x", unix.AT_FDCWD, at+"y", unix.RENAME_EXCHANGE)
			}
		}
	}()
	spec := captured(t, "lab1")
	for i := range 200 {
		spec.Mounts = append(spec.Mounts, tmpfs(fmt.Sprintf("/vol/x/%d", i)), tmpfs("/vol/x"))
	}
	worked := 0
	for range 5 {
		out, err := run(t, allNamespaces, order{Spec: spec, Bundle: dir, Facts: facts(allNamespaces), Hook: "! grep -q ' " + victim + "' /proc/self/mountinfo", Script: "true"})
		if strings.Contains(out, "hook") {
			t.Errorf("%v: %s", err, out)
		}
		if err == nil {
			worked++
		}
	}
	close(stop)
	<-done
	if worked == 0 {
		t.Error("none was made")
	}
	if entries, err := os.ReadDir(victim); err != nil || len(entries) != 0 {
		t.Errorf("the victim has %v %v", entries, err)
	}
}
