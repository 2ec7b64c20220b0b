// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"runtime"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const (
	retAllow = unix.SECCOMP_RET_ALLOW
	retEPERM = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	retKill  = unix.SECCOMP_RET_KILL_THREAD
)

// ask runs the filter of a profile for a system call by name.
func ask(t *testing.T, s *specs.LinuxSeccomp, goarch string, word specs.Arch, name string, args ...uint64) uint32 {
	t.Helper()
	plan, _, err := resolve(s, &Facts{Arch: goarch})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := findArch(word)
	i, ok := findName(name)
	if !ok {
		t.Fatalf("no system call %s", name)
	}
	nr, ok := a.number(i)
	if !ok {
		t.Fatalf("no system call %s on %s", name, word)
	}
	if word == specs.ArchX32 {
		nr |= x32Bit
	}
	native, _ := nativeArch(goarch)
	d := data{nr: nr, arch: a.audit}
	copy(d.args[:], args)
	return run(t, plan.Filter, d, native.big)
}

func arg(index uint, op specs.LinuxSeccompOperator, values ...uint64) []specs.LinuxSeccompArg {
	a := specs.LinuxSeccompArg{Index: index, Op: op, Value: values[0]}
	if len(values) > 1 {
		a.ValueTwo = values[1]
	}
	return []specs.LinuxSeccompArg{a}
}

func TestNumbersAreThoseOfTheArchitecture(t *testing.T) {
	for _, c := range []struct {
		word specs.Arch
		name string
		nr   uint32
	}{
		{specs.ArchX86_64, "openat", 257}, {specs.ArchX86, "openat", 295}, {specs.ArchX32, "execve", 520},
		{specs.ArchARM, "set_tls", 0xf005}, {specs.ArchARM, "openat", 322}, {specs.ArchAARCH64, "openat", 56},
		{specs.ArchMIPS, "read", 4003}, {specs.ArchMIPSEL64, "read", 5000}, {specs.ArchPPC, "umount", 22},
		{specs.ArchPPC64LE, "socketcall", 102}, {specs.ArchS390X, "openat", 288},
		{specs.ArchRISCV64, "riscv_flush_icache", 259}, {specs.ArchLOONGARCH64, "clone3", 435},
	} {
		i, ok := findName(c.name)
		if !ok {
			t.Fatal(c.name)
		}
		a, _ := findArch(c.word)
		if nr, ok := a.number(i); !ok || nr != c.nr {
			t.Errorf("%s on %s is %d instead of %d", c.name, c.word, nr, c.nr)
		}
	}
	for _, name := range []string{"", "rea", "readd", "READ", "nosuchcall"} {
		if _, ok := findName(name); ok {
			t.Errorf("%q is found", name)
		}
	}
	for i := range nameCount {
		if at, ok := findName(nameText[nameEnds[i]:nameEnds[i+1]]); !ok || at != i {
			t.Errorf("name %d is found at %d, %v", i, at, ok)
		}
	}
}

func TestOtherArchitecturesEndTheThread(t *testing.T) {
	s := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow,
		Architectures: []specs.Arch{specs.ArchS390, specs.ArchAARCH64, specs.ArchM68K, specs.ArchX86_64}}
	for word, want := range map[specs.Arch]uint32{
		specs.ArchX86_64: retAllow, specs.ArchX86: retKill, specs.ArchX32: retKill, specs.ArchAARCH64: retKill,
	} {
		if got := ask(t, s, "amd64", word, "read"); got != want {
			t.Errorf("%s: %#x", word, got)
		}
	}
	s.Architectures = []specs.Arch{specs.ArchX86, specs.ArchX32}
	for _, word := range []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32} {
		if got := ask(t, s, "amd64", word, "read"); got != retAllow {
			t.Errorf("%s: %#x", word, got)
		}
	}
	if got := ask(t, s, "386", specs.ArchX86_64, "read"); got != retKill {
		t.Errorf("x86-64 beside x86 and x32: %#x", got)
	}
}

