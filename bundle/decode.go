// SPDX-License-Identifier: Apache-2.0

package bundle

import "github.com/opencontainers/runtime-spec/specs-go"

// Decode reads a config.json. Properties that the specification does not have
// are skipped, as it asks; what else is refused says decoder. An error names
// the JSON path and the value. null is a property left out, as in encoding/json,
// because engines written in Go print absent arrays so. The sections of other
// platforms (windows, solaris, vm, zos, freebsd) are noticed, so that Check can
// refuse them, but not read.
func Decode(data []byte) (*specs.Spec, error) {
	spec := new(specs.Spec)
	return spec, decode(data, spec, (*decoder).spec)
}

// DecodeProcess reads a process object alone, see ReadProcess.
func DecodeProcess(data []byte) (*specs.Process, error) {
	process := new(specs.Process)
	return process, decode(data, process, (*decoder).process)
}

func decode[T any](data []byte, into *T, value func(*decoder, *T)) error {
	d := decoder{text: string(data), path: make([]step, 0, 16)}
	value(&d, into)
	if d.err == nil && d.peek() != 0 || d.at < len(d.text) {
		d.malformed("nothing after the object")
	}
	return d.err
}

func (d *decoder) spec(s *specs.Spec) {
	for key := range d.object(s) {
		switch key {
		case "ociVersion":
			text(d, &s.Version)
		case "process":
			pointer(d, &s.Process, (*decoder).process)
		case "root":
			pointer(d, &s.Root, (*decoder).root)
		case "hostname":
			text(d, &s.Hostname)
		case "domainname":
			text(d, &s.Domainname)
		case "mounts":
			list(d, &s.Mounts, (*decoder).mount)
		case "hooks":
			pointer(d, &s.Hooks, (*decoder).hooks)
		case "annotations":
			table(d, &s.Annotations, text)
		case "linux":
			pointer(d, &s.Linux, (*decoder).linux)
		case "solaris":
			pointer(d, &s.Solaris, other)
		case "windows":
			pointer(d, &s.Windows, other)
		case "vm":
			pointer(d, &s.VM, other)
		case "zos":
			pointer(d, &s.ZOS, other)
		case "freebsd":
			pointer(d, &s.FreeBSD, other)
		default:
			d.unknown(key, s)
		}
	}
}

// other notices a section for another platform.
func other[T any](d *decoder, _ *T) { d.skip(0) }

func (d *decoder) process(p *specs.Process) {
	for key := range d.object(p) {
		switch key {
		case "terminal":
			boolean(d, &p.Terminal)
		case "consoleSize":
			pointer(d, &p.ConsoleSize, (*decoder).box)
		case "user":
			d.user(&p.User)
		case "args":
			texts(d, &p.Args)
		case "commandLine":
			text(d, &p.CommandLine)
		case "env":
			texts(d, &p.Env)
		case "cwd":
			text(d, &p.Cwd)
		case "capabilities":
			pointer(d, &p.Capabilities, (*decoder).capabilities)
		case "rlimits":
			list(d, &p.Rlimits, (*decoder).rlimit)
		case "noNewPrivileges":
			boolean(d, &p.NoNewPrivileges)
		case "apparmorProfile":
			text(d, &p.ApparmorProfile)
		case "oomScoreAdj":
			pointer(d, &p.OOMScoreAdj, signed)
		case "scheduler":
			pointer(d, &p.Scheduler, (*decoder).scheduler)
		case "selinuxLabel":
			text(d, &p.SelinuxLabel)
		case "ioPriority":
			pointer(d, &p.IOPriority, (*decoder).ioPriority)
		case "execCPUAffinity":
			pointer(d, &p.ExecCPUAffinity, (*decoder).affinity)
		default:
			d.unknown(key, p)
		}
	}
}

func (d *decoder) box(b *specs.Box) {
	for key := range d.object(b) {
		switch key {
		case "height":
			unsigned(d, &b.Height)
		case "width":
			unsigned(d, &b.Width)
		default:
			d.unknown(key, b)
		}
	}
}

