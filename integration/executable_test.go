// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// CVE-2019-5736: the binary is written through /proc/PID/exe. It belongs to the caller here, as one in ~/bin does,
// and root of the container is that caller. Debian's peers pass; a build without the read-only copy fails.
func TestBinaryCannotBeOverwritten(t *testing.T) {
	eachRuntime(t, func(t *testing.T, b *box) {
		binary := b.path("runtime")
		if err := copyFile(b.runtime.path, binary, 0o755); err != nil {
			t.Fatal(err)
		}
		b.runtime.path = binary
		before := fileHash(t, binary)
		dir := b.bundle("b", args("/bin/probe", "overwrite", "/tmp/stop"),
			capabilities("CAP_DAC_OVERRIDE"))
		os.WriteFile(dir+"/rootfs/bin/self", []byte("#!/proc/self/exe\n"), 0o755)
		out, _ := os.Create(b.path("out"))
		cmd := b.command("run", "-b", dir, "c1")
		cmd.Stdout, cmd.Stderr = out, out
		if err := start(cmd); err != nil {
			t.Fatal(err)
		}
		awaitFile(t, b.path("out"))
		for range 15 {
			b.run("exec", "c1", "true")
			b.run("exec", "c1", "/proc/self/exe", "features")
			b.run("exec", "c1", "/bin/self", "features")
		}
		// The same as entry points, beside the one that tries.
		pid := b.state("c1").Pid
		for i, word := range []string{"/proc/self/exe", "/bin/self"} {
			other := b.bundle(fmt.Sprint("o", i), args(word, "features"), namespace("pid", fmt.Sprintf("/proc/%d/ns/pid", pid)))
			os.WriteFile(other+"/rootfs/bin/self", []byte("#!/proc/self/exe\n"), 0o755)
			for n := range 5 {
				b.run("run", "-b", other, fmt.Sprintf("o%d-%d", i, n))
			}
		}
		os.WriteFile(dir+"/rootfs/tmp/stop", []byte("x"), 0o644)
		finish(cmd)
		text, _ := os.ReadFile(b.path("out"))
		if strings.Contains(string(text), "WROTE") {
			t.Errorf("the executable was written: %s", text)
		}
		if fileHash(t, binary) != before {
			t.Error("the binary has changed")
		}
	})
}

// The executable of a container's first process, seen from outside, is on a read-only mount or a sealed memfd.
func TestExecutableOfInitIsReadOnly(t *testing.T) {
	eachRuntime(t, func(t *testing.T, b *box) {
		if situation != realRoot {
			t.Skip("only root may open the executable of a process that is not dumpable")
		}
		dir := b.bundle("b")
		b.must("create", "-b", dir, "c1")
		pid := b.state("c1").Pid
		fd, err := unix.Open(fmt.Sprintf("/proc/%d/exe", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		var st unix.Statfs_t
		unix.Fstatfs(fd, &st)
		seals, _ := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
		if st.Flags&unix.ST_RDONLY == 0 && seals&unix.F_SEAL_WRITE == 0 {
			t.Errorf("flags %#x, seals %#x", st.Flags, seals)
		}
		b.must("delete", "--force", "c1")
	})
}

// CVE-2016-9962: a process of exec can be looked into or traced before it is the container's program. Debian's peers
// pass; a build whose processes are dumpable fails.
func TestJoiningProcessIsClosed(t *testing.T) {
	eachRuntime(t, func(t *testing.T, b *box) {
		edits := []edit{args("/bin/probe", "watch", "/tmp/stop")}
		if situation == ordinaryUser {
			// Root of a user namespace with all its might. (In the other situations the container is in the
			// caller's user namespace, where these would be power over the caller as well.)
			edits = append(edits, capabilities("CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"))
		}
		dir := b.bundle("b", edits...)
		out, _ := os.Create(b.path("out"))
		cmd := b.command("run", "-b", dir, "c1")
		cmd.Stdout, cmd.Stderr = out, out
		if err := start(cmd); err != nil {
			t.Fatal(err)
		}
		awaitFile(t, b.path("out"))
		for range 100 {
			b.must("exec", "c1", "/bin/true")
		}
		os.WriteFile(dir+"/rootfs/tmp/stop", []byte("x"), 0o644)
		finish(cmd)
		text, _ := os.ReadFile(b.path("out"))
		if strings.Contains(string(text), "OPEN") || !strings.Contains(string(text), "seen ") || strings.Contains(string(text), "seen 0\n") {
			t.Errorf("%s", text)
		}
	})
}

func fileHash(t *testing.T, path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}

// awaitFile waits until the file is there with something in it and gives its text.
func awaitFile(t testing.TB, path string) string {
	for deadline := time.Now().Add(hang); ; time.Sleep(5 * time.Millisecond) {
		if text, err := os.ReadFile(path); err == nil && len(text) > 0 && text[len(text)-1] == '\n' {
			return string(text)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s did not appear", path)
		}
	}
}
