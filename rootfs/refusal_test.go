// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// What cannot be done as asked is refused before anything is made, by name.
func TestRefusals(t *testing.T) {
	one := func(m specs.Mount) func(*specs.Spec) {
		return func(s *specs.Spec) { s.Mounts = []specs.Mount{m} }
	}
	mode := os.FileMode(0o600)
	for _, c := range []struct {
		name   string
		change func(*specs.Spec)
		facts  func(*Facts)
		want   string
	}{
		{"no root", func(s *specs.Spec) { s.Root = nil }, nil, "root: missing"},
		{"empty root", func(s *specs.Spec) { s.Root.Path = "" }, nil, "root.path: empty"},
		{"NUL in root", func(s *specs.Spec) { s.Root.Path = "a\x00b" }, nil, "root.path"},
		{"no mount namespace", nil, func(f *Facts) { f.OwnMount = false }, "linux.namespaces"},
		{"no destination", one(specs.Mount{Type: "tmpfs"}), nil, "mounts[0]: destination: missing"},
		{"root as destination", one(specs.Mount{Type: "tmpfs", Destination: "/x/.."}), nil, `mounts[0]: destination: "/x/.." is the root itself`},
		{"NUL in destination", one(specs.Mount{Type: "tmpfs", Destination: "/a\x00b"}), nil, "NUL"},
		{"NUL in source", one(specs.Mount{Type: "tmpfs", Destination: "/a", Source: "\x00"}), nil, "NUL"},
		{"no type", one(specs.Mount{Destination: "/a"}), nil, "type: missing"},
		{"bind without source", one(specs.Mount{Type: "bind", Destination: "/a"}), nil, "source: missing"},
		{"unknown option of a bind", one(bindMount("/x", "/a", "nope")), nil, `mounts[0] (bind of /x on /a): options: "nope"`},
		{"unknown word beside a value", one(bindMount("/x", "/a", "mode=755", "nope")), nil, `options: "nope"`},
		{"super option of a bind", one(bindMount("/x", "/a", "sync")), nil, `"sync"`},
		{"tmpcopyup of a bind", one(bindMount("/x", "/a", "tmpcopyup")), nil, "tmpcopyup is for tmpfs"},
		{"tmpcopyup of a proc", one(specs.Mount{Type: "mqueue", Destination: "/a", Options: []string{"tmpcopyup"}}), nil, "tmpcopyup is for tmpfs"},
		{"copy-symlink of a tmpfs", one(specs.Mount{Type: "tmpfs", Destination: "/a", Options: []string{"copy-symlink"}}), nil, "for bind mounts"},
		{"remount without a change", one(specs.Mount{Type: "tmpfs", Destination: "/a", Options: []string{"remount"}}), nil, "nothing to change"},
		{"idmap of a tmpfs", one(specs.Mount{Type: "tmpfs", Destination: "/a", Options: []string{"idmap"}}), nil, "only a bind mount can be id-mapped"},
		{"idmap without a mapping", one(bindMount("/x", "/a", "idmap")), func(f *Facts) { f.NewUserNamespace = false }, "names no mapping"},
		{"idmap of a user", one(bindMount("/x", "/a", "idmap")), nil, "only real root has"},
		{"idmap of half a mapping", one(bindMount("/x", "/a", "idmap=uids=0-1-2")), nil, "given together"},
		{"idmap of no mapping", one(bindMount("/x", "/a", "idmap=uids=0-1;gids=0-1-1")), nil, "CONTAINER-HOST-SIZE"},
		{"idmap outside of the container", one(bindMount("/x", "/a", "idmap=uids=@0-5-1;gids=0-1-1")), nil, "not within one mapping"},
		{"one mapping field", func(s *specs.Spec) {
			m := bindMount("/x", "/a")
			m.UIDMappings = []specs.LinuxIDMapping{{Size: 1}}
			s.Mounts = []specs.Mount{m}
		}, nil, "given together"},
		{"inside /proc", one(bindMount("/x", "/proc/sys")), nil, "inside /proc"},
		{"tmpfs on a file of /proc", one(specs.Mount{Type: "tmpfs", Destination: "/proc/uptime"}), nil, "inside /proc"},
		{"dots into /proc", one(bindMount("/x", "/a/../proc/sys")), nil, "inside /proc"},
		{"foreign message queues", one(specs.Mount{Type: "mqueue", Destination: "/a"}), func(f *Facts) { f.OwnIPC = false }, "ipc namespace that is not its own"},
		{"private proc without pid namespace", nil, func(f *Facts) { f.OwnPID, f.Proc = false, "private" }, "--proc private"},
		{"unknown word on proc", nil, func(f *Facts) { f.Proc = "x" }, `--proc "x"`},
		{"propagation", func(s *specs.Spec) { s.Linux.RootfsPropagation = "x" }, nil, `linux.rootfsPropagation: "x"`},
		{"label without SELinux", func(s *specs.Spec) { s.Linux.MountLabel = "x" }, nil, "linux.mountLabel"},
		{"label type", func(s *specs.Spec) {
			s.Linux.MountLabel = "x"
			s.Annotations = map[string]string{"run.oci.mount_context_type": "nope"}
		}, func(f *Facts) { f.SELinux = true }, "run.oci.mount_context_type"},
		{"relative mask", func(s *specs.Spec) { s.Linux.MaskedPaths = []string{"a"} }, nil, "linux.maskedPaths[0]"},
		{"mask of all", func(s *specs.Spec) { s.Linux.MaskedPaths = []string{"/a/.."} }, nil, "linux.maskedPaths[0]"},
		{"relative read-only path", func(s *specs.Spec) { s.Linux.ReadonlyPaths = []string{""} }, nil, "linux.readonlyPaths[0]"},
		{"read-only root by path", func(s *specs.Spec) { s.Linux.ReadonlyPaths = []string{"/"} }, nil, "root.readonly"},
		{"device type", func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "z"}} }, nil, "linux.devices[0].type"},
		{"device path", func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Path: "dev/x", Type: "c"}} }, nil, "linux.devices[0].path"},
		{"device in /proc", func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Path: "/proc/x", Type: "c"}} }, nil, "linux.devices[0].path"},
		{"device number", func(s *specs.Spec) {
			s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "c", Major: -1, FileMode: &mode}}
		}, nil, "linux.devices[0].major"},
		{"device twice", func(s *specs.Spec) {
			s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "p"}, {Path: "/dev/y/../x", Type: "p"}}
		}, nil, "is linux.devices[0] already"},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec, f := captured(t, "runc"), rootless()
			if c.change != nil {
				c.change(&spec)
			}
			if c.facts != nil {
				c.facts(&f)
			}
			_, err := Resolve(&spec, "/bundle", f)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q, have %v", c.want, err)
			}
		})
	}
}