func (d *decoder) user(u *specs.User) {
	if d.word("null") {
		return
	}
	for key := range d.object(u) {
		switch key {
		case "uid":
			unsigned(d, &u.UID)
		case "gid":
			unsigned(d, &u.GID)
		case "umask":
			pointer(d, &u.Umask, unsigned)
		case "additionalGids":
			list(d, &u.AdditionalGids, unsigned)
		case "username":
			text(d, &u.Username)
		default:
			d.unknown(key, u)
		}
	}
}

func (d *decoder) capabilities(c *specs.LinuxCapabilities) {
	for key := range d.object(c) {
		switch key {
		case "bounding":
			texts(d, &c.Bounding)
		case "effective":
			texts(d, &c.Effective)
		case "inheritable":
			texts(d, &c.Inheritable)
		case "permitted":
			texts(d, &c.Permitted)
		case "ambient":
			texts(d, &c.Ambient)
		default:
			d.unknown(key, c)
		}
	}
}

func (d *decoder) rlimit(r *specs.POSIXRlimit) {
	for key := range d.object(r) {
		switch key {
		case "type":
			text(d, &r.Type)
		case "hard":
			unsigned(d, &r.Hard)
		case "soft":
			unsigned(d, &r.Soft)
		default:
			d.unknown(key, r)
		}
	}
}

func (d *decoder) scheduler(s *specs.Scheduler) {
	for key := range d.object(s) {
		switch key {
		case "policy":
			text(d, &s.Policy)
		case "nice":
			signed(d, &s.Nice)
		case "priority":
			signed(d, &s.Priority)
		case "flags":
			texts(d, &s.Flags)
		case "runtime":
			unsigned(d, &s.Runtime)
		case "deadline":
			unsigned(d, &s.Deadline)
		case "period":
			unsigned(d, &s.Period)
		default:
			d.unknown(key, s)
		}
	}
}

func (d *decoder) ioPriority(p *specs.LinuxIOPriority) {
	for key := range d.object(p) {
		switch key {
		case "class":
			text(d, &p.Class)
		case "priority":
			signed(d, &p.Priority)
		default:
			d.unknown(key, p)
		}
	}
}

func (d *decoder) affinity(a *specs.CPUAffinity) {
	for key := range d.object(a) {
		switch key {
		case "initial":
			text(d, &a.Initial)
		case "final":
			text(d, &a.Final)
		default:
			d.unknown(key, a)
		}
	}
}

func (d *decoder) root(r *specs.Root) {
	for key := range d.object(r) {
		switch key {
		case "path":
			text(d, &r.Path)
		case "readonly":
			boolean(d, &r.Readonly)
		default:
			d.unknown(key, r)
		}
	}
}

func (d *decoder) mount(m *specs.Mount) {
	for key := range d.object(m) {
		switch key {
		case "destination":
			text(d, &m.Destination)
		case "type":
			text(d, &m.Type)
		case "source":
			text(d, &m.Source)
		case "options":
			texts(d, &m.Options)
		case "uidMappings":
			list(d, &m.UIDMappings, (*decoder).mapping)
		case "gidMappings":
			list(d, &m.GIDMappings, (*decoder).mapping)
		default:
			d.unknown(key, m)
		}
	}
}

func (d *decoder) hooks(h *specs.Hooks) {
	for key := range d.object(h) {
		switch key {
		case "prestart":
			//lint:ignore SA1019 engines still send it, and it must run
			list(d, &h.Prestart, (*decoder).hook)
		case "createRuntime":
			list(d, &h.CreateRuntime, (*decoder).hook)
		case "createContainer":
			list(d, &h.CreateContainer, (*decoder).hook)
		case "startContainer":
			list(d, &h.StartContainer, (*decoder).hook)
		case "poststart":
			list(d, &h.Poststart, (*decoder).hook)
		case "poststop":
			list(d, &h.Poststop, (*decoder).hook)
		default:
			d.unknown(key, h)
		}
	}
}

func (d *decoder) hook(h *specs.Hook) {
	for key := range d.object(h) {
		switch key {
		case "path":
			text(d, &h.Path)
		case "args":
			texts(d, &h.Args)
		case "env":
			texts(d, &h.Env)
		case "timeout":
			pointer(d, &h.Timeout, signed)
		default:
			d.unknown(key, h)
		}
	}
}
