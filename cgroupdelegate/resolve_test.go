// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

var update = flag.Bool("update", false, "write testdata/ anew")

// What engines write into linux.resources.devices, and a few more.
const (
	denyAll  = `[{"allow":false,"access":"rwm"}]` // runc spec, podman and buildah without root
	allowAll = `[{"allow":false,"access":"rwm"},{"allow":true,"access":"rwm"}]`
	docker   = `[{"allow":false,"access":"rwm"},
		{"allow":true,"type":"c","major":1,"minor":5,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":3,"access":"rwm"},
		{"allow":true,"type":"c","major":1,"minor":9,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":8,"access":"rwm"},
		{"allow":true,"type":"c","major":5,"minor":0,"access":"rwm"},{"allow":true,"type":"c","major":5,"minor":1,"access":"rwm"},
		{"allow":false,"type":"c","major":10,"minor":229,"access":"rwm"}]`
	containerd = `[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":3,"access":"rwm"},
		{"allow":true,"type":"c","major":136,"access":"rwm"},{"allow":true,"type":"c","major":5,"minor":2,"access":"rwm"},
		{"allow":true,"type":"c","major":10,"minor":200,"access":"rwm"}]`
	fuseAllowed  = `[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":10,"minor":229,"access":"rwm"}]`
	fuseReadOnly = `[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":10,"minor":229,"access":"r"}]`
	fuseTaken    = `[{"allow":true,"type":"a","major":-1,"minor":-1,"access":"rwm"},{"allow":false,"type":"c","major":10,"access":"w"}]`
)

func devices(list string) string { return `"devices":` + list }

