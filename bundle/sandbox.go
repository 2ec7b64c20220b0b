// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// SandboxOptions are the flags of `do` and what it knows of the host. Paths of
// the host are absolute and free of symbolic links.
type SandboxOptions struct {
	Args     []string
	Bind     []string // SRC[:DST], writable
	RoBind   []string // SRC[:DST]
	Tmpfs    []string // DIR[:size=N,mode=N]
	Setenv   []string // NAME=value, or NAME for the caller's value
	Chdir    string
	Hostname string // empty: the host's
	Network  string // host, or anything else for a network namespace
	Proc     string // private (also if empty), host or none
	Terminal bool
	Seccomp  *specs.LinuxSeccomp

	UID, GID           uint32 // the caller's effective ids
	RealRoot           bool   // euid 0, and not in a user namespace of somebody's
	CwdUID, CwdGID     uint32 // owner of the working directory
	Cwd                string
	CwdAbove           []Directory // those on the way to it, from "/" on and with it itself
	Home               string      // empty: not known
	Environ            []string    // the caller's environment
	ResolvConf         string      // where /etc/resolv.conf is, through its links; empty: none
	MissingDirectories []string    // of /tmp, /run, /dev, /proc, /sys: those that are none on this host
}

// Directory is who may go through one: stat(2)'s st_uid, st_gid and st_mode.
type Directory struct {
	Path           string
	UID, GID, Mode uint32
}

// closed is the first directory on the way to the working directory that these ids may not go through, "" if they get
// there. What only an access control list says is not known here.
func (o *SandboxOptions) closed(uid, gid uint32) string {
	for _, d := range o.CwdAbove {
		search := d.Mode & 0o001
		switch {
		case d.UID == uid:
			search = d.Mode & 0o100
		case d.GID == gid:
			search = d.Mode & 0o010
		}
		if search == 0 {
			return d.Path
		}
	}
	return ""
}

// nobody is the overflow id: no file of a sane host belongs to it.
const nobody = 65534

// Sandbox makes the specification of `do`: the host's files read-only, the
// working directory writable, and everything else of its own. The notes say
// what is other than the user may think. It takes the road of `run` from here.
func Sandbox(o SandboxOptions) (*specs.Spec, []string, error) {
	if len(o.Args) == 0 {
		return nil, nil, errors.New("no command given")
	}
	if !path.IsAbs(o.Cwd) {
		return nil, nil, fmt.Errorf("the working directory %q is not an absolute path", o.Cwd)
	}
	o.Cwd = path.Clean(o.Cwd)
	uid, gid := o.ids()
	env, err := o.env()
	if err != nil {
		return nil, nil, err
	}
	spec := &specs.Spec{
		Version: specs.Version,
		Process: &specs.Process{
			Terminal:        o.Terminal,
			User:            specs.User{UID: uid, GID: gid},
			Args:            slices.Clone(o.Args),
			Env:             env,
			Capabilities:    &specs.LinuxCapabilities{},
			NoNewPrivileges: true,
		},
		// A recursive bind of the host's root, and read-only as deep.
		Root:     &specs.Root{Path: "/", Readonly: true},
		Hostname: o.Hostname,
		Linux: &specs.Linux{
			UIDMappings:   []specs.LinuxIDMapping{{ContainerID: uid, HostID: uid, Size: 1}},
			GIDMappings:   []specs.LinuxIDMapping{{ContainerID: gid, HostID: gid, Size: 1}},
			Seccomp:       o.Seccomp,
			MaskedPaths:   defaultMaskedPaths(),
			ReadonlyPaths: defaultReadonlyPaths(),
		},
	}
	// The host's cgroups, where a write into cgroup.kill ends other containers.
	spec.Linux.MaskedPaths = append(spec.Linux.MaskedPaths, "/sys/fs/cgroup")
	if err := o.namespaces(spec); err != nil {
		return nil, nil, err
	}
	if err := o.systemMounts(spec); err != nil {
		return nil, nil, err
	}
	notes, err := o.userMounts(spec)
	if err != nil {
		return nil, nil, err
	}
	if err := Check(spec); err != nil {
		return nil, nil, err
	}
	return spec, notes, nil
}

// ids are the same inside and outside, so that files look owned as they are.
// Root's command must not be root outside, even without capabilities: half of
// the host's files are root's.
func (o *SandboxOptions) ids() (uid, gid uint32) {
	if !o.RealRoot {
		return o.UID, o.GID
	}
	if o.CwdUID == 0 {
		return nobody, nobody
	}
	if o.CwdGID == 0 {
		return o.CwdUID, nobody
	}
	return o.CwdUID, o.CwdGID
}

