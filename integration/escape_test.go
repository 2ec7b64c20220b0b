// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The tests of this file are ways out of a container that worked on some runtime. With $MYCR_PEERS they run on
// others too; which of Debian 12's (crun 1.8.1, runc 1.1.5) was seen failing is said at each.

func eachRuntime(t *testing.T, test func(t *testing.T, b *box)) {
	needBinary(t)
	for _, r := range runtimes {
		t.Run(r.name, func(t *testing.T) { test(t, newBox(t, r)) })
	}
}

// hookScript writes an executable script that a hook runs with the root file system's path as $R.
func (b *box) hookScript(rootfs, lines string) edit {
	path := b.path("hook")
	text := "#!/bin/sh\nR='" + rootfs + "'\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n" + lines + "\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		b.t.Fatal(err)
	}
	return set("hooks.createContainer", []any{map[string]any{"path": path}})
}

func listing(dir string) string {
	var names []string
	filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		names = append(names, path)
		return nil
	})
	return strings.Join(names, "\n")
}

// CVE-2025-52881: a sysctl is written through a path that a mount in /proc has redirected, here from a hook that runs
// between the mount of /proc and the write. Seen failing: runc (the file is written), crun (the write is left out silently).
func TestSysctlIsNotRedirected(t *testing.T) {
	eachRuntime(t, func(t *testing.T, b *box) {
		fake := b.path("fake")
		os.WriteFile(fake, []byte("untouched\n"), 0o666)
		dir := b.bundle("b", namespace("network", ""), set("linux.sysctl", map[string]any{"net.ipv4.ip_forward": "1"}))
		editConfig(dir, b.hookScript(dir+"/rootfs", "mount --bind "+fake+" $R/proc/sys/net/ipv4/ip_forward"))
		b.snapshot()
		r := b.run("run", "-b", dir, "c1")
		if text, _ := os.ReadFile(fake); string(text) != "untouched\n" {
			t.Errorf("the file over the sysctl was written: %q", text)
		}
		if r.status == 0 {
			t.Errorf("went on without the sysctl: %v", r)
		}
		b.nothingLeft()
	})
}

func TestSysctlIsNotAnotherOne(t *testing.T) {
	eachRuntime(t, func(t *testing.T, b *box) {
		dir := b.bundle("b", set("linux.sysctl", map[string]any{"kernel.domainname": "EVIL"}), args("hostname"))
		editConfig(dir, b.hookScript(dir+"/rootfs", "mount --bind $R/proc/sys/kernel/hostname $R/proc/sys/kernel/domainname"))
		b.snapshot()
		if r := b.run("run", "-b", dir, "c1"); strings.Contains(r.stdout, "EVIL") {
			t.Errorf("kernel.domainname was written to the hostname: %v", r)
		}
		b.nothingLeft()
	})
}

// CVE-2025-31133: /dev/null is exchanged for a link before maskedPaths bind it. No peer was seen failing; a build
// that masks with a path opened after the hooks fails it.
func TestMaskIsNotALink(t *testing.T) {
	eachRuntime(t, func(t *testing.T, b *box) {
		dir := b.bundle("b", set("linux.maskedPaths", []string{"/proc/kcore"}),
			sh("echo EVIL >/proc/kcore; cat /proc/sys/kernel/domainname; wc -c </proc/kcore"))
		editConfig(dir, b.hookScript(dir+"/rootfs", "umount $R/dev/null; rm -f $R/dev/null; ln -s /proc/sys/kernel/domainname $R/dev/null"))
		b.snapshot()
		r := b.run("run", "-b", dir, "c1")
		if strings.Contains(r.stdout, "EVIL") {
			t.Errorf("the mask is a file of /proc that can be written: %v", r)
		}
		if r.status == 0 && !strings.HasSuffix(r.stdout, "\n0\n") {
			t.Errorf("not masked: %v", r)
		}
		b.nothingLeft()
	})
}

// CVE-2025-52565: /dev/console is bound through a link. Seen failing: crun as a user (a file is
// made), runc as root (devpts is mounted there).
func TestConsoleIsNotALink(t *testing.T) {
	eachRuntime(t, func(t *testing.T, b *box) {
		dir := b.bundle("b", set("process.terminal", true), sh("cat /proc/self/mountinfo >/tmp/mounts; sleep 300"),
			set("mounts", []any{map[string]any{"destination": "/proc", "type": "proc", "source": "proc"}}))
		outside := b.path("else")
		os.Symlink(outside, dir+"/rootfs/dev/console")
		console := receiveConsole(t, b.path("console"))
		r := b.run("create", "-b", dir, "--console-socket", b.path("console"), "c1")
		if _, err := os.Lstat(outside); err == nil {
			t.Error("made a file outside")
		}
		if r.status == 0 {
			<-console
			b.must("start", "c1")
			mounts := awaitFile(t, dir+"/rootfs/tmp/mounts")
			if strings.Contains(mounts, "/else ") {
				t.Errorf("the console is mounted where the link leads: %s", mounts)
			}
		}
		b.run("delete", "--force", "c1")
	})
}

