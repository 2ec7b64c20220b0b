// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/bundle"
	"mycr/cgroupdelegate"
	"mycr/hooks"
	"mycr/idmap"
	"mycr/netns"
	"mycr/process"
	"mycr/rootfs"
	"mycr/seccomp"
	"mycr/userns"
)

// plan is everything that was decided about a new container.
type plan struct {
	spec    *specs.Spec
	userns  userns.Plan
	ids     idmap.Plan
	orders  Orders
	exec    execBase
	hooks   laterHooks
	cgroup  cgroupdelegate.Plan
	record  Record
	facts   facts
	network netns.Plan
	files   []netns.File // of the network, in the state directory
	notify  int          // connected to the caller's service manager, to be relayed to; or -1
	fds     descriptors  // to be closed when the child has them
}

// laterHooks are those that a later command runs; they are kept apart from the
// record, which every command reads.
type laterHooks struct {
	Version   int
	Poststart []specs.Hook
	Poststop  []specs.Hook
}

// hooksName is the file of laterHooks in the state directory.
const hooksName = "hooks"

// resolve reads the bundle, gathers the facts of the host and decides.
func resolve(o *CreateOptions) (_ *plan, err error) {
	p := &plan{notify: -1}
	defer func() {
		if err != nil {
			p.fds.close()
			if p.notify >= 0 {
				unix.Close(p.notify)
			}
		}
	}()
	if err := p.read(o); err != nil {
		return nil, err
	}
	if err := p.decideNotify(o); err != nil {
		return nil, err
	}
	if err := p.gather(o); err != nil {
		return nil, err
	}
	if err := p.decide(o); err != nil {
		return nil, err
	}
	if err := p.connectSockets(o); err != nil {
		return nil, err
	}
	p.describe(o)
	return p, nil
}

// decide lets each room decide from the facts, and does nothing else.
func (p *plan) decide(o *CreateOptions) error {
	for _, decide := range []func(*CreateOptions) error{
		p.decideIDs, p.decideProcess, p.decideCgroup, p.decideNetwork, p.decideRootfs, p.decideSeccomp, p.decideOrders,
	} {
		if err := decide(o); err != nil {
			return err
		}
	}
	return nil
}

// read takes the specification from the bundle, unless the caller made one.
func (p *plan) read(o *CreateOptions) error {
	dir, err := filepath.Abs(o.Bundle)
	if err != nil {
		return fmt.Errorf("--bundle %q: %w", o.Bundle, err)
	}
	o.Bundle = dir
	if p.spec = o.Spec; p.spec == nil {
		if p.spec, err = bundle.Read(dir); err != nil {
			return err
		}
	}
	if err := bundle.Check(p.spec); err != nil {
		return err
	}
	if p.spec.Process == nil {
		return errors.New("process property must not be empty")
	}
	if p.spec.Linux == nil {
		p.spec.Linux = &specs.Linux{}
	}
	return nil
}

// decideIDs decides about ids, of the user namespace that was decided when the
// facts were gathered.
func (p *plan) decideIDs(*CreateOptions) (err error) {
	l := *p.spec.Linux
	if p.userns.User == userns.UserShared {
		forgetOwnNamespace(&l)
	}
	if p.userns.User == userns.UserJoined {
		if l.UIDMappings, err = toSpec(p.facts.joined.UIDMap); err != nil {
			return err
		}
		if l.GIDMappings, err = toSpec(p.facts.joined.GIDMap); err != nil {
			return err
		}
	}
	if p.userns.AutoUser && p.userns.User == userns.UserJoined {
		j := p.userns.Joined(unix.CLONE_NEWUSER)
		l.Namespaces = append(append([]specs.LinuxNamespace(nil), l.Namespaces...), specs.LinuxNamespace{Type: specs.UserNamespace, Path: j.Path})
	}
	if p.ids, err = idmap.Resolve(&l, p.spec.Process.User, p.facts.ids); err != nil {
		return err
	}
	p.ids.DenySetgroups = p.ids.DenySetgroups || p.facts.joined.SetgroupsDenied
	return nil
}

// forgetOwnNamespace takes away a user namespace that is named by path and is
// the caller's own, with what the bundle says of its maps.
func forgetOwnNamespace(l *specs.Linux) {
	for i, ns := range l.Namespaces {
		if ns.Type == specs.UserNamespace {
			l.Namespaces = slices.Delete(slices.Clone(l.Namespaces), i, i+1)
			l.UIDMappings, l.GIDMappings = nil, nil
			return
		}
	}
}

