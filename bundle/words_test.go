// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// The tutorial's table of docker words and the fields they become.
func TestWordsOfTheTutorial(t *testing.T) {
	pids, no := int64(100), false
	spec := Default(false)
	err := Words{
		Memory: "512m", CPUs: "1.5", Hostname: "demo-host", ReadOnly: true, CapDrop: []string{"ALL"}, User: "1000:1000",
		Env: []string{"A=b", "TERM=dumb", "HOME", "NOTSET"}, Environ: []string{"HOME=/home/u"}, Workdir: "/w",
		Volumes: []string{"/src:/dst:ro", "./x/:/y/"}, Cwd: "/cwd", PidsLimit: &pids, Args: []string{"id"}, Terminal: &no,
	}.Apply(spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(spec); err != nil {
		t.Error(err)
	}
	r, p := spec.Linux.Resources, spec.Process
	if *r.Memory.Limit != 536870912 || *r.CPU.Quota != 150000 || *r.CPU.Period != 100000 || *r.Pids.Limit != 100 {
		t.Errorf("%+v %+v %+v", r.Memory, r.CPU, r.Pids)
	}
	if len(r.Devices) != 1 {
		t.Error("the device rule is gone")
	}
	c := p.Capabilities
	if len(c.Bounding)+len(c.Effective)+len(c.Permitted)+len(c.Ambient)+len(c.Inheritable) != 0 {
		t.Errorf("%+v", c)
	}
	if spec.Hostname != "demo-host" || !spec.Root.Readonly || p.Cwd != "/w" || p.Terminal || p.User.UID != 1000 || p.User.GID != 1000 {
		t.Errorf("%+v", spec)
	}
	want := []string{Default(false).Process.Env[0], "TERM=dumb", "A=b", "HOME=/home/u"}
	if diff := cmp.Diff(want, p.Env); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]specs.Mount{
		{Destination: "/dst", Type: "bind", Source: "/src", Options: []string{"rbind", "rprivate", "rro"}},
		{Destination: "/y", Type: "bind", Source: "/cwd/x", Options: []string{"rbind", "rprivate", "rw"}},
	}, spec.Mounts[len(spec.Mounts)-2:]); diff != "" {
		t.Error(diff)
	}
}

func TestParseBytes(t *testing.T) {
	for s, want := range map[string]int64{
		"512m": 512 << 20, "256m": 268435456, "1g": 1 << 30, "4096": 4096, "10b": 10, "2K": 2048, "1.5g": 3 << 29,
		"64KiB": 65536, "1mb": 1 << 20, "1 g": 1 << 30, "1t": 1 << 40, "0": 0,
	} {
		if got, err := parseBytes(s); got != want || err != nil {
			t.Errorf("%s: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "m", "-1", "1x", "1mm", "1bi", "1ib", "1e3", "inf", "0x10", "9000000p", "1.2.3", "b1", "1m2"} {
		if got, err := parseBytes(s); err == nil {
			t.Errorf("%q: %d", s, got)
		}
	}
}

func TestWordsCPUs(t *testing.T) {
	for s, want := range map[string]int64{"2": 200000, "1.5": 150000, "0.01": 1000, ".5": 50000, "1.1": 110000} {
		spec := Default(false)
		if err := (Words{CPUs: s}).Apply(spec); err != nil || *spec.Linux.Resources.CPU.Quota != want {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestWordsCapabilities(t *testing.T) {
	const three = "CAP_KILL CAP_NET_BIND_SERVICE CAP_AUDIT_WRITE" // the default's, in the kernel's order
	for _, test := range []struct{ add, drop, want string }{
		{"", "kill", "CAP_NET_BIND_SERVICE CAP_AUDIT_WRITE"},
		{"CAP_CHOWN", "", "CAP_CHOWN " + three},
		{"chown", "all", "CAP_CHOWN"},
		{"ALL", "", strings.Join(capabilityNames[:], " ")},
		{"ALL", "ALL", strings.Join(capabilityNames[:], " ")},
		{"kill", "kill", three},
		{"ALL", "CHOWN", strings.Join(capabilityNames[1:], " ")},
	} {
		spec := Default(false)
		w := Words{CapAdd: strings.Fields(test.add), CapDrop: strings.Fields(test.drop)}
		if err := w.Apply(spec); err != nil {
			t.Error(err)
			continue
		}
		c := spec.Process.Capabilities
		for _, set := range [][]string{c.Bounding, c.Effective, c.Permitted} {
			if got := strings.Join(set, " "); got != test.want {
				t.Errorf("add %q drop %q: %s", test.add, test.drop, got)
			}
		}
		if err := Check(spec); err != nil || slices.Contains(c.Inheritable, "CAP_KILL") {
			t.Error(err)
		}
	}
}

func TestWordsErrorsNameTheFlag(t *testing.T) {
	few := int64(-5)
	for _, test := range []struct {
		words Words
		want  string
	}{
		{Words{Memory: "lots"}, `--memory "lots": not a size such as 512m`},
		{Words{Memory: "1g", MemorySwap: "512m"}, `--memory-swap "512m": is memory and swap together, but below --memory "1g"`},
		{Words{MemorySwap: "1g"}, `--memory-swap "1g": is memory and swap together, and needs --memory`},
		{Words{CPUs: "-1"}, `--cpus "-1"`},
		{Words{CPUs: "0.001"}, `--cpus "0.001": the least is 0.01`},
		{Words{CPUs: "NaN"}, `--cpus "NaN"`},
		{Words{CPUs: "1e9"}, `--cpus "1e9"`},
		{Words{PidsLimit: &few}, `--pids-limit -5`},
		{Words{CapAdd: []string{"NOPE"}}, `--cap-add "NOPE": no such capability`},
		{Words{CapDrop: []string{"x\n"}}, `--cap-drop "x\n": no such capability`},
		{Words{User: "www"}, `--user "www": "www" is not a number`},
		{Words{User: "0:"}, `--user "0:": "" is not a number`},
		{Words{User: "4294967295"}, `--user "4294967295": 4294967295 is no id`},
		{Words{Env: []string{"=x"}}, `--env "=x": not NAME=value`},
		{Words{Workdir: "w"}, `--workdir "w": not an absolute path`},
		{Words{Hostname: strings.Repeat("x", 65)}, `--hostname `},
		{Words{Volumes: []string{"/x"}}, `--volume "/x": not SRC:DST[:OPTIONS]`},
		{Words{Volumes: []string{"data:/x"}}, `--volume "data:/x": "data" is a volume's name`},
		{Words{Volumes: []string{"/x:y"}}, `--volume "/x:y": "y" is not an absolute path`},
		{Words{Volumes: []string{"/x:/y:z"}}, `--volume "/x:/y:z": option "z"`},
		{Words{Volumes: []string{"/x:/y:frob"}}, `option "frob" is not known`},
		{Words{Volumes: []string{"/x:/y", "/z:/y/"}}, `"/y" has a volume already`},
	} {
		err := test.words.Apply(Default(false))
		if err == nil || !strings.HasPrefix(err.Error(), test.want) && !strings.HasSuffix(err.Error(), test.want) {
			t.Errorf("got  %v\nwant %s", err, test.want)
			continue
		}
		oneLine(t, err)
	}
}
