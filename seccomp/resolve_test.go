// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func number(n uint) *uint { return &n }

func TestNoProfileInstallsNothing(t *testing.T) {
	plan, err := Resolve(nil, Facts{Arch: "amd64"})
	if err != nil || len(plan.Filter) != 0 {
		t.Fatalf("%+v, %v", plan, err)
	}
}

func TestWhatCannotBeEnforcedIsRefusedByName(t *testing.T) {
	rule := func(r specs.LinuxSyscall) specs.LinuxSeccomp {
		return specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{r}}
	}
	for _, c := range []struct {
		profile specs.LinuxSeccomp
		want    string
	}{
		{specs.LinuxSeccomp{}, `linux.seccomp.defaultAction: not set`},
		{specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_X"}, `linux.seccomp.defaultAction: "SCMP_ACT_X" is not an action`},
		{specs.LinuxSeccomp{DefaultAction: specs.ActNotify}, `linux.seccomp.defaultAction: SCMP_ACT_NOTIFY would wait for the listener before it is handed over`},
		{specs.LinuxSeccomp{DefaultAction: specs.ActAllow, DefaultErrnoRet: number(1)}, `linux.seccomp.defaultErrnoRet: 1, but SCMP_ACT_ALLOW takes none`},
		{specs.LinuxSeccomp{DefaultAction: specs.ActErrno, DefaultErrnoRet: number(4096)}, `linux.seccomp.defaultErrnoRet: 4096 is above 4095`},
		{specs.LinuxSeccomp{DefaultAction: specs.ActTrace, DefaultErrnoRet: number(65536)}, `linux.seccomp.defaultErrnoRet: 65536 is above 65535`},
		{specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86, "SCMP_ARCH_X"}}, `linux.seccomp.architectures[1]: "SCMP_ARCH_X" is not an architecture`},
		{specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{"NOPE"}}, `linux.seccomp.flags[0]: "NOPE" is not a flag of seccomp`},
		{specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog}}, `linux.seccomp.flags[0]: this kernel does not know SECCOMP_FILTER_FLAG_LOG`},
		{specs.LinuxSeccomp{DefaultAction: specs.ActLog}, `linux.seccomp.defaultAction: this kernel does not know SCMP_ACT_LOG`},
		{specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerMetadata: "x"}, `linux.seccomp.listenerMetadata: set without listenerPath`},
		{rule(specs.LinuxSyscall{Action: specs.ActErrno}), `linux.seccomp.syscalls[0].names: empty`},
		{rule(specs.LinuxSyscall{Names: []string{"read", ""}, Action: specs.ActErrno}), `linux.seccomp.syscalls[0].names[1]: empty`},
		{rule(specs.LinuxSyscall{Names: []string{"read"}}), `linux.seccomp.syscalls[0].action: not set`},
		{rule(specs.LinuxSyscall{Names: []string{"read"}, Action: "SCMP_ACT_X"}), `linux.seccomp.syscalls[0].action: "SCMP_ACT_X" is not an action`},
		{rule(specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActKill, ErrnoRet: number(0)}), `linux.seccomp.syscalls[0].errnoRet: 0, but SCMP_ACT_KILL takes none`},
		{rule(specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActErrno, ErrnoRet: number(5000)}), `linux.seccomp.syscalls[0].errnoRet: 5000 is above 4095`},
		{rule(specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Index: 6, Op: specs.OpEqualTo}}}), `linux.seccomp.syscalls[0].args[0].index: 6 is above 5`},
		{rule(specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Op: "SCMP_CMP_X"}}}), `linux.seccomp.syscalls[0].args[0].op: "SCMP_CMP_X" is not an operator`},
		{rule(specs.LinuxSyscall{Names: []string{"mkdir"}, Action: specs.ActNotify}), `linux.seccomp.listenerPath: not set, but SCMP_ACT_NOTIFY needs it`},
		{rule(specs.LinuxSyscall{Names: []string{"mkdir", "write"}, Action: specs.ActNotify}), `linux.seccomp.syscalls[0].names[1]: SCMP_ACT_NOTIFY cannot be used for write`},
		{rule(specs.LinuxSyscall{Names: []string{"sendmsg"}, Action: specs.ActNotify}), `linux.seccomp.syscalls[0].names[0]: SCMP_ACT_NOTIFY cannot be used for sendmsg`},
		{specs.LinuxSeccomp{DefaultAction: specs.ActErrno, ListenerPath: "/s", Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir"}, Action: specs.ActNotify}}},
			`linux.seccomp: sendmsg must be allowed, since SCMP_ACT_NOTIFY hands its listener over with it`},
		{specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: "/s", Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir"}, Action: specs.ActNotify},
			{Names: []string{"sendmsg"}, Action: specs.ActErrno, Args: arg(0, specs.OpGreaterThan, 9)}}},
			`linux.seccomp: sendmsg must be allowed, since SCMP_ACT_NOTIFY hands its listener over with it`},
	} {
		facts := Facts{Arch: "amd64",
			Actions: []string{"kill_process", "kill_thread", "trap", "errno", "user_notif", "trace", "allow"},
			Flags:   []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagSpecAllow}}
		_, err := Resolve(&c.profile, facts)
		if err == nil || err.Error() != c.want {
			t.Errorf("%v instead of %s", err, c.want)
		}
	}
	if _, err := Resolve(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow}, Facts{Arch: "sparc64"}); err == nil {
		t.Error("an architecture without a table is taken")
	}
}