func toSpec(text string) ([]specs.LinuxIDMapping, error) {
	maps, err := idmap.ParseMaps([]byte(text))
	if err != nil {
		return nil, err
	}
	var list []specs.LinuxIDMapping
	for _, m := range maps {
		list = append(list, specs.LinuxIDMapping{ContainerID: m.ContainerID, HostID: m.HostID, Size: m.Size})
	}
	return list, nil
}

// inUserNamespace tells whether the container's user namespace is not the
// initial one.
func (p *plan) inUserNamespace() bool {
	return p.userns.User != userns.UserShared || !p.facts.initial
}

// ownedNamespaces tells rootfs of the namespaces, which are decided by then.
func (p *plan) ownedNamespaces() {
	facts := &p.facts.rootfs
	facts.UserNamespace, facts.NewUserNamespace = p.inUserNamespace(), p.userns.User == userns.UserNew
	facts.Privileged = p.facts.ids.UID == 0 && p.facts.initial
	facts.OwnNetwork = p.userns.Owns(unix.CLONE_NEWNET)
	facts.OwnCgroup = p.userns.Owns(unix.CLONE_NEWCGROUP)
	facts.OwnIPC = p.userns.Owns(unix.CLONE_NEWIPC)
	facts.OwnPID = p.userns.Owns(unix.CLONE_NEWPID)
	facts.OwnMount = p.userns.Owns(unix.CLONE_NEWNS)
}

func (p *plan) decideRootfs(o *CreateOptions) (err error) {
	facts := p.facts.rootfs
	facts.CallersCgroup = p.cgroup.Mode == cgroupdelegate.None || p.cgroup.Mode == cgroupdelegate.Disabled
	facts.NoPivot = o.NoPivot
	facts.SysAdmin = p.orders.Process.Caps.MayHave(unix.CAP_SYS_ADMIN)
	facts.MappedUIDs, facts.MappedGIDs = rootfsMaps(p.ids.UIDs), rootfsMaps(p.ids.GIDs)
	p.orders.Rootfs, err = rootfs.Resolve(p.spec, o.Bundle, facts)
	return err
}

func rootfsMaps(maps []idmap.Map) []rootfs.Map {
	list := make([]rootfs.Map, len(maps))
	for i, m := range maps {
		list[i] = rootfs.Map{ContainerID: m.ContainerID, HostID: m.HostID, Size: m.Size}
	}
	return list
}

func (p *plan) decideProcess(*CreateOptions) (err error) {
	facts := p.facts.process
	fillProcessFacts(&facts, p.userns.User != userns.UserShared, p.ids, p.spec.Annotations)
	p.orders.Process, err = process.Resolve(p.spec.Process, p.spec.Linux, facts)
	return err
}

// keepGroups is podman's --group-add keep-groups.
const keepGroups = "run.oci.keep_original_groups"

func fillProcessFacts(f *process.Facts, userNamespace bool, ids idmap.Plan, annotations map[string]string) {
	f.UserNamespace = userNamespace
	f.SetgroupsDenied = ids.DenySetgroups
	f.KeepGroups = annotations[keepGroups] != "" && annotations[keepGroups] != "0"
	for _, m := range ids.UIDs {
		f.UIDs = append(f.UIDs, process.IDRange{First: m.ContainerID, Size: m.Size})
	}
	for _, m := range ids.GIDs {
		f.GIDs = append(f.GIDs, process.IDRange{First: m.ContainerID, Size: m.Size})
	}
}

func (p *plan) decideSeccomp(*CreateOptions) (err error) {
	p.orders.Seccomp, err = seccomp.Resolve(p.spec.Linux.Seccomp, seccomp.Facts{Arch: runtime.GOARCH})
	return err
}

func (p *plan) decideCgroup(o *CreateOptions) (err error) {
	// A device node of one's own takes a capability over the first user namespace.
	facts := p.facts.cgroup
	facts.OwnNamespace = p.userns.Owns(unix.CLONE_NEWCGROUP)
	facts.HostUserNamespace = !p.inUserNamespace()
	facts.OwnDevices = facts.HostUserNamespace && p.orders.Process.Caps.MayHave(unix.CAP_MKNOD, unix.CAP_SYS_ADMIN)
	if p.cgroup, err = cgroupdelegate.Resolve(p.spec, facts); err != nil {
		return err
	}
	p.record.Cgroup = p.cgroup.Group()
	if p.cgroup.HasCgroup() {
		// The root of a new namespace is the cgroup of who makes it: clone3 with CLONE_INTO_CGROUP takes the
		// parent's (copy_cgroup_ns in the kernel), and a manager moves the child later.
		p.orders.Cgroup = CgroupOrders{Wait: p.cgroup.Mode == cgroupdelegate.Systemd, Unshare: p.userns.New&unix.CLONE_NEWCGROUP != 0}
		p.userns.Later = p.userns.New & unix.CLONE_NEWCGROUP
	}
	return nil
}

