// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"encoding/json"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

var (
	all     = []string{"cpuset", "cpu", "io", "memory", "pids"}
	session = Host{
		Layout: Unified, Own: "/user.slice/user-1000.slice/session-2.scope",
		Manager:       manager{UID: 1000, Addresses: []string{"unix:path=/run/user/1000/bus"}},
		ManagerCgroup: "/user.slice/user-1000.slice/user@1000.service", ManagerControllers: all,
	}
	noSession = Host{
		Layout: Unified, Own: "/system.slice/cron.service",
		NoManager: &Refusal{Cause: "there is no systemd user manager", Remedy: "sudo loginctl enable-linger dev"},
	}
	system = Host{
		Layout: Unified, Root: true, Own: "/user.slice/user-0.slice/session-1.scope",
		Manager: manager{System: true, Addresses: []string{"unix:path=/run/systemd/private"}}, ManagerCgroup: "/", ManagerControllers: all,
		Nearest: "/", NearestControllers: all, NearestWritable: true,
	}
)

// with returns a host that differs in what change does.
func with(h Host, change func(*Host)) Host {
	change(&h)
	return h
}

func delegatedTo(controllers ...string) func(*Host) {
	return func(h *Host) {
		h.Own = "/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope"
		h.Delegated, h.DelegatedControllers = h.Own, controllers
	}
}

func TestLadder(t *testing.T) {
	const memory = `{"memory":{"limit":134217728}}`
	withoutCPU := func(h *Host) { h.ManagerControllers = []string{"memory", "pids"} }
	foreign := func(h *Host) { delegatedTo(all...)(h); h.Foreign = []int{42} }
	nearest := func(name string, writable bool) func(*Host) {
		return func(h *Host) { h.Nearest, h.NearestWritable, h.NearestControllers = name, writable, all }
	}
	cases := []struct {
		name, path, resources, manager string
		host                           Host
		annotations                    map[string]string
		writable, noMaker              bool
	}{
		{name: "session", resources: memory, host: session},
		{name: "session, nothing asked", host: session},
		{name: "session, slice and prefix", path: "my-own.slice:libpod:abc", resources: memory, host: session},
		{name: "session, writable mount", resources: memory, host: session, writable: true},
		{name: "session, no cpu", resources: `{"cpu":{"quota":50000}}`, host: with(session, withoutCPU)},
		{name: "session, two limits, one missing", resources: `{"memory":{"limit":5000000},"cpu":{"quota":50000}}`, host: with(session, withoutCPU)},
		{name: "session, subgroup", host: session, annotations: map[string]string{subgroupAnnotation: "inner"}},
		{name: "session, no subgroup", host: session, annotations: map[string]string{subgroupAnnotation: ""}},
		{name: "session, bad subgroup", host: session, annotations: map[string]string{subgroupAnnotation: "../x"}},
		{name: "delegated scope", resources: memory, host: with(session, delegatedTo(all...))},
		{name: "delegated scope, systemd asked", resources: memory, manager: Systemd, host: with(session, delegatedTo(all...))},
		{name: "delegated scope, cgroupfs asked", resources: memory, manager: Cgroupfs, host: with(session, delegatedTo(all...))},
		{name: "delegated scope with a foreign process", resources: memory, host: with(session, foreign)},
		{name: "delegated scope without the controller", resources: memory, host: with(session, delegatedTo("pids"))},
		{name: "no session", resources: memory, host: noSession},
		{name: "no session, nothing asked", host: noSession},
		{name: "no session, systemd asked", manager: Systemd, host: noSession},
		{name: "no session, path, nothing asked", path: "user.slice:libpod:abc", host: noSession},
		{name: "literal path", path: "/user.slice/x/libpod-payload-abc", resources: memory, host: with(session, nearest("/user.slice/x", true))},
		{name: "literal path, not writable", path: "/docker/abc", resources: memory, host: with(session, nearest("/", false))},
		{name: "literal path, not writable, nothing asked", path: "/docker/abc", host: with(session, nearest("/", false))},
		{name: "relative path", path: "a/b", manager: Cgroupfs, host: with(session, nearest("/", true))},
		{name: "path with ..", path: "/a/../../b", host: session},
		{name: "systemd with a path of cgroupfs", path: "/docker/abc", manager: Systemd, host: session},
		{name: "root", resources: memory, host: system},
		{name: "root, cgroupfs", manager: Cgroupfs, resources: memory, host: system},
		{name: "root, docker's path", path: "/docker/abc", resources: memory, host: system},
		{name: "root, docker's devices", path: "/docker/abc", resources: `{"devices":` + docker + `}`, host: system},
		{name: "root, devices that nobody in it can make", resources: `{"devices":` + denyAll + `}`, host: system, noMaker: true},
		{name: "root, privileged mount", path: "/docker/abc", host: system, writable: true},
		{name: "hybrid", resources: memory, host: Host{Layout: Legacy}},
		{name: "hybrid, systemd asked", manager: Systemd, host: Host{Layout: Legacy}},
		{name: "hybrid, nothing asked", host: Host{Layout: Legacy}},
		{name: "no cgroups at all", resources: memory, host: Host{Layout: Absent}},
		{name: "disabled", resources: memory, manager: Disabled, host: session},
		{name: "systemd's property", host: session, annotations: map[string]string{"org.systemd.property.KillSignal": "int32 15"}},
		{name: "systemd's property, not trusted", host: session, annotations: map[string]string{"org.systemd.property.ExecStop": "'x'"}},
	}
	type result struct {
		Name        string
		Plan        *Plan  `json:",omitempty"`
		Error, Hint string `json:",omitempty"`
	}
	var got []result
	for _, c := range cases {
		mount := specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Options: []string{"ro"}}
		if c.writable {
			mount.Options = []string{"ro", "rw"}
		}
		spec := &specs.Spec{Annotations: c.annotations, Mounts: []specs.Mount{mount}, Linux: &specs.Linux{CgroupsPath: c.path}}
		if c.resources != "" {
			if err := json.Unmarshal([]byte(c.resources), &spec.Linux.Resources); err != nil {
				t.Fatal(err)
			}
		}
		r := result{Name: c.name}
		plan, err := Resolve(spec, Facts{ID: "c1", Manager: c.manager, Host: c.host, OwnNamespace: true, OwnDevices: c.host.Root && !c.noMaker, HostUserNamespace: c.host.Root})
		if err != nil {
			r.Error = err.Error()
			if h, ok := err.(interface{ Hint() string }); ok {
				r.Hint = h.Hint()
			}
		} else {
			r.Plan = &plan
		}
		got = append(got, r)
	}
	b, err := json.MarshalIndent(got, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "ladder.json", append(b, '\n'))
}