// A tracer that skips a system call sets its number to -1, which has x32's bit.
func TestSkippedSystemCallIsNotX32(t *testing.T) {
	plan, err := Resolve(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow}, Facts{Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, plan.Filter, data{nr: ^uint32(0), arch: unix.AUDIT_ARCH_X86_64}, false); got != retAllow {
		t.Errorf("%#x", got)
	}
	if got := run(t, plan.Filter, data{nr: x32Bit | 600, arch: unix.AUDIT_ARCH_X86_64}, false); got != retKill {
		t.Errorf("%#x", got)
	}
}

func TestConditionsOnOneArgumentAreAlternatives(t *testing.T) {
	s := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"socket"}, Action: specs.ActAllow, Args: append(arg(0, specs.OpEqualTo, 1), arg(0, specs.OpEqualTo, 2)...)},
		{Names: []string{"personality"}, Action: specs.ActAllow, Args: append(arg(0, specs.OpEqualTo, 1), arg(1, specs.OpEqualTo, 2)...)},
	}}
	for _, c := range []struct {
		name string
		a, b uint64
		want uint32
	}{
		{"socket", 1, 0, retAllow}, {"socket", 2, 0, retAllow}, {"socket", 3, 0, retEPERM},
		{"personality", 1, 2, retAllow}, {"personality", 1, 0, retEPERM}, {"personality", 0, 2, retEPERM},
	} {
		if got := ask(t, s, "amd64", specs.ArchX86_64, c.name, c.a, c.b); got != c.want {
			t.Errorf("%s(%d, %d): %#x", c.name, c.a, c.b, got)
		}
	}
}

func TestRulesForTheSameSystemCall(t *testing.T) {
	r := func(a specs.LinuxSeccompAction, args []specs.LinuxSeccompArg) specs.LinuxSyscall {
		return specs.LinuxSyscall{Names: []string{"ioctl"}, Action: a, Args: args}
	}
	one, below := arg(1, specs.OpEqualTo, 1), arg(1, specs.OpLessThan, 5)
	for name, c := range map[string]struct {
		fallback specs.LinuxSeccompAction
		rules    []specs.LinuxSyscall
		want     uint32 // for an argument of 1
	}{
		"the first without args counts":          {specs.ActErrno, []specs.LinuxSyscall{r(specs.ActAllow, nil), r(specs.ActKill, nil)}, retAllow},
		"one like the default does not count":    {specs.ActErrno, []specs.LinuxSyscall{r(specs.ActErrno, nil), r(specs.ActAllow, nil)}, retAllow},
		"an exception may be stricter":           {specs.ActErrno, []specs.LinuxSyscall{r(specs.ActAllow, nil), r(specs.ActErrno, one)}, retEPERM},
		"an exception may come first":            {specs.ActErrno, []specs.LinuxSyscall{r(specs.ActErrno, one), r(specs.ActAllow, nil)}, retEPERM},
		"an exception may not be more lenient":   {specs.ActAllow, []specs.LinuxSyscall{r(specs.ActLog, one), r(specs.ActKill, nil)}, retKill},
		"the strictest exception wins":           {specs.ActErrno, []specs.LinuxSyscall{r(specs.ActAllow, below), r(specs.ActTrap, one)}, unix.SECCOMP_RET_TRAP},
		"the default may be an exception itself": {specs.ActAllow, []specs.LinuxSyscall{r(specs.ActAllow, one), r(specs.ActErrno, below)}, retEPERM},
		"no exception holds":                     {specs.ActErrno, []specs.LinuxSyscall{r(specs.ActAllow, arg(1, specs.OpGreaterThan, 1))}, retEPERM},
	} {
		s := &specs.LinuxSeccomp{DefaultAction: c.fallback, Syscalls: c.rules}
		if got := ask(t, s, "amd64", specs.ArchX86_64, "ioctl", 0, 1); got != c.want {
			t.Errorf("%s: %#x", name, got)
		}
	}
}

