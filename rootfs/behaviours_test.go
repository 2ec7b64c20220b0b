// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"fmt"
	"os"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// behaviour is a bundle and what is seen inside.
type behaviour struct {
	name    string
	prepare func(t *testing.T, dir string) // dir holds rootfs, and is the bundle
	spec    func(spec *specs.Spec, dir string)
	facts   func(*Facts)
	flags   func(uintptr) uintptr
	hook    string
	script  string
	want    []string // in the output
	never   []string // not in it
	fails   bool
	only    string // the situation
}

func tmpfs(destination string, options ...string) specs.Mount {
	return specs.Mount{Destination: destination, Type: "tmpfs", Source: "tmpfs", Options: options}
}

func add(mounts ...specs.Mount) func(*specs.Spec, string) {
	return func(s *specs.Spec, _ string) { s.Mounts = append(s.Mounts, mounts...) }
}

// vol binds DIR/vol of the bundle.
func vol(options ...string) func(*specs.Spec, string) {
	return func(s *specs.Spec, dir string) {
		s.Mounts = append(s.Mounts, bindMount(dir+"/vol", "/vol", options...))
	}
}

func mkVol(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir+"/vol/sub", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/vol/file", []byte("content\n"), 0o640); err != nil {
		t.Fatal(err)
	}
}

const showVol = `grep ' /vol' /proc/self/mountinfo; touch /vol/new && echo written; touch /vol/sub/new && echo deep; cat /vol/file`