func TestTooLargeProfileIsRefused(t *testing.T) {
	s := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
	for i := range uint64(1500) {
		s.Syscalls = append(s.Syscalls, specs.LinuxSyscall{Names: []string{"ioctl"}, Action: specs.ActErrno,
			Args: []specs.LinuxSeccompArg{{Index: 1, Value: i, Op: specs.OpEqualTo}}})
	}
	if _, err := Resolve(s, Facts{Arch: "amd64"}); err == nil || !strings.Contains(err.Error(), "the kernel takes 4096") {
		t.Error(err)
	}
}

// A rule with args that is far from where it is needed is reached by every
// length of jump, and one for many names is written once.
func TestJumpsOfEveryLengthArrive(t *testing.T) {
	x86_64, _ := findArch(specs.ArchX86_64)
	var byNumber [400]string
	for i := range nameCount {
		if nr, ok := x86_64.number(i); ok && nr < 400 {
			byNumber[nr] = nameText[nameEnds[i]:nameEnds[i+1]]
		}
	}
	few, many := arg(2, specs.OpGreaterThan, 7<<40), arg(2, specs.OpEqualTo, 7<<40)
	for k := range 330 {
		s := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"read", "statx"}, Action: specs.ActTrap, Args: few}, // 0 and 332
			{Names: []string{"nosuchcall"}, Action: specs.ActErrno},
			{Names: []string{"nosuchcall"}, Action: specs.ActErrno, Args: many},
		}}
		for nr := 330 - k; nr < 330; nr++ {
			if r := &s.Syscalls[1+nr%2]; byNumber[nr] != "" {
				r.Names = append(r.Names, byNumber[nr])
			}
		}
		plan, _, err := resolve(s, &Facts{Arch: "amd64"})
		if err != nil {
			t.Fatal(err)
		}
		if err := checkTargets(plan.Filter); err != nil {
			t.Fatal(err)
		}
		if len(plan.Filter) > 40+2*k {
			t.Fatalf("%d instructions for %d rules", len(plan.Filter), k)
		}
		for nr, name := range byNumber {
			if name == "" {
				continue
			}
			for _, value := range []uint64{7 << 40, 7<<40 + 1} {
				args := [6]uint64{2: value}
				got := run(t, plan.Filter, data{nr: uint32(nr), arch: x86_64.audit, args: args}, false)
				if want := evaluate(s, x86_64, name, args); got != want {
					t.Fatalf("%d rules, %s(%#x): %#x instead of %#x", k, name, value, got, want)
				}
			}
		}
	}
}

