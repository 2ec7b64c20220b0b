// SPDX-License-Identifier: Apache-2.0

package container

import (
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/bundle"
	"mycr/cgroupdelegate"
	"mycr/idmap"
	"mycr/process"
	"mycr/rootfs"
	"mycr/userns"
)

var update = flag.Bool("update", false, "write testdata/golden/ anew")

// configs has the config.json files that engines wrote, and the labs'.
const configs = "../bundle/testdata/config"

// situation is who runs mycr: the facts of an imagined host.
type situation struct {
	facts    facts
	ordinary bool
}

// Ids as they are on the host, and as a user namespace has them that maps all
// of a user's.
var (
	outerAll = []idmap.Map{{Size: 1<<32 - 1}}
	outerOwn = []idmap.Map{{ContainerID: 0, HostID: 1000, Size: 1}, {ContainerID: 1, HostID: 100000, Size: 65536}}
)

const (
	lastCap = unix.CAP_CHECKPOINT_RESTORE
	allCaps = 1<<(lastCap+1) - 1
)

var controllers = []string{"cpuset", "cpu", "io", "memory", "pids"}

// situations by the name that golden files have.
func situations(name string) situation {
	limits := make([]process.Limit, unix.RLIMIT_RTTIME+1)
	for i := range limits {
		limits[i] = process.Limit{Soft: unix.RLIM_INFINITY, Hard: unix.RLIM_INFINITY}
	}
	limits[unix.RLIMIT_NOFILE] = process.Limit{Soft: 1024, Hard: 1048576}
	limits[unix.RLIMIT_NPROC] = process.Limit{Soft: 32768, Hard: 32768}
	s := situation{facts: facts{
		ids:    idmap.Facts{PageSize: 4096, OuterUIDs: outerAll, OuterGIDs: outerAll},
		rootfs: rootfs.Facts{Kcore: true, SysEntries: []string{"kernel", "fs/ext4"}},
		process: process.Facts{
			Limits: limits, NofileSoft: 1024, NofileHard: 1048576, LastCap: lastCap, StdioPipes: []int{1, 2},
		},
	}}
	f := &s.facts
	f.cgroup.Host = cgroupdelegate.Host{ // a login session
		Layout: cgroupdelegate.Unified, Own: "/user.slice/user-1000.slice/session-2.scope",
		ManagerCgroup: "/user.slice/user-1000.slice/user@1000.service", ManagerControllers: controllers, Nearest: "/",
	}
	switch name {
	case "user", "single": // an ordinary user, with subordinate ids or without
		s.ordinary, f.initial = true, true
		f.ids.UID, f.ids.GID, f.ids.User = 1000, 1000, "user"
		f.process.OOMScoreAdj = 200 // what systemd gives to what a user starts
		if name == "user" {
			f.ids.SubUIDs = []idmap.Range{{Start: 100000, Size: 65536}}
			f.ids.SubGIDs = f.ids.SubUIDs
			f.ids.Newuidmap.Path, f.ids.Newgidmap.Path = "/usr/bin/newuidmap", "/usr/bin/newgidmap"
		} else {
			f.ids.FreeSubID, f.ids.Distro, f.ids.Usermod = 100000, "debian", true
		}
	case "inside": // root of a user's user namespace: podman, rootless docker
		f.ids.Privileged = true
		f.ids.OuterUIDs, f.ids.OuterGIDs = outerOwn, outerOwn
		f.process.OOMScoreAdj, f.process.Bounding = 200, allCaps
	case "hybrid": // an ordinary user where there is no cgroup v2
		s = situations("user")
		f.cgroup.Host = cgroupdelegate.Host{Layout: cgroupdelegate.Legacy}
	case "root":
		f.cgroup.Host = cgroupdelegate.Host{
			Layout: cgroupdelegate.Unified, Root: true, Own: "/init.scope", NoManager: &cgroupdelegate.Refusal{Cause: "no systemd"},
			Nearest: "/", NearestWritable: true, NearestControllers: controllers,
		}
		f.initial, f.ids.Privileged = true, true
		f.process.CapSysResource, f.process.Bounding = true, allCaps
	}
	return s
}

// decideIn is what resolve does, with the facts of s in place of the host's.
func decideIn(s situation, spec *specs.Spec, targets []userns.Target, o CreateOptions) (*plan, error) {
	o.Spec, o.Bundle = spec, "/bundle"
	p := &plan{facts: s.facts}
	if err := p.read(&o); err != nil {
		return nil, err
	}
	p.facts.cgroup.ID, p.facts.cgroup.Manager = o.ID, o.Manager
	var err error
	f := userns.Facts{Ordinary: s.ordinary, Targets: targets}
	if p.userns, err = userns.Resolve(p.spec.Linux, f); err != nil {
		return nil, err
	}
	p.facts.network.New, p.facts.network.Root = p.userns.New&unix.CLONE_NEWNET != 0, p.facts.ids.UID == 0
	p.ownedNamespaces()
	if p.userns.User == userns.UserJoined {
		p.facts.joined.UIDMap = "0 1000 1\n1 100000 65536\n"
		p.facts.joined.GIDMap = p.facts.joined.UIDMap
	}
	for i, d := range p.spec.Linux.Devices {
		if d.Type != "p" {
			p.facts.cgroup.Nodes = append(p.facts.cgroup.Nodes, cgroupdelegate.Node{
				Path: "linux.devices[" + strconv.Itoa(i) + "] " + d.Path, Type: d.Type, Major: d.Major, Minor: d.Minor, Access: "rw",
			})
		}
	}
	return p, p.decide(&o)
}

