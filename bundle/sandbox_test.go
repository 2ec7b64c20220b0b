// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func user(change func(*SandboxOptions)) SandboxOptions {
	o := SandboxOptions{
		Args: []string{"make"}, UID: 1000, GID: 100, CwdUID: 1000, CwdGID: 100, Cwd: "/home/u/src", Home: "/home/u",
		Environ: []string{"PATH=/bin", "HOME=/home/u", "AWS_SECRET_ACCESS_KEY=x", "SSH_AUTH_SOCK=/tmp/x", "LC_ALL=C", "TERM=xterm",
			"XDG_RUNTIME_DIR=/run/user/1000", "LD_PRELOAD=/x", "PWD=/elsewhere"},
		ResolvConf: "/run/systemd/resolve/stub-resolv.conf",
	}
	if change != nil {
		change(&o)
	}
	return o
}

func TestSandboxOfAnOrdinaryUser(t *testing.T) {
	spec, notes, err := Sandbox(user(nil))
	if err != nil || len(notes) > 0 {
		t.Fatal(notes, err)
	}
	p, l := spec.Process, spec.Linux
	if p.User.UID != 1000 || p.User.GID != 100 || !p.NoNewPrivileges || p.Cwd != "/home/u/src" || p.Terminal {
		t.Errorf("%+v", p)
	}
	if diff := cmp.Diff(&specs.LinuxCapabilities{}, p.Capabilities); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"PATH=/bin", "HOME=/home/u", "LC_ALL=C", "TERM=xterm", "PWD=/home/u/src"}, p.Env); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]specs.LinuxIDMapping{{ContainerID: 1000, HostID: 1000, Size: 1}}, l.UIDMappings); diff != "" {
		t.Error(diff)
	}
	for _, kind := range []specs.LinuxNamespaceType{"user", "mount", "pid", "ipc", "uts", "cgroup", "network"} {
		if n := namespaceOf(l.Namespaces, kind); n == nil || n.Path != "" {
			t.Errorf("no new %s namespace", kind)
		}
	}
	if spec.Root.Path != "/" || !spec.Root.Readonly || spec.Hostname != "" {
		t.Errorf("%+v", spec.Root)
	}
	if got := destinations(spec); got != "/proc /dev /dev/pts /dev/shm /dev/mqueue /tmp /run /home/u/src" {
		t.Error(got)
	}
	if m := find(spec, "/home/u/src"); m.Source != "/home/u/src" || !slices.Contains(m.Options, "rw") || !slices.Contains(m.Options, "nodev") {
		t.Errorf("%+v", m)
	}
	if !slices.Contains(l.MaskedPaths, "/sys/fs/cgroup") {
		t.Error("the host's cgroups are in sight")
	}
	for _, m := range spec.Mounts {
		if slices.ContainsFunc(m.Options, func(o string) bool { return strings.HasPrefix(o, "gid=") }) {
			t.Errorf("%s: a group that is not mapped", m.Destination)
		}
	}
}

func destinations(spec *specs.Spec) string {
	var list []string
	for _, m := range spec.Mounts {
		list = append(list, m.Destination)
	}
	return strings.Join(list, " ")
}

func find(spec *specs.Spec, destination string) specs.Mount {
	for _, m := range spec.Mounts {
		if m.Destination == destination {
			return m
		}
	}
	return specs.Mount{}
}

