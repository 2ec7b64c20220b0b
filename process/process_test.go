// SPDX-License-Identifier: Apache-2.0

package process

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

var update = flag.Bool("update", false, "write the golden files")

// golden is one file of testdata/resolve: what goes in, and the Plan or the
// error that comes out.
type golden struct {
	Process *specs.Process
	Linux   *specs.Linux `json:",omitempty"`
	Facts   Facts
	Plan    *Plan  `json:",omitempty"`
	Error   string `json:",omitempty"`
	Hint    string `json:",omitempty"`
}

func TestResolveGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/resolve/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want, got golden
			for _, g := range []*golden{&want, &got} {
				if err := json.Unmarshal(text, g); err != nil {
					t.Fatal(err)
				}
			}
			got.Plan, got.Error, got.Hint = nil, "", ""
			plan, err := Resolve(got.Process, got.Linux, got.Facts)
			if err != nil {
				got.Error = err.Error()
				if h, ok := err.(interface{ Hint() string }); ok {
					got.Hint = h.Hint()
				}
			} else {
				got.Plan = &plan
			}
			if *update {
				text, _ := json.MarshalIndent(got, "", "  ")
				if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			a, _ := json.MarshalIndent(want, "", "  ")
			b, _ := json.MarshalIndent(got, "", "  ")
			if d := cmp.Diff(string(a), string(b)); d != "" {
				t.Errorf("Plan differs (-want +got):\n%s", d)
			}
		})
	}
}

func hostFacts() Facts {
	all := uint64(1<<41 - 1)
	limits := make([]Limit, rlimitCount)
	for i := range limits {
		limits[i] = Limit{Soft: 1024, Hard: 20000}
	}
	return Facts{UserNamespace: true, UIDs: []IDRange{{0, 1}, {1, 65536}}, GIDs: []IDRange{{0, 65537}},
		LastCap: 40, Bounding: all, NofileSoft: 1024, NofileHard: 20000, Limits: limits}
}

func minimal() *specs.Process {
	return &specs.Process{Args: []string{"sh"}, Cwd: "/", Env: []string{"PATH=/bin"}}
}

