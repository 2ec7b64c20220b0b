// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// elf makes the smallest ELF file with a loader.
func elf(class byte, machine uint16, loader string) []byte {
	b := make([]byte, 64+56)
	copy(b, "\x7fELF")
	b[4], b[5], b[6] = class, 1, 1
	le := binary.LittleEndian
	le.PutUint16(b[16:], 3)
	le.PutUint16(b[18:], machine)
	if class == 2 {
		le.PutUint64(b[32:], 64)
		le.PutUint16(b[54:], 56)
		le.PutUint16(b[56:], 1)
		le.PutUint32(b[64:], 3)
		le.PutUint64(b[64+8:], uint64(len(b)))
		le.PutUint64(b[64+32:], uint64(len(loader)+1))
	} else {
		le.PutUint32(b[28:], 64)
		le.PutUint16(b[42:], 32)
		le.PutUint16(b[44:], 1)
		le.PutUint32(b[64:], 3)
		le.PutUint32(b[64+4:], uint32(len(b)))
		le.PutUint32(b[64+16:], uint32(len(loader)+1))
	}
	return append(append(b, loader...), 0)
}

func TestExplain(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"bin", "lib", "d"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	here := machineHere()
	foreign := machine{183, 2, true}
	if here == foreign {
		foreign = machine{62, 2, true}
	}
	file := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	glibc := string(elf(here.class, here.number, "/lib64/ld-linux-x86-64.so.2"))
	file("lib/ld-musl-x86_64.so.1", "x", 0o755)
	file("bin/glibc", glibc, 0o755)
	file("bin/foreign", string(elf(foreign.class, foreign.number, "/x")), 0o755)
	file("bin/short", glibc[:40], 0o755)
	file("bin/cut", glibc[:100], 0o755)
	file("bin/loaded", string(elf(here.class, here.number, "/lib/ld-musl-x86_64.so.1")), 0o755)
	object := []byte(glibc)
	object[16] = 1
	file("bin/object", string(object), 0o755)
	file("bin/script", "#!/bin/nosh -e\nx", 0o755)
	file("bin/crlf", "#!/bin/sh\r\nx", 0o755)
	file("bin/crlf2", "#! /usr/bin/env bash\r\nx", 0o755)
	file("bin/nothing", "#! \nx", 0o755)
	file("bin/escape", "#!/bin/\x1b[31m\n", 0o755)
	file("bin/nested", "#!/bin/script\n", 0o755)
	file("bin/loop", "#!/bin/loop\n", 0o755)
	file("bin/bom", "\xef\xbb\xbf#!/bin/sh\n", 0o755)
	file("bin/empty", "", 0o755)
	file("bin/text", "echo hé\n", 0o755)
	file("bin/data", "\x00\x01\x02", 0o755)
	file("bin/mode", "x", 0o644)
	file("bin/root", "x", 0o700)
	os.Symlink("/bin/gone", filepath.Join(dir, "bin/link"))
	os.Symlink("/../../../bin/empty", filepath.Join(dir, "bin/inside"))
	os.Symlink("/bin/around", filepath.Join(dir, "bin/around"))
	if err := unix.Mkfifo(filepath.Join(dir, "bin/fifo"), 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, c := range []struct {
		path  string
		errno unix.Errno
		want  string
	}{
		{"/bin/glibc", unix.ENOENT, "/bin/glibc needs the loader /lib64/ld-linux-x86-64.so.2 (of glibc), which does not exist in the container: its C library is musl"},
		{"/bin/foreign", unix.ENOEXEC, "/bin/foreign is built for " + foreign.String() + ", this machine is " + here.String()},
		{"/bin/short", unix.ENOEXEC, "/bin/short is a truncated program"},
		{"/bin/cut", unix.ENOEXEC, "/bin/cut is a truncated program"},
		{"/bin/loaded", unix.ENOENT, ""},
		{"/bin/object", unix.ENOEXEC, "/bin/object is an object file, not a linked program"},
		{"/bin/script", unix.ENOENT, "/bin/script is a script whose interpreter /bin/nosh cannot be executed: /bin/nosh does not exist in the container"},
		{"/bin/nested", unix.ENOENT, "/bin/nested is a script whose interpreter /bin/script cannot be executed: /bin/script is a script whose interpreter /bin/nosh cannot be executed: /bin/nosh does not exist in the container"},
		{"/bin/crlf", unix.ENOENT, `/bin/crlf is a script with Windows line ends (CRLF): the kernel looks for an interpreter called "/bin/sh\r"`},
		{"/bin/crlf2", unix.ENOENT, "/bin/crlf2 is a script whose interpreter /usr/bin/env cannot be executed: /usr/bin/env does not exist in the container"},
		{"/bin/escape", unix.ENOENT, "/bin/escape is a script whose interpreter /bin/?[31m cannot be executed: /bin/?[31m does not exist in the container"},
		{"/bin/nothing", unix.ENOEXEC, "/bin/nothing has a #! line that names no interpreter"},
		{"/bin/loop", unix.ELOOP, ""},
		{"/bin/bom", unix.ENOEXEC, "/bin/bom is a script with a byte order mark before its #!, which the kernel does not recognise"},
		{"/bin/empty", unix.ENOEXEC, "/bin/empty is empty"},
		{"/bin/inside", unix.ENOEXEC, "/bin/inside is empty"},
		{"/bin/text", unix.ENOEXEC, "/bin/text is a text without a #! line that names its interpreter"},
		{"/bin/data", unix.ENOEXEC, "/bin/data is not in a format that this kernel executes"},
		{"/bin/mode", unix.EACCES, "/bin/mode has mode 0644, nobody may execute it (chmod +x)"},
		{"/bin/fifo", unix.EACCES, "/bin/fifo is not a regular file"},
		{"/d", unix.EACCES, "/d is a directory"},
		{"/bin/link", unix.ENOENT, "/bin/link is a symbolic link to /bin/gone, which does not exist in the container"},
		{"/bin/around", unix.ELOOP, "/bin/around leads through too many symbolic links"},
		{"/nope", unix.ENOENT, "/nope does not exist in the container"},
	} {
		if got := Explain(int(root.Fd()), c.path, c.errno); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.path, got, c.want)
		}
	}
	if got := Explain(int(root.Fd()), "/bin/root", unix.EACCES); !strings.Contains(got, "/bin/root has mode 0700, owner") {
		t.Errorf("/bin/root: %s", got)
	}
}

