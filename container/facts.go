// SPDX-License-Identifier: Apache-2.0

package container

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"mycr/cgroupdelegate"
	"mycr/idmap"
	"mycr/linux"
	"mycr/netns"
	"mycr/process"
	"mycr/rootfs"
	"mycr/userns"
)

// facts are what the rooms have to know of the host to decide; only what this
// bundle needs is gathered.
type facts struct {
	initial bool // mycr runs in the initial user namespace
	ids     idmap.Facts
	joined  userns.Joined // the user namespace that is joined, if one is
	rootfs  rootfs.Facts
	process process.Facts
	cgroup  cgroupdelegate.Facts
	network netns.Facts
}

// gather asks each room's own Gather. The namespaces are decided on the way,
// since the maps of a user namespace that is joined are to be seen only from
// inside.
func (p *plan) gather(o *CreateOptions) error {
	namespaces, err := userns.Gather(p.spec.Linux)
	for _, t := range namespaces.Targets {
		p.fds = append(p.fds, t.FD)
		if t.Owner >= 0 {
			p.fds = append(p.fds, t.Owner)
		}
	}
	if err != nil {
		return err
	}
	if p.userns, err = userns.Resolve(p.spec.Linux, namespaces); err != nil {
		return err
	}
	f := &p.facts
	if p.userns.User == userns.UserJoined {
		if f.joined, err = p.userns.Look(); err != nil {
			return explain(err)
		}
	}
	if f.ids, err = idmap.Gather(filepath.Dir(linux.ExePath())); err != nil {
		return err
	}
	f.initial = isInitial(f.ids.OuterUIDs)
	p.ownedNamespaces()
	if !f.initial && f.ids.UID == 0 && f.rootfs.NewUserNamespace {
		f.rootfs.OwnsMounts = userns.OwnsMounts()
	}
	if err = rootfs.Gather(p.spec, &f.rootfs); err != nil {
		return err
	}
	if f.process, err = process.Gather(p.spec.Process); err != nil {
		return err
	}
	f.network.New, f.network.Root = p.userns.New&unix.CLONE_NEWNET != 0, f.ids.UID == 0
	f.network.RealRoot = f.network.Root && f.initial
	netns.Gather(&o.Network, &f.network)
	f.cgroup.ID, f.cgroup.Manager, f.cgroup.Trusted = o.ID, o.Manager, o.TrustAnnotations
	return cgroupdelegate.Gather(p.spec, &f.cgroup, f.initial && f.ids.UID == 0)
}

// initialUserNamespace tells whether this process sees all ids as they are.
func initialUserNamespace() bool {
	b, err := linux.ReadFile("/proc/self/uid_map")
	if err != nil {
		return os.Geteuid() == 0 // without /proc nothing says otherwise
	}
	maps, err := idmap.ParseMaps(b)
	return err == nil && isInitial(maps)
}

// isInitial tells whether a uid_map is that of the initial user namespace; see
// user_namespaces(7).
func isInitial(maps []idmap.Map) bool {
	return len(maps) == 1 && maps[0] == idmap.Map{Size: 1<<32 - 1}
}
