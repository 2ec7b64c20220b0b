// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// golden compares with a file in testdata, or writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Error(d)
	}
}

func resources(t *testing.T, text string) *specs.LinuxResources {
	t.Helper()
	d := json.NewDecoder(strings.NewReader("{" + text + "}"))
	d.DisallowUnknownFields()
	r := &specs.LinuxResources{}
	if err := d.Decode(r); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

// What is written for what: files in their order, systemd's properties, or the error's words.
func TestResourcesToFiles(t *testing.T) {
	busy := inForce{quota: 50000, period: 100000, burst: 20000, memory: 128 << 20, swap: 64 << 20, memoryKnown: true, swapKnown: true, memoryUsed: 100 << 20, swapUsed: 10 << 20}
	free := inForce{quota: unlimited, period: 100000, memory: unlimited, swap: unlimited, memoryKnown: true, swapKnown: true}
	idle := free
	idle.idle = true
	cases := []struct {
		name, resources string
		was             *inForce
	}{
		{"tutorial", `"memory":{"limit":134217728},"cpu":{"quota":50000,"period":100000},"pids":{"limit":100}`, nil},
		{"podman --memory 128m --cpus 0.5 --pids-limit 100", `"memory":{"limit":134217728,"swap":268435456},"cpu":{"quota":50000,"period":100000},"pids":{"limit":100}`, nil},
		{"docker", `"memory":{"disableOOMKiller":false},"cpu":{"shares":0},"pids":{"limit":0},"blockIO":{"weight":0}`, nil},
		{"containerd's CRI", `"memory":{"limit":134217728,"swap":134217728},"cpu":{"shares":204,"quota":20000,"period":100000},"unified":{"memory.oom.group":"1"}`, nil},
		{"what a new cgroup has anyway", `"memory":{"limit":-1,"reservation":-1,"swap":-1},"cpu":{"shares":1024,"quota":-1,"period":100000,"burst":0,"idle":0},"unified":{"memory.high":"max","cpu.uclamp.max":"max","hugetlb.2MB.max":"max"}`, nil},
		{"no limit of pids, against systemd's default", `"pids":{"limit":-1}`, nil},
		{"memory", `"memory":{"limit":1073741824,"reservation":536870912,"swap":1073741824}`, nil},
		{"memory without end, swap not", `"memory":{"limit":-1,"swap":1000}`, nil},
		{"swap without memory", `"memory":{"swap":1000}`, nil},
		{"swap below memory", `"memory":{"limit":1000,"swap":999}`, nil},
		{"memory below -1", `"memory":{"limit":-2}`, nil},
		{"cpu", `"cpu":{"shares":512,"quota":50000,"period":100000,"burst":1,"cpus":"0-1,8","mems":"0"}`, nil},
		{"idle", `"cpu":{"shares":1024,"idle":1}`, nil},
		{"idle with a weight", `"cpu":{"shares":512,"idle":1}`, nil},
		{"idle 2", `"cpu":{"idle":2}`, nil},
		{"quota alone", `"cpu":{"quota":150000}`, nil},
		{"quota of a third per cent", `"cpu":{"quota":3333,"period":1000000}`, nil},
		{"period alone", `"cpu":{"period":50000}`, nil},
		{"quota too small", `"cpu":{"quota":999}`, nil},
		{"quota too large", `"cpu":{"quota":17592186044416}`, nil},
		{"period too small", `"cpu":{"quota":1000,"period":999}`, nil},
		{"period too large", `"cpu":{"period":1000001}`, nil},
		{"burst above the quota", `"cpu":{"quota":50000,"burst":50001}`, nil},
		{"burst without a quota", `"cpu":{"burst":50001}`, nil},
		{"cpus backwards", `"cpu":{"cpus":"3-1"}`, nil},
		{"cpus of words", `"cpu":{"cpus":"0,,1"}`, nil},
		{"cpus beyond", `"cpu":{"mems":"8192"}`, nil},
		{"io", `"blockIO":{"weight":500,"weightDevice":[{"major":8,"minor":0,"weight":10},{"major":8,"minor":16,"weight":1000}],
			"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1048576}],"throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":2}],
			"throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":3},{"major":8,"minor":16,"rate":5}],"throttleWriteIOPSDevice":[{"major":8,"minor":0,"rate":4}]}`, nil},
		{"io weight", `"blockIO":{"weight":9}`, nil},
		{"io weight of a device", `"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":1001}]}`, nil},
		{"io device", `"blockIO":{"throttleReadBpsDevice":[{"major":-1,"minor":0,"rate":1}]}`, nil},
		{"hugepages", `"hugepageLimits":[{"pageSize":"2MB","limit":0},{"pageSize":"64KB","limit":18446744073709551615}]`, nil},
		{"hugepages of 1024KB", `"hugepageLimits":[{"pageSize":"1024KB","limit":0}]`, nil},
		{"hugepages with a path", `"hugepageLimits":[{"pageSize":"../2MB","limit":0}]`, nil},
		{"hugepages of nothing", `"hugepageLimits":[{"pageSize":"","limit":0}]`, nil},
		{"rdma", `"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":4},"rxe3":{"hcaObjects":0},"none":{}}`, nil},
		{"rdma of two words", `"rdma":{"mlx5 1":{"hcaHandles":3}}`, nil},
		{"unified", `"unified":{"memory.high":"64M","memory.min":"1k","memory.swap.max":"0","pids.max":"0","cpu.max":" 20000 50000\n","cpu.weight":"7","cpuset.cpus":"1-2",
			"io.max":"8:0 rbps=1\n8:16 wiops=2\n","memory.oom.group":"1","misc.max":"res_a 1","io.weight":"default 50"}`, nil},
		{"unified wins", `"memory":{"limit":1000,"reservation":5},"cpu":{"shares":2,"quota":1000,"burst":10},"pids":{"limit":3},"hugepageLimits":[{"pageSize":"2MB","limit":0}],
			"unified":{"memory.max":"max","memory.low":"6","cpu.weight":"9","cpu.max":"2000","pids.max":"max","hugetlb.2MB.max":"max","cpu.max.burst":"0"}`, nil},
		{"unified idle", `"cpu":{"shares":2},"unified":{"cpu.idle":"1"}`, nil},
		{"unified with a slash", `"unified":{"../memory.max":"1"}`, nil},
		{"unified without a controller", `"unified":{"memory":"1"}`, nil},
		{"unified .", `"unified":{".":"1"}`, nil},
		{"unified of the cgroup", `"unified":{"cgroup.procs":"1"}`, nil},
		{"unified name", `"unified":{"memory.max\n":"1"}`, nil},
		{"unified nothing", `"unified":{"memory.max":" \n"}`, nil},
		{"unified size", `"unified":{"memory.max":"1MB"}`, nil},
		{"unified size beyond", `"unified":{"memory.max":"16E"}`, nil},
		{"unified weight", `"unified":{"cpu.weight":"0"}`, nil},
		{"unified quota", `"unified":{"cpu.max":"1000 1000 1000"}`, nil},
		{"unified quota in words", `"unified":{"cpu.max":"half"}`, nil},

		{"update nothing", `"memory":{"limit":0,"reservation":0,"swap":0},"cpu":{"shares":0,"quota":0,"period":0,"cpus":"","mems":""},"pids":{"limit":0},"blockIO":{"weight":0}`, &busy},
		{"update to no limits", `"memory":{"limit":-1,"reservation":-1,"swap":-1},"cpu":{"shares":1024,"quota":-1,"burst":0},"pids":{"limit":-1},"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":0}]}`, &busy},
		{"update memory to no limit lifts swap", `"memory":{"limit":-1}`, &busy},
		{"update memory keeps the sum", `"memory":{"limit":150994944}`, &busy},
		{"update memory above the sum", `"memory":{"limit":268435456}`, &busy},
		{"update memory without swap's limit", `"memory":{"limit":268435456}`, &free},
		{"update memory to no limit, without swap", `"memory":{"limit":-1}`, &inForce{quota: unlimited, memory: 5, swap: unlimited, memoryKnown: true}},
		{"update swap alone", `"memory":{"swap":268435456}`, &busy},
		{"update swap without memory", `"memory":{"swap":268435456}`, &free},
		{"update memory below use", `"memory":{"limit":104857600,"swap":-1,"checkBeforeUpdate":true}`, &busy},
		{"update swap below use", `"memory":{"limit":104857601,"swap":115343360,"checkBeforeUpdate":true}`, &busy},
		{"update memory above use", `"memory":{"limit":104857601,"swap":115343361,"checkBeforeUpdate":true}`, &busy},
		{"update memory of unknown use", `"memory":{"limit":104857601,"checkBeforeUpdate":true}`, &inForce{quota: unlimited, memory: unlimited, swap: unlimited}},
		{"update quota keeps the period", `"cpu":{"quota":25000}`, &inForce{quota: 10000, period: 20000, memory: unlimited, swap: unlimited}},
		{"update period keeps the quota", `"cpu":{"period":200000}`, &busy},
		{"update quota below the burst", `"cpu":{"quota":10000}`, &busy},
		{"update quota and burst down", `"cpu":{"quota":10000,"burst":5000}`, &busy},
		{"update quota and burst up", `"cpu":{"quota":90000,"burst":80000}`, &busy},
		{"update shares of an idle cgroup", `"cpu":{"shares":512}`, &idle},
		{"update idle away", `"cpu":{"idle":0}`, &idle},
		{"update idle away, with shares", `"cpu":{"idle":0,"shares":512}`, &idle},
		{"update to idle", `"cpu":{"idle":1,"shares":0}`, &free},
		{"update what only cgroup v1 has", `"memory":{"kernelTCP":5},"cpu":{"realtimeRuntime":1}`, &free},
	}
	var text strings.Builder
	for _, c := range cases {
		fmt.Fprintf(&text, "# %s\n", c.name)
		l, old, err := limitsOf(resources(t, c.resources))
		if c.was != nil {
			l, old, err = changesOf(resources(t, c.resources), *c.was)
		}
		if err != nil {
			fmt.Fprintf(&text, "error %v\n", err)
		}
		for _, f := range l.Files {
			fmt.Fprintf(&text, "%-16s %s", f.Name, f.Value)
			for or := f.Else; or != nil; or = or.Else {
				fmt.Fprintf(&text, "   or %s %s", or.Name, or.Value)
			}
			fmt.Fprintf(&text, "   (%s)\n", f.Field)
		}
		for _, p := range l.Properties {
			fmt.Fprintf(&text, "%s=%s %s\n", p.Name, p.Type, p.Value)
		}
		if l.Controllers != nil {
			fmt.Fprintln(&text, "needs", strings.Join(l.Controllers, " "))
		}
		for _, o := range old {
			fmt.Fprintln(&text, "only v1:", o)
		}
		fmt.Fprintln(&text)
	}
	golden(t, "resources.txt", []byte(text.String()))
}

// The points for which the formula was made, and what runc and Kubernetes publish of it.
func TestSharesToWeight(t *testing.T) {
	for shares, want := range map[uint64]uint64{1: 1, 2: 1, 102: 17, 1024: 100, 2000: 170, 262144: 10000, 1 << 40: 10000} {
		if got := weightOf(shares); got != want {
			t.Errorf("%d shares are the weight %d, not %d", shares, got, want)
		}
	}
	for shares := uint64(2); shares < 262144; shares++ {
		if weightOf(shares) > weightOf(shares+1) {
			t.Errorf("%d shares weigh more than %d", shares, shares+1)
		}
	}
}