func TestExplainNoexec(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounts a tmpfs as root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOEXEC, ""); err != nil {
		t.Skip(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	if err := os.WriteFile(filepath.Join(dir, "x"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if got := Explain(int(root.Fd()), "/x", unix.EACCES); got != "/x is on a filesystem mounted noexec" {
		t.Error(got)
	}
}

func TestOwnProgramHasNothingToExplain(t *testing.T) {
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if got := explainELF(bytes.NewReader(text), machineHere(), func(string) bool { return true }); got != "" {
		t.Error(got)
	}
}

func FuzzExplainELF(f *testing.F) {
	f.Add(elf(2, 62, "/lib64/ld-linux-x86-64.so.2"))
	f.Add(elf(1, 3, "/lib/ld-linux.so.2"))
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := explainELF(bytes.NewReader(b), machine{62, 2, true}, func(string) bool { return false })
		if strings.ContainsAny(got, "\n\x00\x1b") || len(got) > 8192 {
			t.Fatalf("%q", got)
		}
	})
}

func FuzzInterpreter(f *testing.F) {
	f.Add([]byte("#!/bin/sh\r\n"))
	f.Fuzz(func(t *testing.T, head []byte) {
		head = append([]byte("#!"), head...)
		if name, _ := interpreterOf(head); strings.ContainsAny(name, " \t\n\x00") {
			t.Fatalf("%q", name)
		}
		isText(head)
	})
}

func TestLookup(t *testing.T) {
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "a"), 0o755)
	os.Mkdir(filepath.Join(dir, "b"), 0o755)
	os.Mkdir(filepath.Join(dir, "a", "dir"), 0o755)
	os.WriteFile(filepath.Join(dir, "a", "x"), nil, 0o644)
	os.WriteFile(filepath.Join(dir, "b", "x"), nil, 0o755)
	os.WriteFile(filepath.Join(dir, "a", "plain"), nil, 0o644)
	env := []string{"PATH=/nowhere:" + dir + "/a:" + dir + "/b"}
	for _, c := range []struct {
		arg0 string
		env  []string
		want string
	}{
		{"x", env, dir + "/b/x"},
		{dir + "/b/x", env, dir + "/b/x"},
		{"b/x", env, "b/x"},
		{"x", []string{"PATH=:" + dir + "/b"}, dir + "/b/x"},
		{"x", []string{"PATH=" + dir + "/b", "PATH=/nowhere"}, `exec: "x": executable file not found in $PATH`},
		{"", env, `exec: "": executable file not found in $PATH`},
		{"nosuch", env, `exec: "nosuch": executable file not found in $PATH`},
		{"nosuch", nil, `exec: "nosuch": executable file not found in $PATH`},
		{"plain", env, `exec: "plain": permission denied`},
		{"/nope", env, `exec: "/nope": stat /nope: no such file or directory`},
		{"/etc", env, `exec: "/etc": permission denied (it is a directory)`},
		{"dir", env, `exec: "dir": permission denied`},
		{"/etc/passwd/x", env, `exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory`},
	} {
		got, err := Lookup(c.arg0, c.env, dir)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q: got %s, want %s", c.arg0, got, c.want)
		}
	}
	if got, err := Lookup("sh", nil, "/"); err != nil || !strings.HasSuffix(got, "bin/sh") {
		t.Errorf("sh without PATH: %q, %v", got, err)
	}
}
