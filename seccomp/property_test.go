// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

var (
	someActions = []specs.LinuxSeccompAction{specs.ActAllow, specs.ActErrno, specs.ActTrap, specs.ActTrace,
		specs.ActLog, specs.ActKill, specs.ActKillProcess, specs.ActKillThread}
	someOperators = []specs.LinuxSeccompOperator{specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual,
		specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual}
	someNames = []string{"read", "open", "openat", "clone", "mount", "ioctl", "personality", "keyctl",
		"ptrace", "futex", "set_tls", "mmap", "fstat64", "statx", "nosuchcall"}
	goarches = []string{"amd64", "386", "arm64", "arm", "mips", "mipsle", "mips64", "mips64le", "ppc64",
		"ppc64le", "s390x", "riscv64", "loong64"}
)

// word draws arguments near each other and near the boundary of their halves.
func word() *rapid.Generator[uint64] {
	return rapid.Custom(func(t *rapid.T) uint64 {
		high := rapid.SampledFrom([]uint64{0, 1, 2, 0xffffffff}).Draw(t, "high")
		low := rapid.SampledFrom([]uint64{0, 1, 2, 3, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff}).Draw(t, "low")
		return high<<32 | low
	})
}

func drawProfile(t *rapid.T) *specs.LinuxSeccomp {
	errno := func(a specs.LinuxSeccompAction) *uint {
		if a != specs.ActErrno && a != specs.ActTrace || rapid.Bool().Draw(t, "default errno") {
			return nil
		}
		n := uint(rapid.IntRange(0, 40).Draw(t, "errno"))
		return &n
	}
	s := &specs.LinuxSeccomp{DefaultAction: rapid.SampledFrom(someActions).Draw(t, "default")}
	s.DefaultErrnoRet = errno(s.DefaultAction)
	for range rapid.IntRange(0, 8).Draw(t, "rules") {
		e := specs.LinuxSyscall{
			Names:  rapid.SliceOfN(rapid.SampledFrom(someNames), 1, 4).Draw(t, "names"),
			Action: rapid.SampledFrom(someActions).Draw(t, "action"),
		}
		e.ErrnoRet = errno(e.Action)
		for range rapid.IntRange(0, 3).Draw(t, "conditions") {
			e.Args = append(e.Args, specs.LinuxSeccompArg{
				Index:    uint(rapid.IntRange(0, 5).Draw(t, "index")),
				Value:    word().Draw(t, "value"),
				ValueTwo: word().Draw(t, "valueTwo"),
				Op:       rapid.SampledFrom(someOperators).Draw(t, "op"),
			})
		}
		s.Syscalls = append(s.Syscalls, e)
	}
	for _, a := range arches {
		if a.table >= 0 && rapid.Bool().Draw(t, "arch") {
			s.Architectures = append(s.Architectures, a.word)
		}
	}
	return s
}

// The compiled program answers as the plain reading of the profile does.
func TestFilterMeansWhatTheProfileSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawProfile(t)
		goarch := rapid.SampledFrom(goarches).Draw(t, "goarch")
		plan, _, err := resolve(s, &Facts{Arch: goarch})
		if err != nil {
			t.Fatal(err)
		}
		if err := checkTargets(plan.Filter); err != nil {
			t.Fatal(err)
		}
		native, _ := nativeArch(goarch)
		in := map[specs.Arch]bool{native.word: true}
		for _, word := range s.Architectures {
			in[word] = true
		}
		for i := range arches {
			a := &arches[i]
			if a.table < 0 {
				continue
			}
			name := rapid.SampledFrom(someNames).Draw(t, "name")
			index, known := findName(name)
			if !known {
				continue
			}
			nr, ok := a.number(index)
			if !ok {
				continue
			}
			switch {
			case nr >= 0xf000:
				nr = 0xf0000 + nr - 0xf000
			case a.word == specs.ArchX32:
				nr |= x32Bit
			}
			d := data{nr: nr, arch: a.audit}
			for k := range d.args {
				d.args[k] = word().Draw(t, "argument")
			}
			want := uint32(unix.SECCOMP_RET_KILL_THREAD)
			if in[a.word] && a.kin == native.kin {
				want = evaluate(s, a, name, d.args)
				if newer(s, a, index) {
					want = retENOSYS
				}
			}
			answer, err := interpret(plan.Filter, d, native.big)
			if err != nil {
				t.Fatal(err)
			}
			if answer != want {
				t.Fatalf("%s through %s: %#x instead of %#x", name, a.word, answer, want)
			}
		}
	})
}

// newer says that a system call is above all that the profile names, and that
// such calls answer ENOSYS.
func newer(s *specs.LinuxSeccomp, a *arch, index int) bool {
	fallback := actionOf(s.DefaultAction, s.DefaultErrnoRet)
	switch s.DefaultAction {
	case specs.ActAllow, specs.ActLog, specs.ActTrace:
		return false
	}
	if fallback == retENOSYS {
		return false
	}
	last := -1
	for _, e := range s.Syscalls {
		for _, name := range e.Names {
			i, ok := findName(name)
			if !ok {
				continue
			}
			if nr, ok := a.number(i); ok && nr < 0xf000 {
				last = max(last, int(nr))
			}
		}
	}
	nr, _ := a.number(index)
	return last >= 0 && nr < 0xf000 && int(nr) > last
}