// Writable without a word is only a directory that is a project's.
func TestSandboxWorkingDirectory(t *testing.T) {
	for _, test := range []struct{ cwd, access, start, note string }{
		{"/home/u/src", "rw", "/home/u/src", ""},
		{"/tmp/build", "rw", "/tmp/build", ""},
		{"/run/user/1000/x", "rw", "/run/user/1000/x", ""},
		{"/var/lib/ci/workspace", "rw", "/var/lib/ci/workspace", ""},
		{"/srv/www", "rw", "/srv/www", ""},
		{"/home/user2", "rw", "/home/user2", ""}, // not a prefix of /home/u
		{"/usrlocal", "rw", "/usrlocal", ""},
		{"/", "", "/", "read-only, since it is the root of the host: --bind . to write there"},
		{"/home", "", "/home", "above your home directory"},
		{"/home/u", "", "/home/u", "your home directory"},
		{"/usr/src/x", "", "/usr/src/x", "a system directory"},
		{"/etc", "", "/etc", "a system directory"},
		{"/var", "", "/var", "a system directory"},
		{"/sys/fs", "", "/sys/fs", "a system directory"},
		{"/tmp", "", "/tmp", "the sandbox's own"},
		{"/run", "", "/run", "the sandbox's own"},
		{"/dev/shm", "", "/dev/shm", "the sandbox's own"},
		{"/dev/shm/x", "", "/", "the sandbox's own"},
		{"/proc/1", "", "/", "the sandbox's own"},
	} {
		spec, notes, err := Sandbox(user(func(o *SandboxOptions) { o.Cwd = test.cwd }))
		if err != nil {
			t.Errorf("%s: %v", test.cwd, err)
			continue
		}
		m := find(spec, test.cwd)
		bound := m.Type == "bind" && m.Source == test.cwd
		if bound != (test.access != "") || bound && !slices.Contains(m.Options, test.access) {
			t.Errorf("%s: %+v", test.cwd, m)
		}
		if spec.Process.Cwd != test.start {
			t.Errorf("%s: starts in %s", test.cwd, spec.Process.Cwd)
		}
		if text := strings.Join(notes, "\n"); (test.note == "") != (text == "") || !strings.Contains(text, test.note) {
			t.Errorf("%s: notes %q", test.cwd, text)
		}

		// the explicit word
		spec, notes, err = Sandbox(user(func(o *SandboxOptions) { o.Cwd, o.Bind = test.cwd, []string{"."} }))
		if strings.HasPrefix(test.cwd, "/proc/") { // nothing is mounted inside /proc
			if err == nil {
				t.Errorf("%s: bound", test.cwd)
			}
			continue
		}
		if err != nil || len(notes) > 0 || spec.Process.Cwd != test.cwd {
			t.Errorf("%s: --bind .: %v %v", test.cwd, notes, err)
			continue
		}
		if test.cwd == "/" {
			if spec.Root.Readonly {
				t.Error("--bind . of / has no effect")
			}
		} else if last := spec.Mounts[len(spec.Mounts)-1]; last.Source != test.cwd || !slices.Contains(last.Options, "rw") || !spec.Root.Readonly {
			t.Errorf("%s: --bind .: %+v", test.cwd, last)
		}
	}
}

// A home in /tmp is there, read-only, in spite of the private /tmp.
func TestSandboxHomeBelowTmp(t *testing.T) {
	spec, notes, err := Sandbox(user(func(o *SandboxOptions) { o.Home, o.Cwd = "/tmp/h", "/tmp/h" }))
	if err != nil || len(notes) != 1 || !slices.Contains(find(spec, "/tmp/h").Options, "rro") {
		t.Error(destinations(spec), notes, err)
	}
}

func TestSandboxOfRoot(t *testing.T) {
	for _, test := range []struct {
		real                     bool
		owner, group, uid, gid   uint32
		notes                    int
		callerUID, wantContainer uint32
	}{
		{true, 1000, 100, 1000, 100, 0, 0, 1000},
		{true, 1000, 0, 1000, nobody, 0, 0, 1000},
		{true, 0, 0, nobody, nobody, 1, 0, nobody},
		{true, 0, 5, nobody, nobody, 1, 0, nobody},
		{false, 1000, 100, 0, 0, 0, 0, 0}, // root of a user namespace is its owner outside
	} {
		spec, notes, err := Sandbox(user(func(o *SandboxOptions) {
			o.UID, o.GID, o.RealRoot, o.CwdUID, o.CwdGID = 0, 0, test.real, test.owner, test.group
		}))
		if err != nil || len(notes) != test.notes {
			t.Error(notes, err)
			continue
		}
		m, g := spec.Linux.UIDMappings[0], spec.Linux.GIDMappings[0]
		if m.HostID != test.uid || m.ContainerID != test.uid || g.HostID != test.gid || m.Size != 1 || spec.Process.User.UID != test.uid {
			t.Errorf("%+v: %+v %+v %+v", test, m, g, spec.Process.User)
		}
	}
}