// Options with a value that only a file system could have, on a bind: mount(2) ignores them, and so the bundle runs.
func TestBindIgnoresValues(t *testing.T) {
	spec, facts := captured(t, "runc"), rootless()
	spec.Mounts = []specs.Mount{bindMount("/x", "/a", "mode=755", "nosuid", "size=1k")}
	plan, err := Resolve(&spec, "/bundle", facts)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`mounts[0].options: "mode=755" does nothing on a bind mount`, `mounts[0].options: "size=1k" does nothing on a bind mount`}
	if !slices.Equal(plan.Notes, want) {
		t.Errorf("notes are %q, want %q", plan.Notes, want)
	}
	i := slices.IndexFunc(plan.Mounts, func(m Mount) bool { return m.Destination == "/a" })
	if i < 0 || len(plan.Mounts[i].Params) != 0 || plan.Mounts[i].Kind != KindBind {
		t.Errorf("the mounts are %+v, want a bind on /a without parameters", plan.Mounts)
	}
}

// The host's cgroups are bound where there is no cgroup namespace, but not for a root that can make them writable.
func TestHostCgroupsAndSysAdmin(t *testing.T) {
	spec, f := captured(t, "runc"), rootless()
	f.OwnCgroup = false
	if _, err := Resolve(&spec, "/bundle", f); err != nil {
		t.Fatal(err)
	}
	f.SysAdmin = true
	_, err := Resolve(&spec, "/bundle", f)
	if err == nil || !strings.Contains(err.Error(), "a bind of the host's cgroups") {
		t.Errorf("%v", err)
	}
}

// A bind of the host's /sys is what it is in every spelling.
func TestHostSysSpellings(t *testing.T) {
	for _, source := range []string{"/sys", "/sys/", "//sys", "/sys/.", "/proc/../sys"} {
		spec := captured(t, "runc")
		spec.Mounts = []specs.Mount{bindMount(source, "/sys", "rw")}
		f := rootless()
		if !wantsHostSys(&spec, &f) {
			t.Errorf("%s: its directories are not looked for", source)
		}
		plan, err := Resolve(&spec, "/bundle", f)
		if err != nil {
			t.Fatal(err)
		}
		if m := plan.Mounts[0]; m.Kind != KindHostSys || m.TreeSet&unix.MOUNT_ATTR_RDONLY == 0 {
			t.Errorf("%s: %+v", source, m)
		}
	}
}

// A refusal can carry what to type, through any wrapping.
func TestRefusalHasHint(t *testing.T) {
	spec, f := captured(t, "runc"), rootless()
	f.OwnIPC = false
	_, err := Resolve(&spec, "/bundle", f)
	var hint interface{ Hint() string }
	if !errors.As(err, &hint) || !strings.Contains(hint.Hint(), `"ipc"`) {
		t.Errorf("%v", err)
	}
}