func TestFlagsAndListener(t *testing.T) {
	s := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: "/run/agent", ListenerMetadata: "m",
		Flags: []specs.LinuxSeccompFlag{flagTSync, specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow, specs.LinuxSeccompFlagWaitKillableRecv}}
	plan, err := Resolve(s, Facts{Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	if plan.Notify || plan.ListenerPath != "" || plan.Flags != unix.SECCOMP_FILTER_FLAG_LOG|unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW {
		t.Errorf("without SCMP_ACT_NOTIFY: %+v", plan)
	}
	s.Syscalls = []specs.LinuxSyscall{{Names: []string{"mkdir"}, Action: specs.ActNotify}}
	if plan, err = Resolve(s, Facts{Arch: "amd64"}); err != nil {
		t.Fatal(err)
	}
	flags := uint(unix.SECCOMP_FILTER_FLAG_LOG | unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW |
		unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV | unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)
	if !plan.Notify || plan.ListenerPath != "/run/agent" || plan.ListenerMetadata != "m" || plan.Flags != flags || !plan.CloseSocket {
		t.Errorf("with SCMP_ACT_NOTIFY: %+v", plan)
	}
}

// What has no effect is told; what is an everyday case is not.
func TestNotes(t *testing.T) {
	args := []specs.LinuxSeccompArg{{Index: 0, Value: 1, Op: specs.OpEqualTo}}
	s := &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno,
		Architectures: []specs.Arch{specs.ArchS390X, specs.ArchS390, specs.ArchX86, specs.ArchM68K},
		Syscalls: []specs.LinuxSyscall{
			{Names: []string{"read", "from_the_future"}, Action: specs.ActAllow},
			{Names: []string{"read"}, Action: specs.ActKill},
			{Names: []string{"mount"}, Action: specs.ActTrap},
			{Names: []string{"mount"}, Action: specs.ActAllow, Args: args},
			{Names: []string{"mountt"}, Action: specs.ActKillProcess},
			{Names: []string{"umount2"}, Action: specs.ActErrno},
			{Names: []string{"umount2"}, Action: specs.ActAllow},
		},
	}
	plan, _, err := resolve(s, &Facts{Arch: "s390x"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"linux.seccomp.syscalls[1]: has no effect on read, syscalls[0] comes first",
		"linux.seccomp.syscalls[4].names[0]: no architecture has a system call mountt",
		"linux.seccomp.syscalls[3]: has no effect on mount, syscalls[2] has no args",
		"linux.seccomp.architectures[1]: no system call table for SCMP_ARCH_S390: its system calls end the thread",
	}
	if d := cmp.Diff(want, plan.Notes); d != "" {
		t.Error(d)
	}
	for _, s := range []*specs.LinuxSeccomp{engineProfile(t), Default()} {
		if plan, err = Resolve(s, Facts{Arch: "amd64"}); err != nil || len(plan.Notes) > 0 {
			t.Errorf("%v %v", plan.Notes, err)
		}
	}
}

// The program for one small profile, as it is; it shows the shape.
func TestProgramListing(t *testing.T) {
	s := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchX86},
		Syscalls: []specs.LinuxSyscall{
			{Names: []string{"read", "write", "openat", "exit_group", "execve"}, Action: specs.ActAllow},
			{Names: []string{"ioctl"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{{Index: 1, Value: 1<<32 + 2, Op: specs.OpLessThan}}},
		}}
	plan, err := Resolve(s, Facts{Arch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	got := listing(plan.Filter)
	const file = "testdata/listing.golden"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Error(d)
	}
}

func listing(program []Instruction) string {
	var b strings.Builder
	for i, in := range program {
		fmt.Fprintf(&b, "%3d ", i)
		jump := func(op string) {
			fmt.Fprintf(&b, "%s %#x ? %d : %d\n", op, in.K, i+1+int(in.Jt), i+1+int(in.Jf))
		}
		switch in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			fmt.Fprintf(&b, "load %d\n", in.K)
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			fmt.Fprintf(&b, "and %#x\n", in.K)
		case unix.BPF_JMP | unix.BPF_JA:
			fmt.Fprintf(&b, "go to %d\n", i+1+int(in.K))
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			jump("==")
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			jump(">=")
		case unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K:
			jump(">")
		default:
			fmt.Fprintf(&b, "return %#x\n", in.K)
		}
	}
	return b.String()
}

func FuzzResolve(f *testing.F) {
	f.Add("SCMP_ACT_ERRNO", "SCMP_ARCH_X86", "read", "SCMP_ACT_ALLOW", uint(1), uint(0), uint64(1), uint64(2), "SCMP_CMP_GT", uint32(3), uint64(1))
	f.Add("SCMP_ACT_KILL", "SCMP_ARCH_X32", "socket", "SCMP_ACT_LOG", uint(5000), uint(6), uint64(1)<<40, uint64(2), "SCMP_CMP_MASKED_EQ", uint32(102), uint64(1)<<40)
	f.Add("SCMP_ACT_ALLOW", "SCMP_ARCH_ARM", "set_tls", "SCMP_ACT_TRACE", uint(7), uint(5), ^uint64(0), uint64(2), "SCMP_CMP_NE", uint32(0xf0005), ^uint64(0))
	f.Fuzz(func(t *testing.T, fallback, word, name, action string, errno, index uint, value, two uint64, op string, nr uint32, arg uint64) {
		s := &specs.LinuxSeccomp{DefaultAction: specs.LinuxSeccompAction(fallback), Architectures: []specs.Arch{specs.Arch(word)},
			ListenerPath: "/listener",
			Syscalls: []specs.LinuxSyscall{
				{Names: []string{name, "sendmsg"}, Action: specs.LinuxSeccompAction(action)},
				{Names: []string{name}, Action: specs.ActErrno, ErrnoRet: &errno, Args: []specs.LinuxSeccompArg{
					{Index: index, Value: value, ValueTwo: two, Op: specs.LinuxSeccompOperator(op)}, {Index: 1, Value: two, Op: specs.OpLessEqual}}},
			}}
		for _, goarch := range goarches {
			plan, _, err := resolve(s, &Facts{Arch: goarch})
			if err != nil {
				continue
			}
			if err := checkTargets(plan.Filter); err != nil {
				t.Fatal(err)
			}
			native, _ := nativeArch(goarch)
			for i := range arches {
				run(t, plan.Filter, data{nr: nr, arch: arches[i].audit, args: [6]uint64{arg, arg, arg}}, native.big)
			}
		}
	})
}
