// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// hostRootNamespaces are those of real root's container without a user namespace.
const hostRootNamespaces = allNamespaces &^ unix.CLONE_NEWUSER

// situations are the namespaces that the tests run in here.
func situations(t *testing.T) map[string]uintptr {
	needNamespaces(t)
	s := map[string]uintptr{"user namespace": allNamespaces}
	if os.Geteuid() == 0 {
		s["real root"] = hostRootNamespaces
	}
	return s
}

// attack is an image, or a bundle, that tries to have something mounted elsewhere.
type attack struct {
	name  string
	image func(t *testing.T, root, victim string) // changes the root file system
	spec  func(spec *specs.Spec, victim string)
	hook  string // ROOT and VICTIM are replaced
	step  string
	want  string // in the error; "" for success
	out   string // in the output
}

func link(t *testing.T, target, name string) {
	t.Helper()
	os.RemoveAll(name)
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

func drop(destination string) func(*specs.Spec, string) {
	return func(spec *specs.Spec, _ string) { dropMounts(spec, destination) }
}

// dropMounts removes the mounts at and below a destination.
func dropMounts(spec *specs.Spec, destination string) {
	var keep []specs.Mount
	for _, m := range spec.Mounts {
		if m.Destination != destination && !strings.HasPrefix(m.Destination, destination+"/") {
			keep = append(keep, m)
		}
	}
	spec.Mounts = keep
}

func bindMount(source, destination string, options ...string) specs.Mount {
	return specs.Mount{Source: source, Destination: destination, Type: "bind", Options: append([]string{"rbind"}, options...)}
}

var attacks = []attack{
	{
		name:  "dev is a link to the host, CVE-2026-41579",
		image: func(t *testing.T, root, victim string) { link(t, victim, root+"/dev") },
		want:  `"/dev" must be mounted on ordinary directory`,
	},
	{
		name:  "dev is a link, and nothing is mounted on it",
		image: func(t *testing.T, root, victim string) { link(t, victim, root+"/dev") },
		spec:  drop("/dev"),
		want:  "devices must be made in an ordinary directory /dev",
	},
	{
		name:  "dev is a link within the root, and nothing is mounted on it",
		image: func(t *testing.T, root, _ string) { link(t, "/etc", root+"/dev") },
		spec:  drop("/dev"),
		want:  "devices must be made in an ordinary directory /dev",
	},
	{
		name:  "dev is a link within the root",
		image: func(t *testing.T, root, _ string) { link(t, "/etc", root+"/dev") },
		want:  `"/dev" must be mounted on ordinary directory`,
	},
	{
		name:  "proc is a link, CVE-2019-19921",
		image: func(t *testing.T, root, _ string) { link(t, "/tmp", root+"/proc") },
		want:  `"/proc" must be mounted on ordinary directory`,
	},
	{
		name:  "sys is a link",
		image: func(t *testing.T, root, _ string) { link(t, "/tmp", root+"/sys") },
		want:  `"/sys" must be mounted on ordinary directory`,
	},
	{
		name: "a directory is bound on /proc, CVE-2019-16884",
		spec: func(s *specs.Spec, victim string) { s.Mounts = append(s.Mounts, bindMount(victim, "/proc")) },
		want: "only a procfs may be mounted on /proc",
	},
	{
		name: "a tmpfs on /proc",
		spec: func(s *specs.Spec, _ string) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/proc", Type: "tmpfs", Source: "tmpfs"})
		},
		want: "only a procfs may be mounted on /proc",
	},
	{
		name: "a file is bound on an attribute",
		spec: func(s *specs.Spec, victim string) {
			s.Mounts = append(s.Mounts, bindMount(victim+"/file", "/proc/self/attr/exec"))
		},
		want: "cannot be mounted because it is inside /proc",
	},
	{
		name:  "a link leads a bind mount into /proc",
		image: func(t *testing.T, root, _ string) { link(t, "/proc/sys", root+"/lnk") },
		spec:  func(s *specs.Spec, victim string) { s.Mounts = append(s.Mounts, bindMount(victim, "/lnk/kernel")) },
		want:  "because that is inside /proc",
	},
	{
		name:  "a link leads a tmpfs into /proc",
		image: func(t *testing.T, root, _ string) { link(t, "/proc", root+"/lnk") },
		spec: func(s *specs.Spec, _ string) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/lnk/sys", Type: "tmpfs", Source: "tmpfs"})
		},
		want: "because that is inside /proc",
	},
	{
		name: "a few files of /proc may be covered",
		spec: func(s *specs.Spec, victim string) {
			s.Mounts = append(s.Mounts, bindMount(victim+"/file", "/proc/uptime"))
		},
		out: "marker",
	},
	{
		name:  "a link leads a mount out of the root",
		image: func(t *testing.T, root, victim string) { link(t, "/../../../../../.."+victim, root+"/lnk") },
		spec: func(s *specs.Spec, _ string) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/lnk/x", Type: "tmpfs", Source: "inside"})
		},
		out: "inside", // made below the root
	},
	{
		name: "a link leads a mount out of the root, where there is such a directory inside",
		image: func(t *testing.T, root, victim string) {
			link(t, "/../../../../../.."+victim, root+"/lnk")
			if err := os.MkdirAll(root+victim, 0o755); err != nil {
				t.Fatal(err)
			}
		},
		spec: func(s *specs.Spec, _ string) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/lnk/x", Type: "tmpfs", Source: "inside"})
		},
		out: "inside",
	},
	{
		name:  "console is a link, CVE-2025-52565",
		image: func(t *testing.T, root, victim string) { link(t, victim+"/else", root+"/dev/console") },
		spec: func(s *specs.Spec, _ string) {
			s.Mounts = append(s.Mounts[:1:1], specs.Mount{Destination: "/dev/pts", Type: "devpts", Options: []string{"newinstance", "ptmxmode=0666"}})
		},
		step: "terminal",
		want: "/dev/console: it is neither a file nor a device",
	},
	{
		name: "the console is a terminal",
		step: "terminal",
		out:  "136",
	},
	{
		name: "null is swapped for a link before it masks, CVE-2025-31133",
		hook: "rm -f ROOT/dev/null || umount ROOT/dev/null; rm -f ROOT/dev/null; ln -s /proc/sys/kernel/domainname ROOT/dev/null",
		want: "the container's /dev/null is invalid",
	},
	{
		name: "null is swapped for a file before it masks",
		hook: "umount ROOT/dev/null 2>/dev/null || true; rm -f ROOT/dev/null; echo x >ROOT/dev/null",
		want: "the container's /dev/null is invalid",
	},
	{
		name: "null is missing when it is to mask",
		hook: "umount ROOT/dev/null 2>/dev/null || true; rm -f ROOT/dev/null",
		want: "the container's /dev/null is invalid",
	},
	{
		name: "a file is mounted over a sysctl, CVE-2025-52881",
		hook: "mount --bind VICTIM/file ROOT/proc/sys/net/ipv4/ip_forward",
		step: "sysctl",
		want: "something is mounted over it",
	},
	{
		name: "another file system is mounted over /proc by a hook",
		hook: "mount -t tmpfs tmpfs ROOT/proc",
		want: "not a procfs any more",
	},
	{
		name: "a sysctl is written",
		step: "sysctl",
		out:  "forward=1",
	},
	{
		name:  "null of the image is a file with contents",
		image: func(t *testing.T, root, _ string) { os.WriteFile(root+"/dev/null", []byte("x"), 0o644) },
		spec:  drop("/dev"),
		want:  "a file that is not the device c 1:3 is there",
	},
	{
		name:  "null of the image is a link",
		image: func(t *testing.T, root, victim string) { link(t, victim+"/file", root+"/dev/null") },
		spec:  drop("/dev"),
		want:  "a file that is not the device c 1:3 is there",
	},
	{
		name:  "a masked path is a link",
		image: func(t *testing.T, root, victim string) { link(t, victim, root+"/etc/lnk") },
		spec: func(s *specs.Spec, victim string) {
			s.Linux.MaskedPaths = append(s.Linux.MaskedPaths, "/etc/lnk", "/etc/lnk/file")
		},
	},
}