func (p *plan) decideOrders(o *CreateOptions) (err error) {
	s, b := p.spec, &p.orders
	b.Version, b.ID = ordersVersion, o.ID
	b.Status, b.Gate, b.Console, b.Listener = -1, -1, -1, -1
	b.UID, b.GID = p.ids.SetupUID, p.ids.SetupGID
	b.SetIDs = p.userns.User != userns.UserShared
	b.Hostname, b.Domainname = s.Hostname, s.Domainname
	b.Sysctls = append(b.Sysctls, sysctls(s.Linux.Sysctl)...) // those of the network come first
	if !o.NoNewKeyring {
		b.Keyring = "_ses." + o.ID
	}
	if h := s.Hooks; h != nil {
		lists := hooks.Lists(h)
		b.RuntimeHooks = len(lists[0].Hooks)+len(lists[1].Hooks) > 0 // prestart, createRuntime
		b.CreateContainer, b.StartContainer = h.CreateContainer, h.StartContainer
		p.hooks = laterHooks{Version: recordVersion, Poststart: h.Poststart, Poststop: h.Poststop}
	}
	b.HookState = specs.State{Version: s.Version, ID: o.ID, Bundle: o.Bundle, Annotations: s.Annotations}
	b.Terminal, b.DieWithParent = s.Process.Terminal, o.DieWithParent
	b.PreserveFDs = o.PreserveFDs
	p.exec = execBase{
		Version: recordVersion, Process: *s.Process, Personality: s.Linux.Personality, MemoryPolicy: s.Linux.MemoryPolicy,
		Seccomp: b.Seccomp, IDs: p.ids, KeepGroups: s.Annotations[keepGroups], UserNamespace: b.SetIDs, HostCgroups: b.Rootfs.HostCgroups,
		RoutesGuard: p.network.RoutesGuard(),
	}
	return nil
}

// sysctls sorts by path, which has slashes: in a key that has dots only, a dot
// separates; in one with a slash first, dots are part of a name (sysctl.d(5)).
func sysctls(m map[string]string) []Sysctl {
	var list []Sysctl
	for key, v := range m {
		k := key
		if dot, slash := strings.IndexByte(k, '.'), strings.IndexByte(k, '/'); slash < 0 || dot >= 0 && dot < slash {
			k = strings.Map(func(r rune) rune {
				switch r {
				case '.':
					return '/'
				case '/':
					return '.'
				}
				return r
			}, k)
		}
		list = append(list, Sysctl{key, k, v})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Path < list[j].Path })
	return list
}

// connectSockets connects to those who wait for a descriptor.
func (p *plan) connectSockets(o *CreateOptions) (err error) {
	terminal := p.spec.Process.Terminal
	switch {
	case o.ConsoleSocket != "" && !terminal:
		return errors.New("--console-socket: process.terminal is false, so there is no terminal to send")
	case o.ConsoleSocket == "" && terminal && !o.Foreground:
		return &withHint{errors.New("process.terminal is true, but nobody takes the terminal: cannot allocate tty if mycr will detach without setting console socket"),
			"run in the foreground, or give --console-socket PATH"}
	case o.ConsoleSocket != "":
		if p.orders.Console, err = p.fds.connect(o.ConsoleSocket); err != nil {
			return fmt.Errorf("--console-socket: %w", err)
		}
	}
	if p.orders.Seccomp.Notify {
		if p.orders.Listener, err = p.fds.connect(p.orders.Seccomp.ListenerPath); err != nil {
			return fmt.Errorf("linux.seccomp.listenerPath: %w", err)
		}
	}
	return checkPreserved(o.PreserveFDs)
}

func (p *plan) describe(o *CreateOptions) {
	s, r := p.spec, &p.record
	r.Version, r.ID, r.Created, r.Creating = recordVersion, o.ID, now(), true
	r.OCIVersion, r.Bundle, r.Annotations = s.Version, o.Bundle, s.Annotations
	r.Rootfs = s.Root.Path
	if !filepath.IsAbs(r.Rootfs) {
		r.Rootfs = filepath.Join(o.Bundle, r.Rootfs)
	}
	r.BootID = bootID()
	r.Poststart, r.Poststop = len(p.hooks.Poststart) > 0, len(p.hooks.Poststop) > 0
	r.Reaper = o.Reaper
	r.SharedPID = p.userns.New&unix.CLONE_NEWPID == 0
	for _, notes := range [][]string{p.ids.Notes, p.orders.Process.Notes, p.orders.Seccomp.Notes, p.orders.Rootfs.Notes, p.cgroup.Notes, p.network.Notes} {
		r.Notes = append(r.Notes, notes...)
	}
}