// A 32-bit program has no upper words; MIPS fills them with the sign.
func TestNarrowArguments(t *testing.T) {
	s := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"personality"}, Action: specs.ActAllow, Args: arg(0, specs.OpEqualTo, ^uint64(0))},
		{Names: []string{"ioctl"}, Action: specs.ActAllow, Args: arg(1, specs.OpLessEqual, 1<<40)},
	}}
	for _, value := range []uint64{0xffffffff, ^uint64(0)} {
		if got := ask(t, s, "mips", specs.ArchMIPS, "personality", value); got != retAllow {
			t.Errorf("personality(%#x): %#x", value, got)
		}
	}
	if got := ask(t, s, "mips", specs.ArchMIPS, "ioctl", 0, 0xffffffff80000000); got != retAllow {
		t.Errorf("%#x", got)
	}
	if got := ask(t, s, "mips64", specs.ArchMIPS64, "personality", 0xffffffff); got != retEPERM {
		t.Errorf("%#x", got)
	}
}

// socketcall and ipc are other ways to the same thing.
func TestRulesHoldForMultiplexedCalls(t *testing.T) {
	allow := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchX86}, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"connect", "shmat"}, Action: specs.ActAllow},
		{Names: []string{"socket"}, Action: specs.ActAllow, Args: arg(0, specs.OpNotEqual, 40)},
	}}
	deny := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86}, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"connect", "shmat"}, Action: specs.ActErrno},
		{Names: []string{"socket"}, Action: specs.ActErrno, Args: arg(0, specs.OpEqualTo, 40)},
		{Names: []string{"socketcall"}, Action: specs.ActLog},
	}}
	for _, c := range []struct {
		s     *specs.LinuxSeccomp
		name  string
		first uint64
		want  uint32
	}{
		{allow, "socketcall", 3, retAllow}, {allow, "socketcall", 1, retEPERM}, {allow, "socketcall", 2, retEPERM},
		{allow, "ipc", 21, retAllow}, {allow, "ipc", 21 | 1<<16, retAllow}, {allow, "ipc", 22, retEPERM},
		{deny, "socketcall", 3, retEPERM}, {deny, "socketcall", 3 | 1<<40, retEPERM}, {deny, "socketcall", 1, retEPERM},
		{deny, "socketcall", 2, unix.SECCOMP_RET_LOG},
		{deny, "ipc", 21 | 1<<16, retEPERM}, {deny, "ipc", 22, retAllow},
	} {
		if got := ask(t, c.s, "amd64", specs.ArchX86, c.name, c.first); got != c.want {
			t.Errorf("%s(%#x), default %s: %#x", c.name, c.first, c.s.DefaultAction, got)
		}
	}
	// The kernel looks at 32 bits of socketcall's first argument, also where there are 64.
	if got := ask(t, deny, "ppc64le", specs.ArchPPC64LE, "socketcall", 3|1<<40); got != retEPERM {
		t.Errorf("upper bits: %#x", got)
	}
	// Who names the call itself means it, as far as nothing is denied.
	allow.Syscalls = append(allow.Syscalls, specs.LinuxSyscall{Names: []string{"socketcall"}, Action: specs.ActAllow})
	if got := ask(t, allow, "amd64", specs.ArchX86, "socketcall", 1); got != retAllow {
		t.Errorf("socketcall by name: %#x", got)
	}
}

