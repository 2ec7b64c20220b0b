// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// inOuter runs a test of this package again, below a shell command in namespaces of its own.
func inOuter(t *testing.T, test, before string) { inOuterAs(t, "-Urmpf", test, before) }

func inOuterAs(t *testing.T, flags, test, before string) {
	t.Helper()
	needNamespaces(t)
	cmd := exec.Command("unshare", flags, "--mount-proc", "sh", "-ec", before+"; exec \"$0\" -test.run '^"+test+"$' -test.v", "/proc/self/exe")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args[len(cmd.Args)-1] = exe
	cmd.Env = append(os.Environ(), "MYCR_ROOTFS_OUTER="+test)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func outer(t *testing.T) bool { return os.Getenv("MYCR_ROOTFS_OUTER") == t.Name() }

// nested gives the facts of a container within the user namespace of inOuter.
func nested(flags uintptr) Facts {
	f := facts(flags)
	f.UserNamespace = true
	return f
}

// A masked /proc outside makes the kernel refuse a new one: the error says which and what to do.
func TestMaskedOuterProc(t *testing.T) {
	if !outer(t) {
		inOuter(t, t.Name(), "mount -t tmpfs none /proc/fs")
		return
	}
	spec := captured(t, "lab1")
	out, err := run(t, allNamespaces, order{Spec: spec, Bundle: bundle(t), Facts: facts(allNamespaces), Script: "true"})
	if err == nil || !strings.Contains(out, "mounts[0] (proc on /proc): this container masks /proc/fs") || !strings.Contains(out, "HINT use --proc=host") {
		t.Errorf("%v: %s", err, out)
	}
	f := facts(allNamespaces)
	f.Proc = "host"
	out, err = run(t, allNamespaces, order{Spec: spec, Bundle: bundle(t), Facts: f, Script: "ls /proc/fs && echo END"})
	if err != nil || !strings.Contains(out, "END") {
		t.Errorf("--proc host: %v: %s", err, out)
	}
}

// Attributes that a mount has brought into a user namespace stay; only taking one away by name
// is an error.
func TestLockedAttributes(t *testing.T) {
	if !outer(t) {
		inOuter(t, t.Name(), "mkdir -p /tmp/locked && mount -t tmpfs -o ro,nosuid,nodev,noatime none /tmp/locked")
		return
	}
	for _, c := range []struct{ options, want string }{
		{"", " /vol ro,nosuid,nodev,noatime"},
		{"nosuid", " /vol ro,nosuid,nodev,noatime"},
		{"ro,noexec", " /vol ro,nosuid,nodev,noexec,noatime"},
		{"exec", " /vol ro,nosuid,nodev,noatime"},
		{"rw", "the source is mounted ro, and a user namespace may not change that"},
		{"suid,dev", "the source is mounted nosuid,nodev, and"},
		{"relatime", "the source's access times are noatime"},
		{"rrw", "the source is mounted ro"},
	} {
		spec := captured(t, "lab1")
		spec.Mounts = append(spec.Mounts, bindMount("/tmp/locked", "/vol", strings.Split(c.options, ",")...))
		out, _ := run(t, allNamespaces, order{Spec: spec, Bundle: bundle(t), Facts: facts(allNamespaces), Script: "grep /vol /proc/self/mountinfo"})
		if !strings.Contains(out, c.want) {
			t.Errorf("%q: no %q in %s", c.options, c.want, out)
		}
	}
}

// A bind without its sub-mounts is impossible in a user namespace, and the error says what to say.
func TestBindWithSubMounts(t *testing.T) {
	if !outer(t) {
		inOuter(t, t.Name(), "mkdir -p /tmp/locked && mount -t tmpfs none /tmp/locked && mkdir /tmp/locked/sub && mount -t tmpfs none /tmp/locked/sub")
		return
	}
	spec := captured(t, "lab1")
	spec.Mounts = append(spec.Mounts, specs.Mount{Source: "/tmp/locked", Destination: "/vol", Options: []string{"bind"}})
	out, _ := run(t, allNamespaces, order{Spec: spec, Bundle: bundle(t), Facts: facts(allNamespaces)})
	if !strings.Contains(out, "HINT say rbind") {
		t.Errorf("%s", out)
	}
}

// root.readonly reaches what was mounted below the root before; runc and crun leave that writable.
func TestReadonlyRootHasReadonlySubMounts(t *testing.T) {
	if !outer(t) {
		inOuter(t, t.Name(), "true")
		return
	}
	dir := bundle(t)
	if err := unix.Mount("tmpfs", dir+"/rootfs/etc", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir+"/rootfs/etc", unix.MNT_DETACH)
	spec := captured(t, "lab1")
	out, _ := run(t, allNamespaces, order{Spec: spec, Bundle: dir, Facts: facts(allNamespaces), Script: "touch /etc/x || echo denied; mkdir /x || echo denied; echo END"})
	if strings.Count(out, "denied") != 2 || !strings.Contains(out, "END") {
		t.Errorf("%s", out)
	}
}

// What the bundle says about propagation is so for what the host mounts later.
func TestPropagationFromTheHost(t *testing.T) {
	if !outer(t) {
		inOuter(t, t.Name(), "true")
		return
	}
	for _, c := range []struct {
		rootfs, option string
		follows        bool
	}{
		{"", "", false}, {"", "rprivate", false}, {"", "rslave", true}, {"private", "rslave", true},
		{"rslave", "", true}, {"rslave", "rprivate", false}, {"slave", "", false},
	} {
		dir := bundle(t)
		volume := dir + "/shared"
		if err := os.MkdirAll(volume+"/sub", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("tmpfs", volume, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Unmount(volume, unix.MNT_DETACH) })
		if err := unix.Mount("", volume, "", unix.MS_SHARED, ""); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(volume+"/sub", 0o755); err != nil {
			t.Fatal(err)
		}
		spec := captured(t, "lab1")
		spec.Linux.RootfsPropagation = c.rootfs
		m := bindMount(volume, "/vol")
		if c.option != "" {
			m.Options = append(m.Options, c.option)
		}
		spec.Mounts = append(spec.Mounts, m)
		for _, flags := range []uintptr{allNamespaces, unix.CLONE_NEWNS | unix.CLONE_NEWPID} {
			// The container tells by one fifo that it is there, and hears by another that the host
			// has mounted something.
			for _, fifo := range []string{"/born", "/go"} {
				if err := unix.Mkfifo(volume+fifo, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			mounted := make(chan error, 1)
			go func() {
				_, err := os.ReadFile(volume + "/born")
				if err == nil {
					err = unix.Mount("late", volume+"/sub", "tmpfs", 0, "")
				}
				if err == nil {
					err = os.WriteFile(volume+"/go", []byte("there\n"), 0)
				}
				mounted <- err
			}()
			out, err := run(t, flags, order{Spec: spec, Bundle: dir, Facts: nested(flags), Script: "echo >/vol/born; read a </vol/go; grep late /proc/self/mountinfo; echo END"})
			if !strings.Contains(out, "END") {
				t.Fatalf("%v: %s", err, out) // the goroutine ends with the test
			}
			if err := <-mounted; err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(out, " late "); got != c.follows {
				t.Errorf("rootfsPropagation %q, option %q, flags %x: follows the host: %v: %s", c.rootfs, c.option, flags, got, out)
			}
			unix.Unmount(volume+"/sub", unix.MNT_DETACH)
			os.Remove(volume + "/go")
			os.Remove(volume + "/born")
		}
	}
}

// With shared propagation what the container mounts below a shared volume appears on the host, and
// nothing else does.
func TestSharedWithTheHost(t *testing.T) {
	if !outer(t) {
		inOuter(t, t.Name(), "true")
		return
	}
	dir, elsewhere := bundle(t), t.TempDir()
	for _, d := range []string{dir, dir + "/vol", elsewhere, elsewhere + "/sub"} {
		os.MkdirAll(d, 0o755)
		if err := unix.Mount(d, d, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("", d, "", unix.MS_SHARED, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Unmount(d, unix.MNT_DETACH) })
	}
	if err := os.Mkdir(dir+"/vol/sub", 0o755); err != nil {
		t.Fatal(err)
	}
	spec := captured(t, "lab1")
	spec.Linux.RootfsPropagation = "rshared"
	spec.Mounts = append(spec.Mounts, bindMount(dir+"/vol", "/vol", "rshared"), bindMount(dir+"/vol", "/other"))
	flags := uintptr(unix.CLONE_NEWNS | unix.CLONE_NEWPID)
	out, err := run(t, flags, order{Spec: spec, Bundle: dir, Facts: nested(flags), Script: "mount -t tmpfs mine /vol/sub; mount -t tmpfs other /other/sub; cat /proc/self/mountinfo; echo END"})
	if err != nil || !strings.Contains(out, "END") {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), " mine ") {
		t.Errorf("a mount below a shared volume is not on the host: %s", text)
	}
	for _, name := range []string{dir, dir + "/vol", elsewhere, elsewhere + "/sub"} {
		if !strings.Contains(string(text), " "+name+" ") {
			t.Errorf("the host has lost %s: %s", name, text)
		}
	}
	for _, word := range []string{" other ", "/rootfs"} {
		if strings.Contains(string(text), word) {
			t.Errorf("%q is on the host: %s", word, text)
		}
	}
}