func TestDecisions(t *testing.T) {
	fuse := Node{"linux.devices[0] /dev/fuse", "c", 10, 229, "rw"}
	null := Node{"mounts[2] /dev/null", "c", 1, 3, "rw"}
	disk := Node{"mounts[1] /dev/sda", "b", 8, 0, ""} // the user has no access to it
	cases := []struct {
		name      string
		resources string // "" for no resources at all
		facts     Facts
	}{ // on a host without cgroup v2
		{"no resources", "", Facts{}},
		{"no resources as root", "", Facts{OwnDevices: true}},
		{"unknown manager", "", Facts{Manager: "foo"}},
		{"runc spec", devices(denyAll), Facts{Nodes: []Node{null, disk}}},
		{"runc spec disabled", devices(denyAll), Facts{Manager: "disabled"}},
		{"runc spec with CAP_MKNOD as root", devices(denyAll), Facts{OwnDevices: true}},
		{"runc spec with fuse", devices(denyAll), Facts{Nodes: []Node{null, fuse}}},
		{"runc spec with fuse disabled", devices(denyAll), Facts{Nodes: []Node{fuse}, Manager: "disabled"}},
		{"runc spec as root", devices(denyAll), Facts{HostUserNamespace: true, Host: Host{Root: true}}},
		{"runc spec as root with a user namespace", devices(denyAll), Facts{Host: Host{Root: true}}},
		{"runc spec as root, no cgroup wanted", devices(denyAll), Facts{HostUserNamespace: true, Host: Host{Root: true}, Manager: None}},
		{"no rules with fuse", devices("[]"), Facts{Nodes: []Node{fuse}, OwnDevices: true}},
		{"privileged", devices(allowAll), Facts{Nodes: []Node{fuse}, OwnDevices: true, Trees: []Tree{{0, "/dev"}}}},
		{"docker", devices(docker) + `,"memory":{"disableOOMKiller":false},"cpu":{"shares":0},"pids":{"limit":0},"blockIO":{"weight":0}`, Facts{Nodes: []Node{null}}},
		{"docker as root", devices(docker), Facts{OwnDevices: true}},
		{"docker with fuse", devices(docker), Facts{Nodes: []Node{fuse}}},
		{"containerd", devices(containerd), Facts{Nodes: []Node{null, {"linux.devices[0] /dev/net/tun", "c", 10, 200, "rw"}}}},
		{"fuse allowed", devices(fuseAllowed), Facts{Nodes: []Node{fuse}}},
		{"fuse allowed for reading", devices(fuseReadOnly), Facts{Nodes: []Node{fuse}}},
		{"fuse denied for writing", devices(fuseTaken), Facts{Nodes: []Node{fuse}}},
		{"fuse denied for writing, readable only", devices(fuseTaken), Facts{Nodes: []Node{{"x", "c", 10, 229, "r"}}}},
		{"host dev bound", devices(denyAll), Facts{Trees: []Tree{{0, "/dev"}}}},
		{"rule type", devices(`[{"allow":true,"type":"z","access":"rwm"}]`), Facts{}},
		{"rule access missing", devices(`[{"allow":true}]`), Facts{}},
		{"rule access", devices(`[{"allow":true,"access":"rx"}]`), Facts{}},
		{"rule major", devices(`[{"allow":true,"type":"c","major":-2,"access":"r"}]`), Facts{}},
		{"memory", `"memory":{"limit":1073741824,"reservation":5,"swap":2147483648}`, Facts{}},
		{"unlimited", `"memory":{"limit":-1,"reservation":0,"swap":-1,"kernel":-1,"kernelTCP":0,"swappiness":0,"useHierarchy":true,"checkBeforeUpdate":true},
			"cpu":{"quota":-1,"period":100000,"realtimeRuntime":0,"realtimePeriod":0,"idle":0,"burst":0},"pids":{"limit":-1},
			"blockIO":{"leafWeight":0,"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":0}],"weightDevice":[{"major":8,"minor":0}]},
			"network":{"classID":0},"unified":{"memory.high":"max"},"rdma":{"mlx5_1":{}}`, Facts{}},
		{"cpu", `"cpu":{"shares":512,"quota":50000,"period":100000,"burst":1,"cpus":"0-1","mems":"0"}`, Facts{}},
		{"pids", `"pids":{"limit":2048}`, Facts{Manager: "systemd"}},
		{"pids and fuse disabled", devices(denyAll) + `,"pids":{"limit":2048},"memory":{"swappiness":60}`, Facts{Manager: "disabled", Nodes: []Node{fuse}}},
		{"io", `"blockIO":{"weight":100,"weightDevice":[{"major":8,"minor":0,"weight":50}],"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1}],
			"throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":2}],"throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":3}],"throttleWriteIOPSDevice":[{"major":8,"minor":0,"rate":4}]}`, Facts{}},
		{"others", `"hugepageLimits":[{"pageSize":"2MB","limit":0}],"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":4}},"unified":{"memory.high":"5","cpu.weight":"7"}`, Facts{}},
		{"cgroup v1", `"memory":{"kernel":1,"kernelTCP":2,"swappiness":60,"disableOOMKiller":true},"cpu":{"realtimeRuntime":1,"realtimePeriod":2},
			"blockIO":{"leafWeight":10,"weightDevice":[{"major":8,"minor":0,"leafWeight":50}]},"network":{"classID":1,"priorities":[{"name":"eth0","priority":5}]}`, Facts{}},
	}
	type result struct {
		Name        string
		Plan        *Plan  `json:",omitempty"`
		Error, Hint string `json:",omitempty"`
	}
	mounts := []specs.Mount{{Destination: "/host", Type: "bind", Source: "/dev", Options: []string{"rbind"}}}
	var got []result
	for _, c := range cases {
		spec := &specs.Spec{Mounts: mounts, Linux: &specs.Linux{CgroupsPath: "user.slice:mycr:x"}}
		c.facts.Host.Layout = Legacy
		if c.resources != "" {
			d := json.NewDecoder(strings.NewReader("{" + c.resources + "}"))
			d.DisallowUnknownFields()
			if err := d.Decode(&spec.Linux.Resources); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		r := result{Name: c.name}
		plan, err := Resolve(spec, c.facts)
		if err != nil {
			r.Error, r.Hint = err.Error(), err.(*Refusal).Hint()
		} else {
			r.Plan = &plan
		}
		got = append(got, r)
	}
	b, err := json.MarshalIndent(got, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "decisions.json", append(b, '\n'))
	if _, err := Resolve(&specs.Spec{}, Facts{}); err != nil {
		t.Error(err)
	}
}

func rules(t *testing.T, list string) *specs.Linux {
	l := &specs.Linux{Resources: &specs.LinuxResources{}}
	if err := json.Unmarshal([]byte(list), &l.Resources.Devices); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestDevicesOfTheHostAreFound(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	bind := func(source string, options ...string) specs.Mount {
		return specs.Mount{Destination: "/x", Type: "bind", Source: source, Options: options}
	}
	plain := t.TempDir()
	l := rules(t, denyAll)
	l.Devices = []specs.LinuxDevice{{Path: "/dev/null", Type: "u", Major: 1, Minor: 3}, {Path: "/dev/fifo", Type: "p"}}
	var f Facts
	err := f.gatherNodes(l, []specs.Mount{
		bind("/dev/full", "bind"),
		bind("/dev/full", "bind", "nodev"),
		bind("/dev", "rbind"),
		bind("/dev", "bind", "nodev"),
		bind("/", "rbind", "nodev"),
		bind("/", "rbind", "rnodev"),
		bind("/dev/pts", "bind"),
		bind("/nonexistent", "bind"),
		bind(plain, "rbind"),
		bind("/proc", "rbind"),
		{Destination: "/dev", Type: "tmpfs", Source: "/dev/full"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var full []Node
	if f.Nodes[len(f.Nodes)-1].Path == "mounts[0] /dev/full" { // not so where /dev is mounted nodev
		full = []Node{{"mounts[0] /dev/full", "c", 1, 7, "rw"}}
	}
	if d := cmp.Diff(append([]Node{{"linux.devices[0] /dev/null", "c", 1, 3, "rw"}}, full...), f.Nodes); d != "" {
		t.Error(d)
	}
	if full != nil {
		if d := cmp.Diff([]Tree{{2, "/dev"}, {4, "/"}}, f.Trees); d != "" {
			t.Error(d)
		}
	}
	f = Facts{}
	if err = f.gatherNodes(rules(t, allowAll), []specs.Mount{bind("/dev", "rbind")}); err != nil || f.Trees != nil {
		t.Errorf("looked for what nobody asked: %v %v", f, err)
	}
}
