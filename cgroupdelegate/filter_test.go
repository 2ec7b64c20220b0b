// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"mycr/linux"
)

// interpret runs a filter as the kernel would: the codes are those of the
// BPF instruction set's standardization document, not of the filter's source.
func interpret(t interface{ Fatalf(string, ...any) }, program []linux.BPFInsn, ctx [3]uint32) uint64 {
	var r [11]uint64
	const context = 1 << 40
	r[1] = context
	for pc, steps := 0, 0; steps < 10_000; steps++ {
		if pc < 0 || pc >= len(program) {
			t.Fatalf("jump out of the program, to %d", pc)
		}
		i := program[pc]
		dst, src := i.Registers()
		jump := false
		switch i.Code {
		case 0x61: // ldxw
			at := r[src] + uint64(i.Off) - context
			if at > 8 || at%4 != 0 {
				t.Fatalf("read at %d of the context", at)
			}
			r[dst] = uint64(ctx[at/4])
		case 0x54: // and32 imm
			r[dst] = uint64(uint32(r[dst]) & uint32(i.Imm))
		case 0x74: // rsh32 imm
			r[dst] = uint64(uint32(r[dst]) >> uint32(i.Imm))
		case 0xb4: // mov32 imm
			r[dst] = uint64(uint32(i.Imm))
		case 0xbc: // mov32 reg
			r[dst] = uint64(uint32(r[src]))
		case 0x05: // ja
			jump = true
		case 0x55: // jne imm, of 64 bits, sign-extended
			jump = r[dst] != uint64(int64(i.Imm))
		case 0x45: // jset imm
			jump = r[dst]&uint64(int64(i.Imm)) != 0
		case 0x95: // exit
			return r[0]
		default:
			t.Fatalf("code %#x", i.Code)
		}
		pc++
		if jump {
			if i.Off < 0 {
				t.Fatalf("jump back")
			}
			pc += int(i.Off)
		}
	}
	t.Fatalf("no end")
	return 0
}

func number64(special ...int64) *rapid.Generator[int64] {
	return rapid.OneOf(rapid.SampledFrom(special), rapid.Int64Range(0, 255))
}

func anyRules() *rapid.Generator[[]specs.LinuxDeviceCgroup] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) specs.LinuxDeviceCgroup {
		return specs.LinuxDeviceCgroup{
			Allow:  rapid.Bool().Draw(t, "allow"),
			Type:   rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "type"),
			Major:  rapid.Ptr(number64(-1, 1, 5, 8, 10, 136, 4095, 4096, 1<<31, 1<<32+8, 1<<62), true).Draw(t, "major"),
			Minor:  rapid.Ptr(number64(-1, 0, 1, 3, 229, 1<<20-1, 1<<20, 1<<32), true).Draw(t, "minor"),
			Access: rapid.SampledFrom([]string{"r", "w", "m", "rw", "rm", "wm", "rwm", "mwr"}).Draw(t, "access"),
		}
	}), 0, 12)
}

// The program in the kernel decides as denied does, for every device and access.
func TestFilterIsDenied(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := anyRules().Filter(func(r []specs.LinuxDeviceCgroup) bool { return len(r) > 0 }).Draw(t, "rules")
		program := filterProgram(rules)
		for range 50 {
			n := Node{Type: rapid.SampledFrom([]string{"b", "c"}).Draw(t, "type")}
			n.Major = number64(1, 5, 8, 10, 136, 4095).Draw(t, "major")
			n.Minor = number64(0, 1, 3, 229, 1<<20-1).Draw(t, "minor")
			access := uint32(rapid.IntRange(0, 7).Draw(t, "access")) // 1 mknod, 2 read, 4 write
			kind, letters := uint32(2), ""
			if n.Type == "b" {
				kind = 1
			}
			if access&2 != 0 {
				letters += "r"
			}
			if access&4 != 0 {
				letters += "w"
			}
			got := interpret(t, program, [3]uint32{access<<16 | kind, uint32(n.Major), uint32(n.Minor)})
			if want := denied(rules, n, letters) == ""; (got == 1) != want || got > 1 {
				t.Fatalf("%s %d:%d %q: the filter says %d, denied %q", n.Type, n.Major, n.Minor, letters, got, denied(rules, n, letters))
			}
		}
	})
}