// CVE-2026-41579, CVE-2026-47766: /dev is a link to a directory of the host, where the default devices are then
// made. Seen failing: crun, runc.
func TestDevIsNotALink(t *testing.T) {
	eachRuntime(t, func(t *testing.T, b *box) {
		victim := b.path("victim")
		os.Mkdir(victim, 0o755)
		os.WriteFile(victim+"/ptmx", []byte("mine"), 0o644)
		before := listing(victim)
		dir := b.bundle("b", set("mounts", []any{map[string]any{"destination": "/proc", "type": "proc", "source": "proc"}}))
		os.Remove(dir + "/rootfs/dev")
		os.Symlink(victim, dir+"/rootfs/dev")
		r := b.run("run", "-b", dir, "c1")
		if after := listing(victim); after != before {
			t.Errorf("made in a directory of the host: %s; %v", after, r)
		}
		if text, _ := os.ReadFile(victim + "/ptmx"); string(text) != "mine" {
			t.Errorf("a file of the host was replaced")
		}
	})
}

// A mount destination that a link leads out of the root file system stays in it or is refused.
func TestMountStaysInRootfs(t *testing.T) {
	eachRuntime(t, func(t *testing.T, b *box) {
		victim := b.path("victim")
		os.Mkdir(victim, 0o755)
		for i, link := range []string{victim, "/../../../../../.." + victim, "../../../../../../../.." + victim, "/proc/self/root" + victim, "/proc/1/cwd"} {
			dir := b.bundle(fmt.Sprint("b", i), mount("/lnk/x", "tmpfs", "t"), sh("grep -c victim/x /proc/self/mountinfo; touch /lnk/x/f"))
			os.Symlink(link, dir+"/rootfs/lnk")
			b.run("run", "-b", dir, fmt.Sprint("c", i))
			if got := listing(victim); got != victim {
				t.Errorf("link %s: made on the host: %s", link, got)
			}
		}
	})
}

// CVE-2019-16884 and its kin: /proc is not a proc file system, so that what is written there goes elsewhere.
// Seen failing: crun (directory over /proc).
func TestProcIsProc(t *testing.T) {
	eachRuntime(t, func(t *testing.T, b *box) {
		for i, edits := range [][]edit{
			{mount("/proc", "bind", b.dir, "bind")},
			{mount("/proc/self/attr/exec", "bind", "/etc/hostname", "bind")},
		} {
			dir := b.bundle(fmt.Sprint("b", i), edits...)
			if r := b.run("run", "-b", dir, "c1"); r.status == 0 {
				t.Errorf("%d: accepted", i)
			}
		}
		dir := b.bundle("link")
		os.Remove(dir + "/rootfs/proc")
		os.Symlink("/tmp", dir+"/rootfs/proc")
		if r := b.run("run", "-b", dir, "c1"); r.status == 0 {
			t.Error("proc mounted on a link")
		}
	})
}

// CVE-2022-24769 and its kin: nothing is inheritable that was not asked for. Debian's peers pass (runc 1.1.1 fails).
func TestExecHasNoInheritableCapabilities(t *testing.T) {
	eachRuntime(t, func(t *testing.T, b *box) {
		dir := b.bundle("b", args("sleep", "300"), set("process.capabilities", map[string]any{}))
		b.must("create", "-b", dir, "c1")
		b.must("start", "c1")
		r := b.must("exec", "--cap", "CAP_SYS_ADMIN", "c1", "grep", "^Cap", "/proc/self/status")
		if !strings.Contains(r.stdout, "CapInh:\t0000000000000000\n") || !strings.Contains(r.stdout, "CapEff:\t0000000000200000\n") {
			t.Errorf("exec --cap CAP_SYS_ADMIN has\n%s", r.stdout)
		}
		b.must("delete", "--force", "c1")
	})
}

