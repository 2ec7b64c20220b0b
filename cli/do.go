// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"mycr/bundle"
	"mycr/cgroupdelegate"
	"mycr/container"
	"mycr/linux"
	"mycr/netns"
	"mycr/process"
	"mycr/seccomp"
)

// do runs a command in a sandbox of this host.
type do struct {
	bundle.SandboxOptions
	volumes      []string
	memory, cpus string
	pids         int64
	network      network
}

// The exit statuses of do where there is none of the command: env(1)'s.
const (
	doFailed      = 125
	notExecutable = 126
	notFound      = 127
)

func (*do) about() about {
	return about{
		usage: "[flags] [--] COMMAND...", does: "run a command in a sandbox of this host",
		more: "The host's files are read-only but for the working directory; /tmp, /run, /dev and /proc are private,\n" +
			"there is no network, no capability, and a seccomp profile. When mycr ends, the command does.\n" +
			"The exit status is the command's; 125 if mycr failed, 126 if the command cannot be executed, 127 if there is none.",
		least: 1, most: -1, first: true, failure: doFailed,
	}
}

func (d *do) flags(f *pflag.FlagSet) {
	f.StringArrayVar(&d.Bind, "bind", nil, "`SRC[:DST]` of the host, writable; may be repeated, as all of these")
	f.StringArrayVar(&d.RoBind, "ro-bind", nil, "`SRC[:DST]` of the host, read-only")
	f.StringArrayVarP(&d.volumes, "volume", "v", nil, "`SRC:DST[:ro]`, docker's word for the two")
	f.StringArrayVar(&d.Tmpfs, "tmpfs", nil, "`DIR[:size=N]` that is empty and in memory")
	f.StringArrayVarP(&d.Setenv, "setenv", "e", nil, "`NAME[=VALUE]` one more variable, without a value the caller's; also --env")
	f.StringVarP(&d.Chdir, "chdir", "C", "", "`DIR` to start in; also -w, --workdir")
	f.StringVar(&d.Hostname, "hostname", "", "`NAME` of the host in the sandbox")
	f.StringVar(&d.Proc, "proc", "private", "`private|host|none` whose processes /proc shows")
	f.StringVar(&d.memory, "memory", "", "`BYTES` of memory at most, as 512m or 2g")
	f.StringVar(&d.cpus, "cpus", "", "`N` CPUs' time at most, as 1.5")
	f.Int64Var(&d.pids, "pids-limit", 0, "`N` processes and threads at most")
	alias(f, "setenv", "env", "")
	alias(f, "chdir", "workdir", "w")
	d.network.define(f, "without it none")
}

// alias gives a flag a second name.
func alias(f *pflag.FlagSet, name, second, short string) {
	other := f.VarPF(f.Lookup(name).Value, second, short, "")
	other.Hidden = true
}

func (d *do) run(s *session, args []string) (int, error) {
	if err := d.twoWords(s.argv, args); err != nil {
		return doFailed, err
	}
	d.Args = args
	if err := d.look(); err != nil {
		return doFailed, err
	}
	network, err := d.network.options(netns.None)
	if err != nil {
		return doFailed, err
	}
	d.Network, network.ResolvConf = d.network.word, d.ResolvConf
	made, notes, err := bundle.Sandbox(d.SandboxOptions)
	if err != nil {
		return doFailed, err
	}
	if made.Linux.Resources, err = d.limits(); err != nil {
		return doFailed, err
	}
	id, err := randomID()
	if err != nil {
		return doFailed, err
	}
	root, err := s.openRoot()
	if err != nil {
		return doFailed, err
	}
	for _, note := range notes {
		s.note(note)
	}
	o := container.CreateOptions{
		ID: id, Bundle: "/", Spec: made, Network: network, Manager: cmp.Or(s.manager(), cgroupdelegate.None),
		Start: true, Foreground: true, Reaper: true, DieWithParent: true,
	}
	status, err := s.foregroundRun(root, &creation{}, o, &foreground{impatient: true}, false)
	if err != nil {
		return doStatus(err), err
	}
	return status, nil
}

// limits are docker's words for them; nil where there are none.
func (d *do) limits() (*specs.LinuxResources, error) {
	var r specs.LinuxResources
	if d.memory != "" {
		n, err := parseBytes(d.memory)
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("--memory %s: not an amount such as 512m or 2g", d.memory)
		}
		r.Memory = &specs.LinuxMemory{Limit: &n}
	}
	if d.cpus != "" {
		n, err := strconv.ParseFloat(d.cpus, 64)
		if err != nil || !(n >= 0.01 && n <= 100_000) {
			return nil, fmt.Errorf("--cpus %s: not a number of CPUs such as 1.5, 0.01 at least", d.cpus)
		}
		period := uint64(100_000)
		quota := int64(n * float64(period))
		r.CPU = &specs.LinuxCPU{Quota: &quota, Period: &period}
	}
	if d.pids < 0 {
		return nil, fmt.Errorf("--pids-limit %d: not a number of processes", d.pids)
	}
	if d.pids > 0 {
		r.Pids = &specs.LinuxPids{Limit: &d.pids}
	}
	if r.Memory == nil && r.CPU == nil && r.Pids == nil {
		return nil, nil
	}
	return &r, nil
}