// TestResolveRefuses holds the words of what is refused: each names the path in
// config.json and the value.
func TestResolveRefuses(t *testing.T) {
	int1001, umask := 1001, uint32(0o1000)
	for _, c := range []struct {
		name string
		edit func(*specs.Process, *specs.Linux, *Facts)
		want string
	}{
		{"args", func(p *specs.Process, _ *specs.Linux, _ *Facts) { p.Args = nil }, `process.args: must not be empty`},
		{"args NUL", func(p *specs.Process, _ *specs.Linux, _ *Facts) { p.Args = []string{"a\x00b"} }, `process.args[0]: "a\x00b" has a NUL byte`},
		{"cwd", func(p *specs.Process, _ *specs.Linux, _ *Facts) { p.Cwd = "x" }, `process.cwd: "x" is not an absolute path`},
		{"cwd empty", func(p *specs.Process, _ *specs.Linux, _ *Facts) { p.Cwd = "" }, `process.cwd: must not be empty`},
		{"env", func(p *specs.Process, _ *specs.Linux, _ *Facts) { p.Env = []string{"A=b", "FOO"} }, `process.env[1]: "FOO" is not NAME=VALUE`},
		{"env name", func(p *specs.Process, _ *specs.Linux, _ *Facts) { p.Env = []string{"=x"} }, `process.env[0]: "=x" has no name`},
		{"env NUL", func(p *specs.Process, _ *specs.Linux, _ *Facts) { p.Env = []string{"A=b\x00c"} }, `process.env[0]: "A=b\x00c" has a NUL byte`},
		{"uid -1", func(p *specs.Process, _ *specs.Linux, _ *Facts) { p.User.UID = 1<<32 - 1 }, `process.user.uid: 4294967295 is not an id`},
		{"uid unmapped", func(p *specs.Process, _ *specs.Linux, f *Facts) { p.User.UID = 5; f.UIDs = []IDRange{{0, 1}} }, `process.user.uid: 5 is not mapped in the container's user namespace, which has 0`},
		{"gid at the end", func(p *specs.Process, _ *specs.Linux, _ *Facts) { p.User.GID = 65537 }, `process.user.gid: 65537 is not mapped in the container's user namespace, which has 0-65536`},
		{"groups denied", func(p *specs.Process, _ *specs.Linux, f *Facts) {
			p.User.AdditionalGids = []uint32{4, 27}
			f.SetgroupsDenied = true
		}, `process.user.additionalGids: 4, 27 cannot be set, since with a single id the kernel denies setgroups(2)`},
		{"group unmapped", func(p *specs.Process, _ *specs.Linux, _ *Facts) { p.User.AdditionalGids = []uint32{4, 70000} }, `process.user.additionalGids[1]: 70000 is not mapped in the container's user namespace, which has 0-65536`},
		{"umask", func(p *specs.Process, _ *specs.Linux, _ *Facts) { p.User.Umask = &umask }, `process.user.umask: 512 (01000) is above 511 (0777)`},
		{"effective", func(p *specs.Process, _ *specs.Linux, _ *Facts) {
			p.Capabilities = &specs.LinuxCapabilities{Effective: []string{"CAP_KILL"}}
		}, `process.capabilities.effective[0]: CAP_KILL is not in process.capabilities.permitted`},
		{"rlimit name", rlimits(specs.POSIXRlimit{Type: "RLIMIT_NOPE"}), `process.rlimits[0]: "RLIMIT_NOPE" is no limit of getrlimit(2)`},
		{"rlimit order", rlimits(specs.POSIXRlimit{Type: "RLIMIT_NOFILE", Soft: 10, Hard: 5}), `process.rlimits[0] RLIMIT_NOFILE: soft 10 is above hard 5`},
		{"rlimit twice", rlimits(specs.POSIXRlimit{Type: "RLIMIT_CORE"}, specs.POSIXRlimit{Type: "RLIMIT_CORE"}), `process.rlimits[1] RLIMIT_CORE: given twice`},
		{"rlimit hard", rlimits(specs.POSIXRlimit{Type: "RLIMIT_NOFILE", Soft: 1, Hard: 1048576}), `process.rlimits[0] RLIMIT_NOFILE: hard 1048576 is above this user's hard limit 20000`},
		{"rlimit unlimited", rlimits(specs.POSIXRlimit{Type: "RLIMIT_CORE", Soft: 1, Hard: 1<<64 - 1}), `process.rlimits[0] RLIMIT_CORE: hard unlimited is above this user's hard limit 20000`},
		{"oom", func(p *specs.Process, _ *specs.Linux, _ *Facts) { p.OOMScoreAdj = &int1001 }, `process.oomScoreAdj: 1001 is not between -1000 and 1000`},
		{"console", func(p *specs.Process, _ *specs.Linux, _ *Facts) {
			p.Terminal, p.ConsoleSize = true, &specs.Box{Height: 70000}
		}, `process.consoleSize: 70000 by 0 is above 65535`},
		{"apparmor", func(p *specs.Process, _ *specs.Linux, _ *Facts) { p.ApparmorProfile = "x" }, `process.apparmorProfile: "x" cannot be enforced, since AppArmor is not enabled on this host`},
		{"selinux", func(p *specs.Process, _ *specs.Linux, _ *Facts) { p.SelinuxLabel = "x" }, `process.selinuxLabel: "x" cannot be enforced, since SELinux is not enabled on this host`},
		{"scheduler", func(p *specs.Process, _ *specs.Linux, _ *Facts) { p.Scheduler = &specs.Scheduler{Policy: "SCHED_X"} }, `process.scheduler.policy: "SCHED_X" is not a policy of sched(7)`},
		{"scheduler priority", func(p *specs.Process, _ *specs.Linux, _ *Facts) {
			p.Scheduler = &specs.Scheduler{Policy: "SCHED_BATCH", Priority: 3}
		}, `process.scheduler.priority: 3 is only for SCHED_FIFO and SCHED_RR`},
		{"scheduler nice", func(p *specs.Process, _ *specs.Linux, _ *Facts) {
			p.Scheduler = &specs.Scheduler{Policy: "SCHED_OTHER", Nice: 20}
		}, `process.scheduler.nice: 20 is not between -20 and 19`},
		{"io class", func(p *specs.Process, _ *specs.Linux, _ *Facts) {
			p.IOPriority = &specs.LinuxIOPriority{Class: "X"}
		}, `process.ioPriority.class: "X" is not IOPRIO_CLASS_RT, IOPRIO_CLASS_BE or IOPRIO_CLASS_IDLE`},
		{"io priority", func(p *specs.Process, _ *specs.Linux, _ *Facts) {
			p.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 8}
		}, `process.ioPriority.priority: 8 is not between 0 and 7`},
		{"affinity", func(p *specs.Process, _ *specs.Linux, _ *Facts) {
			p.ExecCPUAffinity = &specs.CPUAffinity{Final: "3-1"}
		}, `process.execCPUAffinity.final: "3-1" in "3-1" is not a number or range between 0 and 8191`},
		{"personality", func(_ *specs.Process, l *specs.Linux, _ *Facts) {
			l.Personality = &specs.LinuxPersonality{Domain: "X"}
		}, `linux.personality.domain: "X" is neither LINUX nor LINUX32`},
		{"memory policy", func(_ *specs.Process, l *specs.Linux, _ *Facts) {
			l.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolBind}
		}, `linux.memoryPolicy.nodes: MPOL_BIND needs at least one node`},
		{"memory policy nodes", func(_ *specs.Process, l *specs.Linux, _ *Facts) {
			l.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolLocal, Nodes: "0"}
		}, `linux.memoryPolicy.nodes: "0", but MPOL_LOCAL takes none`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, l, f := minimal(), &specs.Linux{}, hostFacts()
			c.edit(p, l, &f)
			_, err := Resolve(p, l, f)
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func rlimits(list ...specs.POSIXRlimit) func(*specs.Process, *specs.Linux, *Facts) {
	return func(p *specs.Process, _ *specs.Linux, _ *Facts) { p.Rlimits = list }
}

func TestAddCapabilitiesNeverInherits(t *testing.T) {
	p := minimal()
	base := []string{"CAP_KILL"}
	p.Capabilities = &specs.LinuxCapabilities{Bounding: base, Permitted: base, Effective: base}
	AddCapabilities(p, []string{"CAP_SYS_ADMIN"})
	plan, err := Resolve(p, nil, hostFacts())
	if err != nil {
		t.Fatal(err)
	}
	const killAndAdmin = 1<<5 | 1<<21
	c := plan.Caps
	if c.Bounding != killAndAdmin || c.Permitted != killAndAdmin || c.Effective != killAndAdmin || c.Inheritable != 0 || c.Ambient != 0 {
		t.Errorf("capabilities are %+v", c)
	}
	if len(base) != 1 {
		t.Error("the configuration's own list was changed")
	}
}