func TestNewerSystemCallsAnswerENOSYS(t *testing.T) {
	names := []specs.LinuxSyscall{{Names: []string{"read", "openat2"}, Action: specs.ActAllow}} // openat2 is 437
	for _, c := range []struct {
		s    specs.LinuxSeccomp
		want uint32
	}{
		{specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: names}, retENOSYS},
		{specs.LinuxSeccomp{DefaultAction: specs.ActKill, Syscalls: names}, retENOSYS},
		{specs.LinuxSeccomp{DefaultAction: specs.ActTrap, Syscalls: names}, retENOSYS},
		{specs.LinuxSeccomp{DefaultAction: specs.ActErrno, DefaultErrnoRet: number(38), Syscalls: names}, retENOSYS},
		{specs.LinuxSeccomp{DefaultAction: specs.ActErrno, DefaultErrnoRet: number(6), Syscalls: names}, retENOSYS},
		{specs.LinuxSeccomp{DefaultAction: specs.ActErrno}, retEPERM},
		{specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: names}, retAllow},
		{specs.LinuxSeccomp{DefaultAction: specs.ActLog, Syscalls: names}, unix.SECCOMP_RET_LOG},
		{specs.LinuxSeccomp{DefaultAction: specs.ActTrace, Syscalls: names}, unix.SECCOMP_RET_TRACE | 1},
	} {
		if got := ask(t, &c.s, "amd64", specs.ArchX86_64, "faccessat2"); got != c.want {
			t.Errorf("%s: %#x", c.s.DefaultAction, got)
		}
	}
	s := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: names}
	plan, _, err := resolve(s, &Facts{Arch: "s390x"})
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, plan.Filter, data{arch: unix.AUDIT_ARCH_S390X}, true); got != retENOSYS {
		t.Errorf("number 0 on s390x: %#x", got)
	}
	if got := ask(t, s, "amd64", specs.ArchX86_64, "open"); got != retEPERM {
		t.Errorf("an older system call: %#x", got)
	}
}

// Otherwise a thread ends and the others of the process wait for ever.
func TestKilledExecveEndsTheProcess(t *testing.T) {
	for _, s := range []*specs.LinuxSeccomp{
		{DefaultAction: specs.ActKill},
		{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"execve"}, Action: specs.ActKillThread}}},
	} {
		if got := ask(t, s, "amd64", specs.ArchX86_64, "execve"); got != unix.SECCOMP_RET_KILL_PROCESS {
			t.Errorf("%s: %#x", s.DefaultAction, got)
		}
	}
}

func TestDefaultProfile(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the numbers and the 32-bit architecture are x86's")
	}
	errno := func(e unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(e) }
	for _, c := range []struct {
		caps []string
		word specs.Arch
		name string
		args []uint64
		want uint32
	}{
		{nil, specs.ArchX86_64, "openat", nil, retAllow},
		{nil, specs.ArchX86_64, "execve", nil, retAllow},
		{nil, specs.ArchX86_64, "mount", nil, retEPERM},
		{nil, specs.ArchX86_64, "unshare", nil, retEPERM},
		{nil, specs.ArchX86_64, "setns", nil, retEPERM},
		{nil, specs.ArchX86_64, "keyctl", nil, retEPERM},
		{nil, specs.ArchX86_64, "bpf", nil, retEPERM},
		{nil, specs.ArchX86_64, "perf_event_open", nil, retEPERM},
		{nil, specs.ArchX86_64, "userfaultfd", nil, retEPERM},
		{nil, specs.ArchX86_64, "io_uring_setup", nil, retEPERM},
		{nil, specs.ArchX86_64, "clone", []uint64{unix.CLONE_VM | unix.CLONE_THREAD | unix.CLONE_SIGHAND}, retAllow},
		{nil, specs.ArchX86_64, "clone", []uint64{unix.CLONE_NEWUSER | uint64(unix.SIGCHLD)}, retEPERM},
		{nil, specs.ArchX86, "clone", []uint64{unix.CLONE_NEWNET}, retEPERM},
		{nil, specs.ArchX86_64, "clone3", nil, retENOSYS},
		{nil, specs.ArchX86_64, "personality", []uint64{0}, retAllow},
		{nil, specs.ArchX86_64, "personality", []uint64{0xffffffff}, retAllow},
		{nil, specs.ArchX86_64, "personality", []uint64{0x40000}, retEPERM},
		{nil, specs.ArchX86_64, "ioctl", []uint64{0, unix.TCGETS}, retAllow},
		{nil, specs.ArchX86_64, "ioctl", []uint64{0, unix.TIOCSTI}, retEPERM},
		{nil, specs.ArchX86_64, "ioctl", []uint64{0, 1<<32 | unix.TIOCSTI}, retEPERM},
		{nil, specs.ArchX86_64, "ioctl", []uint64{0, unix.TIOCLINUX}, retEPERM},
		{nil, specs.ArchX86, "ioctl", []uint64{0, unix.TIOCSTI}, retEPERM},
		{nil, specs.ArchX86_64, "socket", []uint64{unix.AF_INET}, retAllow},
		{nil, specs.ArchX86_64, "socket", []uint64{unix.AF_VSOCK}, errno(unix.EAFNOSUPPORT)},
		{nil, specs.ArchX86_64, "socket", []uint64{1<<32 | unix.AF_VSOCK}, errno(unix.EAFNOSUPPORT)},
		{nil, specs.ArchX86, "socket", []uint64{unix.AF_ALG}, errno(unix.EAFNOSUPPORT)},
		{nil, specs.ArchX86, "socketcall", []uint64{1}, errno(unix.EAFNOSUPPORT)},
		{nil, specs.ArchX86, "socketcall", []uint64{3}, retAllow},
		{nil, specs.ArchX32, "read", nil, retKill},
		{[]string{"CAP_SYS_ADMIN"}, specs.ArchX86_64, "mount", nil, retAllow},
		{[]string{"CAP_SYS_ADMIN"}, specs.ArchX86_64, "clone3", nil, retAllow},
		{[]string{"CAP_SYS_ADMIN"}, specs.ArchX86_64, "clone", []uint64{unix.CLONE_NEWUSER}, retAllow},
		{[]string{"CAP_KILL", "CAP_SYSLOG"}, specs.ArchX86_64, "syslog", nil, retAllow},
		{[]string{"CAP_SYSLOG"}, specs.ArchX86_64, "mount", nil, retEPERM},
	} {
		if got := ask(t, Default(c.caps...), "amd64", c.word, c.name, c.args...); got != c.want {
			t.Errorf("%s(%#x) through %s with %v: %#x", c.name, c.args, c.word, c.caps, got)
		}
	}
}