var behaviours = []behaviour{
	{
		name:   "runc's default bundle",
		script: `cat /proc/self/mountinfo; ls -l /dev; echo x >/dev/null; head -c 4 /dev/zero | wc -c; ls /proc/acpi /sys/firmware; touch /x || touch /proc/sys/kernel/hostname || touch /sys/x || echo denied; df /dev/shm; stat -c %a /dev/shm /dev/pts/ptmx`,
		want: []string{"null", "zero", "ptmx -> pts/ptmx", "fd -> /proc/self/fd", "4\n", "denied", "shm", "1777", "666",
			" / ro,", "ro,nosuid,nodev,noexec,relatime - cgroup2", " / /sys ro,"},
	},
	{
		name: "masked and read-only paths",
		prepare: func(t *testing.T, dir string) {
			for _, d := range []string{"one", "two", "kept/sub"} {
				if err := os.MkdirAll(dir+"/rootfs/etc/"+d, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(dir+"/rootfs/etc/"+d+"/secret", []byte("secret\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		},
		spec: func(s *specs.Spec, _ string) {
			s.Root.Readonly = false
			s.Mounts = append(s.Mounts, tmpfs("/etc/kept/under"))
			s.Linux.MaskedPaths = []string{"/etc/one", "/etc/two", "/etc/kept/sub/secret", "/etc/nope", "/bin/busybox/nope"}
			s.Linux.ReadonlyPaths = []string{"/etc/kept", "/etc/nope"}
		},
		script: "ls /etc/one /etc/two; cat /etc/kept/sub/secret; touch /etc/one/x || touch /etc/kept/x || touch /etc/kept/under/x || echo denied; touch /etc/x && echo written",
		want:   []string{"denied", "written"}, never: []string{"secret\n"},
	},
	{
		name:   "a relative destination and a new mount point",
		spec:   add(tmpfs("a/b/../c", "size=1m")),
		script: "grep ' /a/c ' /proc/self/mountinfo",
		want:   []string{"size=1024k"},
	},
	{
		name: "a file as a mount point", prepare: mkVol,
		spec:   func(s *specs.Spec, _ string) { s.Mounts = append(s.Mounts, bindMount("vol/file", "/etc/new/file")) },
		script: "cat /etc/new/file",
		want:   []string{"content"},
	},
	{
		name: "a file is not bound on a directory", prepare: mkVol, fails: true,
		spec: func(s *specs.Spec, _ string) { s.Mounts = append(s.Mounts, bindMount("vol/file", "/etc")) },
		want: []string{"mounts[7] (bind of ", "not a directory"},
	},
	{
		name: "a source that is not there", fails: true, spec: vol(),
		want: []string{"mounts[7] (bind of ", "open the source: no such file or directory"},
	},
	{
		name: "an unknown file system", fails: true, spec: add(specs.Mount{Destination: "/x", Type: "nope"}),
		want: []string{"mounts[7] (nope on /x)", "no such device"},
	},
	{
		name: "an unknown option, in the kernel's words", fails: true, spec: add(tmpfs("/x", "nope")),
		want: []string{`mounts[7] (tmpfs on /x): option "nope": tmpfs: Unknown parameter 'nope': invalid argument`},
	},
	{name: "a writable bind", prepare: mkVol, spec: vol(), script: showVol, want: []string{"written", "deep", "content"}},
	{name: "a read-only bind", prepare: mkVol, spec: vol("ro"), script: showVol, want: []string{"content", " /vol ro,"}, never: []string{"written"}},
	{name: "ro,rw is rw", prepare: mkVol, spec: vol("ro", "rw"), script: showVol, want: []string{"written"}},
	{
		name: "a bind that is read-only deep down", prepare: mkVol, only: "real root",
		spec: func(s *specs.Spec, dir string) {
			// The first entry mounts below the source's copy in this namespace.
			s.Mounts = append(s.Mounts, bindMount(dir+"/vol", "/vol"), tmpfs("/vol/sub"), bindMount(dir+"/vol", "/other"))
			s.Mounts[len(s.Mounts)-1].Source = dir + "/rootfs/vol"
			s.Mounts[len(s.Mounts)-1].Options = []string{"rbind", "rro", "rnosuid"}
		},
		script: "touch /vol/sub/x && echo first; touch /other/sub/x && echo second; grep ' /other/sub ' /proc/self/mountinfo",
		want:   []string{"first", " /other/sub ro,nosuid"}, never: []string{"second"},
	},
	{name: "attributes of a bind", prepare: mkVol, spec: vol("nosuid", "nodev", "noexec", "nosymfollow"), script: showVol, want: []string{"nosuid,nodev,noexec", "nosymfollow"}},
	{
		name: "a tmpfs has the mode of its mount point",
		spec: add(tmpfs("/tmp"), tmpfs("/mnt/new", "mode=700"), tmpfs("/mnt/other")),
		prepare: func(t *testing.T, dir string) {
			if err := os.Chmod(dir+"/rootfs/tmp", 0o777|os.ModeSticky); err != nil {
				t.Fatal(err)
			}
		},
		script: "stat -c '%a %n' /tmp /mnt/new /mnt/other",
		want:   []string{"1777 /tmp", "700 /mnt/new", "755 /mnt/other"},
	},
	{
		name: "a read-only tmpfs with something in it",
		spec: add(tmpfs("/run", "ro"), tmpfs("/run/lock", "size=1m")), script: "touch /run/x || touch /run/lock/x && echo both; grep ' /run' /proc/self/mountinfo",
		want: []string{" /run ro,", "both", " /run/lock rw"},
	},
	{
		name: "a read-only /dev still has devices",
		spec: func(s *specs.Spec, _ string) { s.Mounts[1].Options = append(s.Mounts[1].Options, "ro") }, script: "touch /dev/x; echo x >/dev/null && echo fine; grep ' /dev ' /proc/self/mountinfo",
		want: []string{" /dev ro,", "fine"},
	},
	{
		name: "tmpcopyup",
		spec: add(tmpfs("/etc", "tmpcopyup", "mode=711")),
		prepare: func(t *testing.T, dir string) {
			etc := dir + "/rootfs/etc/"
			if err := os.MkdirAll(etc+"d/e", 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(etc+"d/f", []byte("copied\n"), 0o4751); err != nil {
				t.Fatal(err)
			}
			link(t, "d/f", etc+"l")
			if err := os.Chmod(etc+"d/f", 0o751|os.ModeSetuid); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mkfifo(etc+"p", 0o600); err != nil {
				t.Fatal(err)
			}
		},
		script: "cat /etc/l; stat -c '%a %n %F' /etc /etc/d /etc/d/e /etc/d/f /etc/p; touch /etc/new && echo made",
		want:   []string{"copied", "711 /etc", "750 /etc/d", "4751 /etc/d/f", "600 /etc/p fifo", "made"},
	},
	{
		name: "copy-symlink", spec: vol("copy-symlink"),
		prepare: func(t *testing.T, dir string) { link(t, "/etc/target", dir+"/vol") },
		script:  "readlink /vol", want: []string{"/etc/target"},
	},
	{name: "copy-symlink of a directory is a bind", prepare: mkVol, spec: vol("copy-symlink"), script: showVol, want: []string{"content"}},
	{
		name: "src-nofollow", spec: vol("src-nofollow"),
		prepare: func(t *testing.T, dir string) { link(t, "/etc/target", dir+"/vol") },
		script:  "readlink /vol", want: []string{"/etc/target"},
	},
	{
		name: "remount", spec: add(tmpfs("/x", "size=1m"), tmpfs("/x", "remount", "ro", "size=2m"), tmpfs("/y"), specs.Mount{Destination: "/y", Type: "bind", Options: []string{"bind", "remount", "nosuid"}}),
		script: "grep -E ' /[xy] ' /proc/self/mountinfo", want: []string{" /x ro,", "size=2048k", " /y rw,nosuid"},
	},
	{
		name: "remount of nothing", fails: true, spec: add(tmpfs("/tmp", "remount", "nosuid")), want: []string{"nothing is mounted there"},
	},
	{
		name: "iversion goes by mount(2)", spec: add(tmpfs("/x", "iversion", "size=1m", "nosuid", "rslave")), script: "grep ' /x ' /proc/self/mountinfo",
		want: []string{"nosuid", "size=1024k"},
	},
	{
		name: "a value that fsconfig does not take", fails: true, spec: add(tmpfs("/x", "huge="+strings.Repeat("n", 3000))),
		want: []string{"mounts[7] (tmpfs on /x): options", "invalid argument"},
	},
	{
		name: "overlay", prepare: func(t *testing.T, dir string) {
			mkVol(t, dir)
			for _, d := range []string{"upper", "work"} {
				if err := os.Mkdir(dir+"/"+d, 0o755); err != nil {
					t.Fatal(err)
				}
			}
		},
		spec: func(s *specs.Spec, dir string) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/vol", Type: "overlay", Source: "overlay", Options: []string{"lowerdir=" + dir + "/vol:" + dir + "/rootfs/etc", "upperdir=" + dir + "/upper", "workdir=" + dir + "/work"}})
		},
		script: showVol, want: []string{"written", "content", " - overlay"},
	},
	{
		name: "an overlay of many layers", prepare: func(t *testing.T, dir string) {
			mkVol(t, dir)
			for i := range 12 {
				if err := os.MkdirAll(fmt.Sprintf("%s/layer-with-a-rather-long-name-%d", dir, i), 0o755); err != nil {
					t.Fatal(err)
				}
			}
		},
		spec: func(s *specs.Spec, dir string) {
			lower := dir + "/vol"
			for i := range 12 {
				lower += fmt.Sprintf(":%s/layer-with-a-rather-long-name-%d", dir, i)
			}
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/vol", Type: "overlay", Source: "overlay", Options: []string{"lowerdir=" + lower, "ro", "nodev"}})
		},
		script: showVol, want: []string{"content", "ro,nodev"}, never: []string{"written"},
	},
	{
		name: "sysfs without an own network", flags: func(f uintptr) uintptr { return f &^ unix.CLONE_NEWNET },
		script: "grep ' /sys' /proc/self/mountinfo; mkdir /sys/fs/cgroup/x || echo denied; ls /sys/class/net",
		want:   []string{" /sys ro", "denied", "/sys/fs/cgroup ro,"}, only: "user namespace",
	},
	{
		name: "the host's cgroups are not below its sysfs, whatever is taken off", only: "user namespace",
		flags:  func(f uintptr) uintptr { return f &^ (unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP) },
		spec:   drop("/sys/fs/cgroup"),
		script: "while umount /sys/fs/cgroup; do :; done 2>/dev/null; mount -o remount,rw /sys; ls -a /sys/fs/cgroup /sys/fs/fuse; ls /sys/kernel/mm && echo seen",
		want:   []string{"seen"}, never: []string{"cgroup.procs\n", "memory\n", "connections\n"},
	},
	{
		name: "no cgroup namespace and the host's sysfs: no cgroups", only: "user namespace",
		flags:  func(f uintptr) uintptr { return f &^ (unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP) },
		spec:   drop("/sys/fs/cgroup"),
		script: "ls -a /sys/fs/cgroup; mkdir /sys/fs/cgroup/x || echo denied",
		want:   []string{"denied"}, never: []string{"cgroup.procs\n", "memory\n"},
	},
	{
		name: "no cgroup namespace: a cgroup mount is read-only whatever is asked", flags: func(f uintptr) uintptr { return f &^ unix.CLONE_NEWCGROUP },
		spec: func(s *specs.Spec, _ string) {
			s.Mounts[len(s.Mounts)-1].Options = []string{"nosuid", "rw"}
		},
		script: "mkdir /sys/fs/cgroup/x || echo denied; grep ' /sys/fs/cgroup ' /proc/self/mountinfo", want: []string{"denied", " /sys/fs/cgroup ro,"},
	},
	{
		name: "the container's own cgroup where the bundle says nothing", spec: drop("/sys/fs/cgroup"),
		script: "grep ' /sys/fs/cgroup ' /proc/self/mountinfo", want: []string{"ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup"},
	},
	{
		name: "no pid namespace: /proc is the caller's", flags: func(f uintptr) uintptr { return f &^ unix.CLONE_NEWPID }, only: "user namespace",
		script: "grep ' /proc ' /proc/self/mountinfo; echo $$", want: []string{" - proc proc", "NOTE mounts[0]"},
	},
	{
		name: "the words on /proc", facts: func(f *Facts) { f.Proc = "host" },
		script: "grep ' /proc ' /proc/self/mountinfo | head -n 1; echo", want: []string{" - proc proc"},
	},
	{
		name: "no /proc", facts: func(f *Facts) { f.Proc = "none" }, script: "ls /proc; echo none", want: []string{"none"}, never: []string{"cpuinfo"},
	},
	{
		name: "devices", only: "real root",
		spec: func(s *specs.Spec, _ string) {
			mode, uid := os.FileMode(0o640), uint32(7)
			s.Linux.Devices = []specs.LinuxDevice{
				{Path: "/dev/net/tun", Type: "c", Major: 10, Minor: 200, FileMode: &mode, UID: &uid},
				{Path: "/dev/null", Type: "c", Major: 1, Minor: 3, FileMode: &mode},
				{Path: "/pipe", Type: "p"}, {Path: "/dev/b", Type: "b", Major: 7, Minor: 1},
			}
		},
		script: "stat -c '%a %t:%T %u %n %F' /dev/net/tun /dev/null /pipe /dev/b",
		want:   []string{"640 a:c8 7 /dev/net/tun", "640 1:3 0 /dev/null", "666 0:0 0 /pipe fifo", "666 7:1 0 /dev/b block"},
	},
	{
		name: "devices of a user namespace", only: "user namespace",
		spec: func(s *specs.Spec, _ string) {
			s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/other", Type: "c", Major: 1, Minor: 9}, {Path: "/dev/zero", Type: "c", Major: 1, Minor: 5}, {Path: "/pipe", Type: "p"}}
		},
		fails: true, want: []string{"linux.devices[0] (/dev/other): the host has no node for c 1:9"},
	},
	{
		name: "a fifo and a known device of a user namespace", only: "user namespace",
		spec: func(s *specs.Spec, _ string) {
			s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/zero", Type: "c", Major: 1, Minor: 5}, {Path: "/pipe", Type: "p"}}
		},
		script: "stat -c '%t:%T %n %F' /dev/zero /pipe", want: []string{"1:5 /dev/zero", "/pipe fifo"},
	},
	{
		name: "the same root again, without a mount on /dev", spec: drop("/dev"),
		prepare: func(t *testing.T, dir string) {
			for _, f := range []string{"null", "zero", "tty"} {
				if os.Geteuid() == 0 {
					continue
				}
				if err := os.WriteFile(dir+"/rootfs/dev/"+f, nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			link(t, "/somewhere", dir+"/rootfs/dev/ptmx")
		},
		script: "echo x >/dev/null && readlink /dev/ptmx", want: []string{"pts/ptmx"},
	},
	{
		name: "a bound /dev", spec: func(s *specs.Spec, _ string) {
			dropMounts(s, "/dev")
			s.Mounts = append(s.Mounts, bindMount("/dev", "/dev", "rprivate"))
		},
		script: "echo x >/dev/null && ls -l /dev/ptmx; ls /dev | grep -c .", want: []string{"/dev/ptmx\n"}, never: []string{"pts/ptmx"},
	},
	{
		name: "a root that is not read-only", spec: func(s *specs.Spec, _ string) { s.Root.Readonly = false }, script: "touch /x && echo written", want: []string{"written"},
	},
	{
		name: "no root", spec: func(s *specs.Spec, _ string) { s.Root.Path = "nope" }, fails: true, want: []string{"root.path", "no such file or directory"},
	},
	{
		name: "a file as root", spec: func(s *specs.Spec, _ string) { s.Root.Path = "rootfs/bin/busybox" }, fails: true, want: []string{"root.path", "not a directory"},
	},
	{
		name: "no pivot", facts: func(f *Facts) { f.NoPivot = true }, script: "ls /; touch /x || echo denied; head -c 1 /proc/self/stat", want: []string{"bin", "denied"}, never: []string{"home"},
	},
	{
		name: "shared propagation", spec: func(s *specs.Spec, _ string) { s.Linux.RootfsPropagation = "shared" },
		script: "head -n 1 /proc/self/mountinfo", want: []string{"shared:"}, never: []string{"master:"},
	},
	{
		name: "unbindable", spec: func(s *specs.Spec, _ string) { s.Linux.RootfsPropagation = "runbindable" },
		script: "head -n 1 /proc/self/mountinfo", want: []string{"unbindable"},
	},
	{
		name: "shared mounts", spec: func(s *specs.Spec, _ string) {
			s.Mounts = append(s.Mounts, tmpfs("/x", "rshared"), tmpfs("/y", "rslave"), tmpfs("/z", "unbindable"))
		},
		script: "grep -E ' /[xyz] ' /proc/self/mountinfo", want: []string{"shared:", "unbindable"},
	},
	{
		name: "deep nesting", spec: func(s *specs.Spec, _ string) {
			at := ""
			for range 300 {
				at += "/n"
				s.Mounts = append(s.Mounts, tmpfs(at))
			}
		},
		script: "grep -c '/n ' /proc/self/mountinfo", want: []string{"300"},
	},
	{
		name: "a destination of 5000 bytes", fails: true, spec: add(tmpfs(strings.Repeat("/d", 2500))), want: []string{"file name too long"},
	},
	{
		name: "a component of 300 bytes", fails: true, spec: add(tmpfs("/" + strings.Repeat("d", 300))), want: []string{"file name too long"},
	},
	{
		name: "a loop of links", fails: true, spec: add(tmpfs("/loop/x")),
		prepare: func(t *testing.T, dir string) { link(t, "loop", dir+"/rootfs/loop") }, want: []string{"too many levels of symbolic links"},
	},
	{
		name: "a file in the way", fails: true, spec: add(tmpfs("/bin/busybox/x")), want: []string{"not a directory"},
	},
	{
		name: "the host's own root", only: "user namespace",
		spec: func(s *specs.Spec, _ string) {
			s.Root.Path, s.Root.Readonly = "/", true
			s.Mounts = append(s.Mounts, tmpfs("/mnt"), tmpfs("/mnt/new"))
		},
		script: "ls /bin/busybox; touch /x || touch /etc/x || touch /home/x || touch /run/x || echo denied; grep -c . /proc/self/mountinfo; touch /mnt/new/x && echo new; ls /dev",
		want:   []string{"/bin/busybox", "denied", "new", "ptmx"},
	},
	{
		name: "nothing is made in the host's own root", only: "user namespace", fails: true,
		spec: func(s *specs.Spec, dir string) {
			s.Root.Path, s.Root.Readonly = "/", false
			s.Mounts = append(s.Mounts, tmpfs(dir+"/not-there/x"))
		},
		want: []string{"mycr makes none on the host"},
	},
}
