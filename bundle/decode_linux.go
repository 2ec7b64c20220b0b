// SPDX-License-Identifier: Apache-2.0

package bundle

import "github.com/opencontainers/runtime-spec/specs-go"

func (d *decoder) linux(l *specs.Linux) {
	for key := range d.object(l) {
		switch key {
		case "uidMappings":
			list(d, &l.UIDMappings, (*decoder).mapping)
		case "gidMappings":
			list(d, &l.GIDMappings, (*decoder).mapping)
		case "sysctl":
			table(d, &l.Sysctl, text)
		case "resources":
			pointer(d, &l.Resources, (*decoder).resources)
		case "cgroupsPath":
			text(d, &l.CgroupsPath)
		case "namespaces":
			list(d, &l.Namespaces, (*decoder).namespace)
		case "devices":
			list(d, &l.Devices, (*decoder).device)
		case "netDevices":
			table(d, &l.NetDevices, (*decoder).netDevice)
		case "seccomp":
			pointer(d, &l.Seccomp, (*decoder).seccomp)
		case "rootfsPropagation":
			text(d, &l.RootfsPropagation)
		case "maskedPaths":
			texts(d, &l.MaskedPaths)
		case "readonlyPaths":
			texts(d, &l.ReadonlyPaths)
		case "mountLabel":
			text(d, &l.MountLabel)
		case "intelRdt":
			pointer(d, &l.IntelRdt, (*decoder).intelRdt)
		case "memoryPolicy":
			pointer(d, &l.MemoryPolicy, (*decoder).memoryPolicy)
		case "personality":
			pointer(d, &l.Personality, (*decoder).personality)
		case "timeOffsets":
			table(d, &l.TimeOffsets, (*decoder).timeOffset)
		default:
			d.unknown(key, l)
		}
	}
}

func (d *decoder) mapping(m *specs.LinuxIDMapping) {
	for key := range d.object(m) {
		switch key {
		case "containerID":
			unsigned(d, &m.ContainerID)
		case "hostID":
			unsigned(d, &m.HostID)
		case "size":
			unsigned(d, &m.Size)
		default:
			d.unknown(key, m)
		}
	}
}

func (d *decoder) namespace(n *specs.LinuxNamespace) {
	for key := range d.object(n) {
		switch key {
		case "type":
			text(d, &n.Type)
		case "path":
			text(d, &n.Path)
		default:
			d.unknown(key, n)
		}
	}
}

func (d *decoder) device(v *specs.LinuxDevice) {
	for key := range d.object(v) {
		switch key {
		case "path":
			text(d, &v.Path)
		case "type":
			text(d, &v.Type)
		case "major":
			signed(d, &v.Major)
		case "minor":
			signed(d, &v.Minor)
		case "fileMode":
			pointer(d, &v.FileMode, unsigned)
		case "uid":
			pointer(d, &v.UID, unsigned)
		case "gid":
			pointer(d, &v.GID, unsigned)
		default:
			d.unknown(key, v)
		}
	}
}

func (d *decoder) netDevice(n *specs.LinuxNetDevice) {
	for key := range d.object(n) {
		switch key {
		case "name":
			text(d, &n.Name)
		default:
			d.unknown(key, n)
		}
	}
}

func (d *decoder) seccomp(s *specs.LinuxSeccomp) {
	for key := range d.object(s) {
		switch key {
		case "defaultAction":
			text(d, &s.DefaultAction)
		case "defaultErrnoRet":
			pointer(d, &s.DefaultErrnoRet, unsigned)
		case "architectures":
			texts(d, &s.Architectures)
		case "flags":
			texts(d, &s.Flags)
		case "listenerPath":
			text(d, &s.ListenerPath)
		case "listenerMetadata":
			text(d, &s.ListenerMetadata)
		case "syscalls":
			list(d, &s.Syscalls, (*decoder).syscall)
		default:
			d.unknown(key, s)
		}
	}
}

func (d *decoder) syscall(s *specs.LinuxSyscall) {
	for key := range d.object(s) {
		switch key {
		case "names":
			texts(d, &s.Names)
		case "action":
			text(d, &s.Action)
		case "errnoRet":
			pointer(d, &s.ErrnoRet, unsigned)
		case "args":
			list(d, &s.Args, (*decoder).syscallArg)
		default:
			d.unknown(key, s)
		}
	}
}

func (d *decoder) syscallArg(a *specs.LinuxSeccompArg) {
	for key := range d.object(a) {
		switch key {
		case "index":
			unsigned(d, &a.Index)
		case "value":
			unsigned(d, &a.Value)
		case "valueTwo":
			unsigned(d, &a.ValueTwo)
		case "op":
			text(d, &a.Op)
		default:
			d.unknown(key, a)
		}
	}
}

func (d *decoder) intelRdt(r *specs.LinuxIntelRdt) {
	for key := range d.object(r) {
		switch key {
		case "closID":
			text(d, &r.ClosID)
		case "schemata":
			texts(d, &r.Schemata)
		case "l3CacheSchema":
			text(d, &r.L3CacheSchema)
		case "memBwSchema":
			text(d, &r.MemBwSchema)
		case "enableMonitoring":
			boolean(d, &r.EnableMonitoring)
		default:
			d.unknown(key, r)
		}
	}
}

func (d *decoder) memoryPolicy(m *specs.LinuxMemoryPolicy) {
	for key := range d.object(m) {
		switch key {
		case "mode":
			text(d, &m.Mode)
		case "nodes":
			text(d, &m.Nodes)
		case "flags":
			texts(d, &m.Flags)
		default:
			d.unknown(key, m)
		}
	}
}

func (d *decoder) personality(p *specs.LinuxPersonality) {
	for key := range d.object(p) {
		switch key {
		case "domain":
			text(d, &p.Domain)
		case "flags":
			texts(d, &p.Flags)
		default:
			d.unknown(key, p)
		}
	}
}

func (d *decoder) timeOffset(t *specs.LinuxTimeOffset) {
	for key := range d.object(t) {
		switch key {
		case "secs":
			signed(d, &t.Secs)
		case "nanosecs":
			unsigned(d, &t.Nanosecs)
		default:
			d.unknown(key, t)
		}
	}
}