// env passes on what programs need to find and show things; tokens and agents'
// sockets live in the rest.
func (o *SandboxOptions) env() ([]string, error) {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, e := range o.Environ {
		name, value, ok := strings.Cut(e, "=")
		switch name {
		case "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "COLORTERM", "NO_COLOR", "FORCE_COLOR", "CLICOLOR",
			"CLICOLOR_FORCE", "LANG", "LANGUAGE", "TZ", "CI":
		default:
			ok = ok && strings.HasPrefix(name, "LC_")
		}
		if ok && value != "" || ok && name == "NO_COLOR" {
			env = setEnv(env, e)
		}
	}
	for _, word := range o.Setenv {
		name, _, hasValue := strings.Cut(word, "=")
		if name == "" {
			return nil, fmt.Errorf("--setenv %q: not NAME=value", shorten(word))
		}
		if !hasValue {
			i := slices.IndexFunc(o.Environ, func(e string) bool { return strings.HasPrefix(e, name+"=") })
			if i < 0 {
				return nil, fmt.Errorf("--setenv %q: not set here: write %s=value", word, name)
			}
			word = o.Environ[i]
		}
		env = setEnv(env, word)
	}
	return env, nil
}

func (o *SandboxOptions) namespaces(spec *specs.Spec) error {
	kinds := []specs.LinuxNamespaceType{
		specs.UserNamespace, specs.MountNamespace, specs.PIDNamespace, specs.IPCNamespace, specs.UTSNamespace,
		specs.CgroupNamespace,
	}
	switch o.Network {
	default: // in which netns puts what the word says
		kinds = append(kinds, specs.NetworkNamespace)
	case "host":
	}
	for _, kind := range kinds {
		spec.Linux.Namespaces = append(spec.Linux.Namespaces, specs.LinuxNamespace{Type: kind})
	}
	return nil
}

// systemMounts puts private directories over the host's.
func (o *SandboxOptions) systemMounts(spec *specs.Spec) error {
	l := spec.Linux
	switch o.Proc {
	case "", "private":
		o.mount(spec, "/proc", "proc", "proc", "nosuid", "noexec", "nodev")
	case "host": // as it is below the root
	case "none":
		isProc := func(p string) bool { return below(p, "/proc") }
		l.MaskedPaths = append(slices.DeleteFunc(l.MaskedPaths, isProc), "/proc")
		l.ReadonlyPaths = slices.DeleteFunc(l.ReadonlyPaths, isProc)
	default:
		return fmt.Errorf("--proc %q: none of private, host, none", o.Proc)
	}
	o.mount(spec, "/dev", "tmpfs", "tmpfs", "nosuid", "noexec", "strictatime", "mode=755", "size=65536k")
	o.mount(spec, "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")
	o.mount(spec, "/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k")
	o.mount(spec, "/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev")
	o.mount(spec, "/tmp", "tmpfs", "tmpfs", "nosuid", "nodev", "mode=1777")
	o.mount(spec, "/run", "tmpfs", "tmpfs", "nosuid", "nodev", "mode=755")
	// systemd-resolved and others keep the file in /run.
	if o.Network == "host" && (strictlyBelow(o.ResolvConf, "/run") || strictlyBelow(o.ResolvConf, "/tmp")) {
		o.mount(spec, o.ResolvConf, "bind", o.ResolvConf, "bind", "rprivate", "ro", "nosuid", "nodev", "noexec")
	}
	return nil
}

// mount appends a mount, unless the host has no directory to put it on: none
// is ever made there.
func (o *SandboxOptions) mount(spec *specs.Spec, destination, kind, source string, options ...string) {
	for _, missing := range o.MissingDirectories {
		if below(destination, missing) {
			return
		}
	}
	spec.Mounts = append(spec.Mounts, specs.Mount{Destination: destination, Type: kind, Source: source, Options: options})
}