// TestGoldenPlans: what engines write goes in, what mycr decides comes out. A
// change here is a change for everybody who runs such a container.
func TestGoldenPlans(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the seccomp filters in the golden plans are those of amd64")
	}
	const disabled = cgroupdelegate.Disabled
	// What the paths of namespaces lead to.
	hosts := userns.Target{Type: unix.CLONE_NEWNET, Current: true, FD: 10, Owner: -1}
	roots := userns.Target{Type: unix.CLONE_NEWNET, FD: 10, Owner: -1, OwnerOwn: true}
	sibling := userns.Target{Type: unix.CLONE_NEWPID, FD: 10, Owner: 11, OwnerID: 4026532000} // another container's
	siblingOfRoot := userns.Target{Type: unix.CLONE_NEWPID, FD: 10, Owner: -1, OwnerOwn: true}
	for _, c := range []struct {
		config, situation, manager string
		targets                    []userns.Target
	}{
		{"runc", "user", "", nil},
		{"runc", "single", "", nil},
		{"runc", "inside", "", nil},
		{"runc", "root", "", nil},
		{"runc-rootless", "user", "", nil},
		{"runc-rootless-user", "user", "", nil},
		{"runc-rootless-user", "single", "", nil},
		{"runc-rootless", "inside", "", nil},
		{"runc-rootless", "root", "", nil},
		{"docker", "user", "", nil},
		{"docker", "inside", "", nil},
		{"docker", "root", "", nil},
		{"docker", "root", disabled, nil},
		{"docker-limits", "user", "", nil},
		{"docker-limits", "inside", "", nil},
		{"docker-limits", "root", "", nil},
		{"docker-limits", "hybrid", "", nil},
		{"docker-limits", "user", disabled, nil},
		{"docker-limits", "inside", disabled, nil},
		{"docker-limits", "root", disabled, nil},
		{"docker-user", "user", "", nil},
		{"docker-user", "single", "", nil},
		{"docker-user", "inside", "", nil},
		{"docker-user", "root", "", nil},
		{"docker-privileged", "user", "", []userns.Target{hosts}},
		{"docker-privileged", "inside", "", []userns.Target{hosts}},
		{"docker-privileged", "root", "", []userns.Target{hosts}},
		{"containerd", "user", disabled, nil},
		{"containerd", "inside", disabled, nil},
		{"containerd", "root", "", nil},
		{"containerd", "root", disabled, nil},
		{"containerd-limits", "root", "", []userns.Target{roots}},
		{"containerd-limits", "user", disabled, []userns.Target{roots}},
		{"containerd-limits", "inside", disabled, []userns.Target{roots}},
		{"containerd-limits", "root", disabled, []userns.Target{roots}},
		{"podman-root", "user", "", nil},
		{"podman-root", "root", "", nil},
		{"podman-root", "root", disabled, nil},
		{"podman-privileged", "inside", disabled, nil},
		{"podman-privileged", "root", disabled, nil},
		{"podman-rootless", "user", "", nil},
		{"podman-rootless", "inside", "", nil},
		{"podman-rootless-keep-id", "user", "", nil},
		{"podman-rootless-keep-id", "inside", "", nil},
		{"buildah", "user", "", nil},
		{"buildah", "single", "", nil},
		{"buildah", "inside", "", nil},
		{"buildah", "root", "", nil},
		{"lab1", "user", "", nil},
		{"lab1", "single", "", nil},
		{"lab1", "inside", "", nil},
		{"lab1", "root", "", nil},
		{"lab2", "user", "", nil},
		{"lab2", "inside", "", nil},
		{"lab2", "root", "", nil},
		{"lab2", "hybrid", "", nil},
		{"lab2", "user", disabled, nil},
		{"lab2", "root", disabled, nil},
		{"lab3", "user", "", []userns.Target{sibling}},
		{"lab3", "root", "", []userns.Target{siblingOfRoot}},
		{"lab5", "user", "", nil},
		{"lab5", "root", "", nil},
	} {
		name := c.config + "." + c.situation
		if c.manager != "" {
			name += "." + c.manager
		}
		t.Run(name, func(t *testing.T) {
			p, err := decideIn(situations(c.situation), captured(t, c.config), c.targets, CreateOptions{ID: "demo", Manager: c.manager})
			compare(t, filepath.Join("testdata", "golden", name+".json"), decision(t, p, err))
		})
	}
}

func captured(t testing.TB, config string) *specs.Spec {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(configs, config+".json"))
	if err != nil {
		t.Fatal(err)
	}
	spec, err := bundle.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func compare(t *testing.T, golden string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("decided otherwise (-want +got):\n%s", diff)
	}
}