// Every name of the default profile is one that some architecture has.
func TestDefaultProfileHasNoTypo(t *testing.T) {
	for _, capability := range []string{"", "CAP_BPF", "CAP_DAC_READ_SEARCH", "CAP_PERFMON", "CAP_SYS_ADMIN", "CAP_SYS_BOOT",
		"CAP_SYS_CHROOT", "CAP_SYS_MODULE", "CAP_SYS_NICE", "CAP_SYS_PACCT", "CAP_SYS_RAWIO", "CAP_SYS_TIME",
		"CAP_SYS_TTY_CONFIG", "CAP_SYSLOG"} {
		for _, e := range Default(capability).Syscalls {
			for _, name := range e.Names {
				if _, ok := findName(name); !ok {
					t.Errorf("%s %s", capability, name)
				}
			}
		}
	}
}

// A large profile is a short search for each system call, not a long list.
func TestPathsAreShort(t *testing.T) {
	plan, err := Resolve(engineProfile(t), Facts{Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(plan.Filter); n > 500 {
		t.Errorf("%d instructions", n)
	}
	longest := 0
	for nr := range uint32(500) {
		longest = max(longest, walked(plan.Filter, nr))
	}
	if longest > 24 {
		t.Errorf("%d instructions for one system call", longest)
	}
}

// walked counts the instructions that run for a number on x86-64 with all
// arguments 0.
func walked(program []Instruction, nr uint32) int {
	a, n := uint32(0), 0
	for pc := 0; ; pc++ {
		in := program[pc]
		n++
		is := false
		switch in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = map[uint32]uint32{0: nr, 4: unix.AUDIT_ARCH_X86_64}[in.K]
			continue
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			a &= in.K
			continue
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(in.K)
			continue
		case unix.BPF_RET | unix.BPF_K:
			return n
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			is = a == in.K
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			is = a >= in.K
		default:
			is = a > in.K
		}
		if is {
			pc += int(in.Jt)
		} else {
			pc += int(in.Jf)
		}
	}
}