// inCgroups runs the calling test once more, as root with a cgroup2 of its own
// on /sys/fs/cgroup, and tells whether this is that run. It skips where it cannot.
func inCgroups(t *testing.T) bool {
	t.Helper()
	const here = "MYCR_TEST_CGROUP"
	if os.Getenv(here) == t.Name() {
		// EBUSY: it is there already
		if err := unix.Mount("none", MountPoint, "cgroup2", 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			fmt.Println("no cgroup2:", err)
			os.Exit(77)
		}
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	command := exec.Command("unshare", "--mount", "--propagation", "private", "/proc/self/fd/3", "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	command.ExtraFiles = []*os.File{self}
	command.Env = append(os.Environ(), here+"="+t.Name())
	out, err := command.CombinedOutput()
	var status *exec.ExitError
	switch {
	case errors.As(err, &status) && status.ExitCode() == 77:
		t.Skipf("%s", out)
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	}
	return false
}

// newCgroup makes a cgroup for the test.
func newCgroup(t *testing.T) *Cgroup {
	t.Helper()
	dir, err := os.MkdirTemp(MountPoint, "mycr-test-")
	if err != nil {
		t.Skip(err)
	}
	name := strings.TrimPrefix(dir, MountPoint)
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	c, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// shellIn runs a command in the cgroup.
func shellIn(t *testing.T, c *Cgroup, script string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", "echo $$ > "+filepath.Join(MountPoint, c.Path, "cgroup.procs")+" && "+script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return strings.TrimSpace(string(out))
}

// The kernel takes the filter, holds processes to it, and a new one takes its place at once.
func TestKernelFiltersDevices(t *testing.T) {
	if !inCgroups(t) {
		return
	}
	c := newCgroup(t)
	fuse := filepath.Join(t.TempDir(), "fuse")
	try := func(want string) {
		t.Helper()
		// echo is a builtin: a redirection that fails says so and nothing else
		got := shellIn(t, c, `mknod `+fuse+` c 10 229; rm `+fuse+`; exec 2>/dev/null; `+
			`for d in r:/dev/null w:/dev/null r:/dev/kmsg w:/dev/kmsg; do case $d in r:*) (: < ${d#r:}) && printf "$d ";; w:*) (: >> ${d#w:}) && printf "$d ";; esac; done; true`)
		if got != want {
			t.Errorf("may open %q, want %q", got, want)
		}
		ids, err := linux.BPFAttached(c.fd, unix.BPF_CGROUP_DEVICE)
		if err != nil || len(ids) > 1 {
			t.Errorf("filters %v, %v", ids, err)
		}
	}
	if _, err := os.Stat("/dev/kmsg"); err != nil {
		t.Skip("no /dev/kmsg")
	}
	filter := func(list string) {
		t.Helper()
		var rules []specs.LinuxDeviceCgroup
		if err := json.Unmarshal([]byte(list), &rules); err != nil {
			t.Fatal(err)
		}
		if err := c.filterDevices(rules); err != nil {
			t.Fatal(err)
		}
	}
	const all = "r:/dev/null w:/dev/null r:/dev/kmsg w:/dev/kmsg"
	try(all)
	filter(denyAll)
	try("r:/dev/null w:/dev/null")
	filter(`[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":11,"access":"r"}]`)
	try("r:/dev/null w:/dev/null r:/dev/kmsg")
	filter(`[{"allow":true,"access":"rwm"},{"allow":false,"type":"c","major":1,"access":"r"}]`)
	try("r:/dev/null w:/dev/null w:/dev/kmsg")
	filter("[]")
	try(all)
	rapid.Check(t, func(t *rapid.T) { // the verifier takes all that can be
		if err := c.filterDevices(anyRules().Draw(t, "rules")); err != nil {
			t.Fatal(err)
		}
	})
	if err := c.filterDevices(nil); err != nil {
		t.Error(err)
	}
}