// doStatus tells from the words of an error, which may have come from the
// sandbox, whether it is about the command.
func doStatus(err error) int {
	text := err.Error()
	switch {
	case !strings.HasPrefix(text, "exec: ") && !strings.HasPrefix(text, "exec /"):
		return doFailed
	case strings.Contains(text, "executable file not found"), strings.Contains(text, "no such file or directory"):
		return notFound
	}
	return notExecutable
}

// twoWords tells who is used to bwrap, whose --bind takes two words, instead
// of running the second one.
func (d *do) twoWords(argv, args []string) error {
	before := argv[len(argv)-len(args)-1] // the last word that was not left over
	for _, f := range [...]struct {
		flag string
		list []string
	}{{"--bind", d.Bind}, {"--ro-bind", d.RoBind}} {
		n := len(f.list)
		if n > 0 && before == f.list[n-1] && !strings.Contains(before, ":") && strings.HasPrefix(args[0], "/") {
			return wrongUsage(fmt.Errorf("%s takes one word, SRC:DST, so that %s would be the command", f.flag, args[0]),
				fmt.Sprintf("%s %s:%s, or -- before a command", f.flag, before, args[0]))
		}
	}
	return nil
}

// look finds out what the sandbox depends on.
func (d *do) look() error {
	for _, word := range d.volumes {
		source, rest, _ := strings.Cut(word, ":")
		target, options, given := strings.Cut(rest, ":")
		switch {
		case target == "" || given && options != "ro" && options != "rw":
			return fmt.Errorf("--volume %q is not SRC:DST[:ro]", word)
		case options == "ro":
			d.RoBind = append(d.RoBind, source+":"+target)
		default:
			d.Bind = append(d.Bind, source+":"+target)
		}
	}
	var err error
	if d.Cwd, err = unix.Getwd(); err != nil {
		return fmt.Errorf("the working directory: %w", err)
	}
	if !filepath.IsAbs(d.Cwd) {
		return errors.New("the working directory cannot be reached from the root of this process")
	}
	var st unix.Stat_t
	if err := unix.Stat(".", &st); err != nil {
		return fmt.Errorf("the working directory: %w", err)
	}
	d.CwdUID, d.CwdGID = st.Uid, st.Gid
	d.UID, d.GID = uint32(os.Geteuid()), uint32(os.Getegid())
	if d.RealRoot = container.RealRoot(); d.RealRoot { // who else is here has come all the way
		if err := d.lookAbove(); err != nil {
			return err
		}
	}
	d.Environ = os.Environ()
	d.Home = resolved(home())
	d.ResolvConf = resolved("/etc/resolv.conf")
	d.Terminal = term.IsTerminal(0) && term.IsTerminal(1)
	d.Seccomp = seccomp.Default()
	for _, dir := range [...]string{"/tmp", "/run", "/dev", "/proc", "/sys"} {
		if unix.Lstat(dir, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
			d.MissingDirectories = append(d.MissingDirectories, dir)
		}
	}
	return nil
}

// lookAbove finds out who may go through the directories on the way to the working directory.
func (d *do) lookAbove() error {
	for dir := d.Cwd; ; dir = filepath.Dir(dir) {
		var st unix.Stat_t
		if err := unix.Stat(dir, &st); err != nil {
			return fmt.Errorf("the working directory: %s: %w", dir, err)
		}
		d.CwdAbove = append(d.CwdAbove, bundle.Directory{Path: dir, UID: st.Uid, GID: st.Gid, Mode: st.Mode})
		if dir == "/" {
			slices.Reverse(d.CwdAbove)
			return nil
		}
	}
}

// home is the caller's home directory, "" if nobody knows.
func home() string {
	if dir := os.Getenv("HOME"); dir != "" {
		return dir
	}
	passwd, err := linux.ReadFile("/etc/passwd")
	if err != nil {
		return ""
	}
	return process.LookupHome(bytes.NewReader(passwd), uint32(os.Getuid()))
}

// resolved is a path without its links, "" if there is nothing.
func resolved(path string) string {
	if !filepath.IsAbs(path) {
		return ""
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	return real
}

// randomID makes an id that no other container has.
func randomID() (string, error) {
	var b [6]byte
	if _, err := unix.Getrandom(b[:], 0); err != nil {
		return "", fmt.Errorf("random bytes: %w", err)
	}
	return fmt.Sprintf("do-%x", b), nil
}