// userMounts adds what the flags ask for and the working directory: parents
// before children, so that no mount hides another.
func (o *SandboxOptions) userMounts(spec *specs.Spec) (notes []string, err error) {
	var mounts []specs.Mount
	add := func(flag, word string, parse func(string) (specs.Mount, error)) error {
		m, err := parse(word)
		if err != nil {
			return fmt.Errorf("%s %q: %w", flag, word, err)
		}
		if slices.ContainsFunc(mounts, func(o specs.Mount) bool { return o.Destination == m.Destination }) {
			return fmt.Errorf("%s %q: there is a mount on %q already", flag, word, m.Destination)
		}
		mounts = append(mounts, m)
		return nil
	}
	for _, word := range o.Tmpfs {
		if err := add("--tmpfs", word, o.parseTmpfs); err != nil {
			return nil, err
		}
	}
	for _, word := range o.RoBind {
		if err := add("--ro-bind", word, o.parseRoBind); err != nil {
			return nil, err
		}
	}
	for _, word := range o.Bind {
		if err := add("--bind", word, o.parseBind); err != nil {
			return nil, err
		}
	}
	if mounts, notes, err = o.workingDirectory(spec, mounts); err != nil {
		return nil, err
	}
	slices.SortStableFunc(mounts, func(a, b specs.Mount) int {
		return strings.Count(a.Destination, "/") - strings.Count(b.Destination, "/")
	})
	for _, m := range mounts {
		if m.Destination == "/" { // the last word on the root itself
			if m.Source != "/" || m.Type != "bind" {
				return nil, fmt.Errorf("%q cannot take the place of the root filesystem", m.Source)
			}
			spec.Root.Readonly = slices.Contains(m.Options, "rro")
			continue
		}
		spec.Mounts = append(spec.Mounts, m)
	}
	return notes, nil
}

func (o *SandboxOptions) parseBind(word string) (specs.Mount, error)   { return o.bind(word, "rw") }
func (o *SandboxOptions) parseRoBind(word string) (specs.Mount, error) { return o.bind(word, "rro") }

func (o *SandboxOptions) bind(word, access string) (specs.Mount, error) {
	source, destination, given := strings.Cut(word, ":")
	if source == "" || given && destination == "" || strings.Contains(destination, ":") {
		return specs.Mount{}, errors.New("not SRC[:DST]")
	}
	source = o.absolute(source)
	if !given {
		destination = source
	}
	if !path.IsAbs(destination) {
		return specs.Mount{}, fmt.Errorf("%q is not an absolute path", destination)
	}
	return bindMount(source, path.Clean(destination), access), nil
}

// bindMount has no devices but where the source is from /dev: those of other
// directories are an accident or an attack.
func bindMount(source, destination, access string) specs.Mount {
	options := []string{"rbind", "rprivate", access, "nosuid"}
	if !below(source, "/dev") {
		options = append(options, "nodev")
	}
	return specs.Mount{Destination: destination, Type: "bind", Source: source, Options: options}
}

func (o *SandboxOptions) parseTmpfs(word string) (specs.Mount, error) {
	directory, list, given := strings.Cut(word, ":")
	if directory == "" || given && list == "" {
		return specs.Mount{}, errors.New("not DIR[:size=N]")
	}
	directory = o.absolute(directory)
	if directory == "/" {
		return specs.Mount{}, errors.New("cannot take the place of the root filesystem")
	}
	options := []string{"nosuid", "nodev", "mode=1777"}
	if given {
		for option := range strings.SplitSeq(list, ",") {
			name, value, _ := strings.Cut(option, "=")
			switch name {
			case "size":
				size, err := parseBytes(value)
				if err != nil || size == 0 {
					return specs.Mount{}, fmt.Errorf("%q is not a size such as size=64m", option)
				}
				options = append(options, "size="+strconv.FormatInt(size, 10))
			case "mode":
				mode, err := strconv.ParseUint(value, 8, 16)
				if err != nil || mode > 0o7777 {
					return specs.Mount{}, fmt.Errorf("%q is not a mode such as mode=700", option)
				}
				options[2] = "mode=" + strconv.FormatUint(mode, 8)
			default:
				return specs.Mount{}, fmt.Errorf("option %q is neither size= nor mode=", option)
			}
		}
	}
	return specs.Mount{Destination: directory, Type: "tmpfs", Source: "tmpfs", Options: options}, nil
}

func (o *SandboxOptions) absolute(p string) string {
	if path.IsAbs(p) {
		return path.Clean(p)
	}
	return path.Join(o.Cwd, p)
}

// below says whether p is dir or in it.
func below(p, dir string) bool {
	return p == dir || strictlyBelow(p, dir)
}

func strictlyBelow(p, dir string) bool {
	return dir == "/" && p != "/" && path.IsAbs(p) || strings.HasPrefix(p, dir+"/")
}