// Root's command is somebody else's, who need not get to the working directory.
func TestSandboxOfRootInAClosedDirectory(t *testing.T) {
	for _, test := range []struct {
		above  Directory
		closed bool
	}{
		{Directory{"/root", 0, 0, 0o40700}, true},
		{Directory{"/root", 0, 0, 0o40711}, false},
		{Directory{"/root", 0, nobody, 0o40750}, false},
		{Directory{"/root", 0, nobody, 0o40705}, true},
		{Directory{"/root", nobody, 0, 0o40700}, false},
		{Directory{"/root", nobody, 0, 0o40077}, true},
	} {
		options := func(o *SandboxOptions) {
			o.UID, o.GID, o.RealRoot, o.CwdUID, o.CwdGID, o.Cwd = 0, 0, true, 0, 0, "/root/src"
			o.CwdAbove = []Directory{{"/", 0, 0, 0o40755}, test.above, {"/root/src", 0, 0, 0o40755}}
		}
		spec, notes, err := Sandbox(user(options))
		if err != nil || len(notes) != 1 || strings.Contains(notes[0], "go through /root,") != test.closed {
			t.Errorf("%+v: %q %v", test.above, notes, err)
			continue
		}
		if (spec.Process.Cwd == "/") != test.closed || strings.Contains(destinations(spec), "/root/src") == test.closed {
			t.Errorf("%+v: it starts in %s, with %s", test.above, spec.Process.Cwd, destinations(spec))
		}
		_, _, err = Sandbox(user(func(o *SandboxOptions) { options(o); o.Bind = []string{"."} }))
		if (err != nil) != test.closed {
			t.Errorf("%+v: --bind .: %v", test.above, err)
		}
	}
}

func TestSandboxFlags(t *testing.T) {
	spec, _, err := Sandbox(user(func(o *SandboxOptions) {
		o.Bind = []string{"/data:/mnt/d", "out"}
		o.RoBind = []string{"./src/.git:/home/u/src/.git", "/dev/fuse"}
		o.Tmpfs = []string{"/home/u/src/cache:size=64m,mode=700", "/var/cache"}
		o.Setenv = []string{"A=b=c", "SSH_AUTH_SOCK", "TERM=dumb"}
		o.Chdir, o.Hostname, o.Network, o.Terminal = "sub", "box", "host", true
		o.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActErrno}
	}))
	if err != nil {
		t.Fatal(err)
	}
	const want = "/proc /dev /dev/pts /dev/shm /dev/mqueue /tmp /run /run/systemd/resolve/stub-resolv.conf " +
		"/var/cache /dev/fuse /mnt/d /home/u/src /home/u/src/cache /home/u/src/.git /home/u/src/out"
	if got := destinations(spec); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if m := find(spec, "/home/u/src/cache"); !slices.Contains(m.Options, "size=67108864") || !slices.Contains(m.Options, "mode=700") {
		t.Errorf("%+v", m)
	}
	if slices.Contains(find(spec, "/dev/fuse").Options, "nodev") || !slices.Contains(find(spec, "/mnt/d").Options, "nodev") {
		t.Error("devices")
	}
	if m := find(spec, "/home/u/src/.git"); m.Source != "/home/u/src/src/.git" || !slices.Contains(m.Options, "rro") {
		t.Errorf("%+v", m)
	}
	p := spec.Process
	if p.Cwd != "/home/u/src/sub" || spec.Hostname != "box" || !p.Terminal || spec.Linux.Seccomp == nil {
		t.Errorf("%+v", p)
	}
	for _, e := range []string{"A=b=c", "SSH_AUTH_SOCK=/tmp/x", "TERM=dumb", "PWD=/home/u/src/sub"} {
		if !slices.Contains(p.Env, e) {
			t.Errorf("%s not in %q", e, p.Env)
		}
	}
	if namespaceOf(spec.Linux.Namespaces, specs.NetworkNamespace) != nil {
		t.Error("a network namespace")
	}
}