// Where the host's cgroups are a read-only bind, exec gives as little as create what would make them writable.
func TestExecDoesNotOpenTheHostsCgroups(t *testing.T) {
	b := newBox(t)
	dir := b.bundle("b", args("sleep", "300"), withoutNamespace("cgroup"), set("process.capabilities", map[string]any{}),
		mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro", "nosuid", "noexec", "nodev"))
	b.must("create", "-b", dir, "c1")
	b.must("start", "c1")
	bound := b.must("exec", "c1", "grep", " /sys/fs/cgroup ", "/proc/self/mountinfo").stdout
	r := b.run("exec", "--cap", "CAP_SYS_ADMIN", "c1", "true")
	if situation == realRoot { // without a user namespace there is no such bind
		if r.status != 0 {
			t.Errorf("%+v, with\n%s", r, bound)
		}
	} else if r.status == 0 || !strings.Contains(r.stderr, "the host's cgroups") || !strings.Contains(r.stderr, `{"type": "cgroup"}`) {
		t.Errorf("%+v, with\n%s", r, bound)
	}
	b.must("exec", "c1", "true")
	b.must("delete", "--force", "c1")
}

// A process that joins with more power than the container's own does not get at devices that the rules deny: the kernel
// filters them, or where there is no cgroup for that, the power is refused.
func TestExecGetsNoDevices(t *testing.T) {
	if situation != realRoot {
		t.Skip("a user namespace has no devices of its own")
	}
	b := newBox(t)
	deny := set("linux.resources.devices", []any{map[string]any{"allow": false, "access": "rwm"}})
	b.must("run", "--detach", "-b", b.bundle("b", args("sleep", "300"), deny, capabilities()), "c1")
	const look = "mknod /tmp/mem c 1 1 && cat /tmp/mem" // /dev/mem
	for _, name := range []string{"CAP_MKNOD", "CAP_SYS_ADMIN"} {
		r := b.run("exec", "--cap", name, "c1", "sh", "-c", look)
		if r.status == 0 || !strings.Contains(r.stderr, "not permitted") && !strings.Contains(r.stderr, "linux.resources.devices") {
			t.Errorf("%s: %v", name, r)
		}
	}
	b.must("exec", "c1", "true")
	b.must("delete", "--force", "c1")
	b.must("run", "--detach", "-b", b.bundle("c", args("sleep", "300"), set("linux.resources", map[string]any{}), capabilities()), "c1")
	if r := b.must("exec", "--cap", "CAP_MKNOD", "c1", "sh", "-c", "mknod /tmp/null c 1 3 && cat /tmp/null"); r.stdout != "" {
		t.Error(r)
	}
	b.must("delete", "--force", "c1")
}

// CVE-2014-8989: with a single id nobody may drop a group that takes away. Shown by the kernel's own switch.
func TestSetgroupsIsDeniedWithASingleID(t *testing.T) {
	eachRuntime(t, func(t *testing.T, b *box) {
		if situation != ordinaryUser {
			t.Skip("about an unprivileged user's own mapping")
		}
		dir := b.bundle("b", append(oneID(), args("cat", "/proc/self/setgroups"))...)
		if r := b.must("run", "-b", dir, "c1"); r.stdout != "deny\n" {
			t.Errorf("setgroups: %s", r.stdout)
		}
	})
}

// CVE-2022-2989 and its kin: the caller's groups do not get in. Debian's peers pass.
func TestCallersGroupsStayOutside(t *testing.T) {
	eachRuntime(t, func(t *testing.T, b *box) {
		if situation != realRoot {
			t.Skip("only root can give the caller more groups")
		}
		dir := b.bundle("b", set("process.user.additionalGids", []int{29}), sh("grep ^Groups: /proc/self/status; sleep 300"))
		for _, verb := range [][]string{{"run", "-d", "-b", dir, "c1"}, {"exec", "c1", "grep", "^Groups:", "/proc/self/status"}} {
			cmd := b.command(verb...)
			words := append([]string{"--groups", "0,4,27"}, cmd.Args...)
			wrapped := exec.Command("setpriv", words...)
			wrapped.Env, wrapped.Dir = cmd.Env, cmd.Dir
			out, err := os.Create(b.path("out"))
			if err != nil {
				t.Fatal(err)
			}
			wrapped.Stdout = out
			b.wait(wrapped)
			out.Close()
			text := awaitFile(t, b.path("out"))
			if fields := strings.Fields(strings.TrimPrefix(text, "Groups:")); strings.Join(fields, " ") != "29" && strings.Join(fields, " ") != "0 29" {
				t.Errorf("%s: %q", verb[0], text)
			}
		}
		b.must("delete", "--force", "c1")
	})
}

// An exec'd process has the profile, capabilities and no_new_privs of the container. Seen failing: crun
// (no_new_privs).
func TestExecIsConfinedAsInit(t *testing.T) {
	eachRuntime(t, func(t *testing.T, b *box) {
		profile := map[string]any{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []any{map[string]any{"names": []string{"chroot"}, "action": "SCMP_ACT_ERRNO"}}}
		line := "grep -E '^(Cap|Seccomp:|NoNewPrivs|Uid|Gid|Groups)' /proc/self/status; cat /proc/self/attr/current 2>/dev/null; true"
		dir := b.bundle("b", set("linux.seccomp", profile), set("process.noNewPrivileges", true),
			capabilities("CAP_KILL"),
			sh("("+line+") >/tmp/init; sleep 300"))
		b.must("create", "-b", dir, "c1")
		b.must("start", "c1")
		own := awaitFile(t, dir+"/rootfs/tmp/init")
		r := b.must("exec", "c1", "sh", "-c", line)
		if r.stdout != own || !strings.Contains(own, "Seccomp:\t2") || !strings.Contains(own, "NoNewPrivs:\t1") {
			t.Errorf("init:\n%s\nexec:\n%s", own, r.stdout)
		}
		b.must("delete", "--force", "c1")
	})
}

// The caller's descriptors stay outside, of exec too. Debian's peers pass.
func TestDescriptorsStayOutside(t *testing.T) {
	eachRuntime(t, func(t *testing.T, b *box) {
		dir := b.bundle("b", args("sleep", "300"))
		b.must("create", "-b", dir, "c1")
		b.must("start", "c1")
		for _, verb := range [][]string{{"exec", "c1", "ls", "/proc/self/fd"}} {
			cmd := b.command(verb...)
			for range 12 {
				etc, err := os.Open("/etc")
				if err != nil {
					t.Fatal(err)
				}
				defer etc.Close()
				cmd.ExtraFiles = append(cmd.ExtraFiles, etc)
			}
			// 3 is the directory that ls reads.
			if r := b.wait(cmd); r.stdout != "0\n1\n2\n3\n" {
				t.Errorf("descriptors inside: %q", r.stdout)
			}
		}
		b.must("delete", "--force", "c1")
	})
}

// CVE-2024-21626: no descriptor of a directory of the host may be the working directory.
func TestWorkingDirectoryIsInside(t *testing.T) {
	eachRuntime(t, func(t *testing.T, b *box) {
		dir := b.bundle("b", args("sleep", "300"))
		b.must("create", "-b", dir, "c1")
		b.must("start", "c1")
		for fd := 3; fd < 16; fd++ {
			cwd := fmt.Sprintf("/proc/self/fd/%d", fd)
			// ls of what would be the host's, three levels up and at most seven.
			look := "for up in .. ../.. ../../.. ../../../..; do ls -d $up/etc/debian_version && echo OUT; done; true"
			if r := b.run("exec", "--cwd", cwd, "c1", "sh", "-c", look); strings.Contains(r.stdout, "OUT") {
				t.Errorf("exec --cwd %s: %v", cwd, r)
			}
			editConfig(dir, set("process.cwd", cwd), sh(look))
			if r := b.run("run", "-b", dir, fmt.Sprint("r", fd)); strings.Contains(r.stdout, "OUT") {
				t.Errorf("cwd %s: %v", cwd, r)
			}
		}
		b.must("delete", "--force", "c1")
	})
}

// An id is never a path. Seen failing: crun (delete -f ../victim removes the directory).
func TestIDIsNoPath(t *testing.T) {
	eachRuntime(t, func(t *testing.T, b *box) {
		b.must("list", "-q")
		for _, victim := range []string{b.path("run", "victim"), b.path("victim")} {
			os.Mkdir(victim, 0o755)
			os.WriteFile(victim+"/status", []byte("{}"), 0o644)
		}
		os.MkdirAll(b.path("run", b.runtime.name), 0o700)
		for _, id := range []string{"../victim", "../../victim", "..", ".", "a/../../victim", "../../../../etc", "/etc", ""} {
			for _, verb := range [][]string{{"delete", "-f"}, {"state"}, {"kill"}, {"start"}, {"delete"}} {
				r := b.run(append(verb, id)...)
				if r.status == 0 {
					t.Errorf("%s %q: %v", strings.Join(verb, " "), id, r)
				}
			}
		}
		for _, victim := range []string{b.path("run", "victim"), b.path("victim")} {
			if _, err := os.Stat(victim + "/status"); err != nil {
				t.Errorf("%s was removed", victim)
			}
		}
	})
}