func TestAttacks(t *testing.T) {
	for where, flags := range situations(t) {
		for _, a := range attacks {
			t.Run(where+"/"+a.name, func(t *testing.T) { a.run(t, flags) })
		}
	}
}

func (a *attack) run(t *testing.T, flags uintptr) {
	dir, victim := bundle(t), t.TempDir()
	root := filepath.Join(dir, "rootfs")
	if err := os.WriteFile(victim+"/file", []byte("marker\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if a.image != nil {
		a.image(t, root, victim)
	}
	spec := captured(t, "runc")
	spec.Process.Terminal = a.step == "terminal"
	spec.Root.Readonly = false
	if a.spec != nil {
		a.spec(&spec, victim)
	}
	replace := strings.NewReplacer("ROOT", root, "VICTIM", victim)
	out, err := run(t, flags, order{
		Spec: spec, Bundle: dir, Facts: facts(flags), Hook: replace.Replace(a.hook), Go: a.step,
		Script: `cat /proc/uptime; echo forward=$(cat /proc/sys/net/ipv4/ip_forward); stat -c %t /dev/console 2>/dev/null; stat -c '%T %t' /dev/console; ls -l /dev/console; grep inside /proc/self/mountinfo; echo end`,
	})
	switch {
	case a.want != "" && (err == nil || !strings.Contains(out, a.want)):
		t.Errorf("want %q, have %v: %s", a.want, err, out)
	case a.want == "" && (err != nil || !strings.Contains(out, "end\n") || !strings.Contains(out, a.out)):
		t.Errorf("want success and %q, have %v: %s", a.out, err, out)
	}
	// Whatever happened, nothing changed outside of the root.
	entries, err := os.ReadDir(victim)
	if err != nil || len(entries) != 1 {
		t.Errorf("the victim has %v, %v", entries, err)
	}
	if text, _ := os.ReadFile(victim + "/file"); string(text) != "marker\n" {
		t.Errorf("the victim's file says %q", text)
	}
	if text, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(text), victim) {
		t.Errorf("something is mounted on the host")
	}
}