func TestSandboxProc(t *testing.T) {
	spec, _, err := Sandbox(user(func(o *SandboxOptions) { o.Proc = "host" }))
	if err != nil || find(spec, "/proc").Type != "" || !slices.Contains(spec.Linux.MaskedPaths, "/proc/kcore") {
		t.Error(err)
	}
	spec, _, err = Sandbox(user(func(o *SandboxOptions) { o.Proc = "none" }))
	if err != nil || find(spec, "/proc").Type != "" || !slices.Contains(spec.Linux.MaskedPaths, "/proc") || slices.Contains(spec.Linux.MaskedPaths, "/proc/kcore") {
		t.Error(err)
	}
}

func TestSandboxMakesNoMountPointOnTheHost(t *testing.T) {
	spec, _, err := Sandbox(user(func(o *SandboxOptions) { o.MissingDirectories = []string{"/run", "/dev"} }))
	if got := destinations(spec); err != nil || got != "/proc /tmp /home/u/src" {
		t.Error(got, err)
	}
}

func TestSandboxErrors(t *testing.T) {
	for _, test := range []struct {
		change func(*SandboxOptions)
		want   string
	}{
		{func(o *SandboxOptions) { o.Args = nil }, "no command given"},
		{func(o *SandboxOptions) { o.Proc = "x" }, `--proc "x"`},
		{func(o *SandboxOptions) { o.Cwd = "x" }, `the working directory "x"`},
		{func(o *SandboxOptions) { o.Bind = []string{":"} }, `--bind ":": not SRC[:DST]`},
		{func(o *SandboxOptions) { o.Bind = []string{"/a:b"} }, `--bind "/a:b": "b" is not an absolute path`},
		{func(o *SandboxOptions) { o.RoBind = []string{"/a:/b:ro"} }, `--ro-bind "/a:/b:ro": not SRC[:DST]`},
		{func(o *SandboxOptions) { o.Bind, o.RoBind = []string{"/a"}, []string{"/a"} }, `--bind "/a": there is a mount on "/a" already`},
		{func(o *SandboxOptions) { o.Bind = []string{"/a:/"} }, `"/a" cannot take the place of the root`},
		{func(o *SandboxOptions) { o.Tmpfs = []string{"/"} }, `--tmpfs "/": cannot take`},
		{func(o *SandboxOptions) { o.Tmpfs = []string{"/x:size=lots"} }, `"size=lots" is not a size`},
		{func(o *SandboxOptions) { o.Tmpfs = []string{"/x:frob"} }, `option "frob"`},
		{func(o *SandboxOptions) { o.Tmpfs = []string{"/x:mode=9"} }, `"mode=9" is not a mode`},
		{func(o *SandboxOptions) { o.Bind = []string{"/a:/proc/sys"} }, `inside /proc`},
		{func(o *SandboxOptions) { o.Setenv = []string{"=x"} }, `--setenv "=x"`},
		{func(o *SandboxOptions) { o.Setenv = []string{"NOTSET"} }, `--setenv "NOTSET": not set here`},
		{func(o *SandboxOptions) { o.Hostname = strings.Repeat("h", 65) }, "hostname: "},
	} {
		_, _, err := Sandbox(user(test.change))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got  %v\nwant %s", err, test.want)
			continue
		}
		oneLine(t, err)
	}
}

func TestFeatures(t *testing.T) {
	f := Features("1.2.3")
	if !slices.IsSorted(f.MountOptions) || !slices.Contains(f.MountOptions, "rro") || len(f.Linux.Capabilities) != 41 ||
		f.OCIVersionMin != "1.0.0" || f.OCIVersionMax != "1.3.0" || !slices.Contains(f.Linux.Namespaces, "user") ||
		!*f.Linux.MountExtensions.IDMap.Enabled || *f.Linux.Cgroup.V1 || *f.Linux.NetDevices.Enabled {
		t.Errorf("%+v", f)
	}
}
