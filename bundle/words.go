// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Words are flags with the names and meanings that they have in `docker run`,
// as they were typed; an empty one was not given.
type Words struct {
	Memory     string // bytes, with b, k, m, g behind for powers of 1024
	MemorySwap string // memory and swap together; -1 is no limit
	CPUs       string // 1.5 is a processor and a half
	PidsLimit  *int64 // 0 and -1 are no limit
	Hostname   string
	ReadOnly   bool
	CapAdd     []string
	CapDrop    []string
	User       string   // UID[:GID]
	Env        []string // NAME=value, or NAME for the value in Environ
	Environ    []string // the caller's environment
	Workdir    string
	Volumes    []string // SRC:DST[:OPTIONS]
	Cwd        string   // what a SRC that begins with "." is relative to
	Terminal   *bool
	Args       []string
}

// cpuPeriod is docker's period for --cpus, in microseconds.
const cpuPeriod = 100_000

// Apply writes the words into spec. An error names the flag and its value.
func (w Words) Apply(spec *specs.Spec) error {
	if spec.Process == nil {
		spec.Process = &specs.Process{Cwd: "/"}
	}
	if spec.Root == nil {
		spec.Root = &specs.Root{Path: "rootfs"}
	}
	if spec.Linux == nil {
		spec.Linux = &specs.Linux{}
	}
	for _, apply := range []func(*specs.Spec) error{
		w.applyMemory, w.applyCPUs, w.applyPids, w.applyCapabilities, w.applyUser, w.applyEnv, w.applyVolumes,
	} {
		if err := apply(spec); err != nil {
			return err
		}
	}
	if w.Hostname != "" {
		if len(w.Hostname) > maxHostName || !plainText(w.Hostname) {
			return fmt.Errorf("--hostname %q: not a name of at most %d bytes", shorten(w.Hostname), maxHostName)
		}
		spec.Hostname = w.Hostname
	}
	if w.ReadOnly {
		spec.Root.Readonly = true
	}
	if w.Workdir != "" {
		if !path.IsAbs(w.Workdir) {
			return fmt.Errorf("--workdir %q: not an absolute path", w.Workdir)
		}
		spec.Process.Cwd = w.Workdir
	}
	if w.Terminal != nil {
		spec.Process.Terminal = *w.Terminal
	}
	if len(w.Args) > 0 {
		spec.Process.Args = slices.Clone(w.Args)
	}
	return nil
}

func resources(spec *specs.Spec) *specs.LinuxResources {
	if spec.Linux.Resources == nil {
		spec.Linux.Resources = &specs.LinuxResources{}
	}
	return spec.Linux.Resources
}

func (w Words) applyMemory(spec *specs.Spec) error {
	var limit, swap int64
	var err error
	if w.Memory != "" {
		if limit, err = parseBytes(w.Memory); err != nil {
			return fmt.Errorf("--memory %q: %w", w.Memory, err)
		}
	}
	switch {
	case w.MemorySwap == "-1":
		swap = -1
	case w.MemorySwap != "":
		if swap, err = parseBytes(w.MemorySwap); err != nil {
			return fmt.Errorf("--memory-swap %q: %w", w.MemorySwap, err)
		}
		if limit == 0 {
			return fmt.Errorf("--memory-swap %q: is memory and swap together, and needs --memory", w.MemorySwap)
		}
		if swap != 0 && swap < limit {
			return fmt.Errorf("--memory-swap %q: is memory and swap together, but below --memory %q", w.MemorySwap, w.Memory)
		}
	}
	if limit == 0 && swap == 0 {
		return nil
	}
	r := resources(spec)
	if r.Memory == nil {
		r.Memory = &specs.LinuxMemory{}
	}
	if limit != 0 {
		r.Memory.Limit = &limit
	}
	if swap != 0 {
		r.Memory.Swap = &swap
	}
	return nil
}

// parseBytes reads sizes as docker does: 512m, 1.5g, 64KiB, 4096.
func parseBytes(s string) (int64, error) {
	number := strings.TrimRight(s, "bBkKmMgGtTpPiI ")
	unit := strings.ToLower(strings.TrimLeft(s[len(number):], " "))
	letter, rest := "", unit
	if unit != "" && unit != "b" {
		letter, rest = unit[:1], unit[1:]
	}
	shift, ok := 0, true
	if letter != "" {
		i := strings.Index("kmgtp", letter)
		shift, ok = 10*(i+1), i >= 0 && (rest == "" || rest == "b" || rest == "ib")
	}
	value, err := parseDecimal(number)
	if err != nil || !ok {
		return 0, errors.New("not a size such as 512m")
	}
	value *= float64(uint64(1) << shift)
	if value >= math.MaxInt64 {
		return 0, errors.New("too large")
	}
	return int64(value), nil
}

// parseDecimal reads digits with a fraction; no sign, exponent or "inf".
func parseDecimal(s string) (float64, error) {
	if s == "" || strings.Trim(s, "0123456789.") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(s, 64)
}

func (w Words) applyCPUs(spec *specs.Spec) error {
	if w.CPUs == "" {
		return nil
	}
	cpus, err := parseDecimal(w.CPUs)
	if err != nil || cpus > maxCPU+1 {
		return fmt.Errorf("--cpus %q: not a number of processors such as 1.5", w.CPUs)
	}
	if cpus == 0 { // docker: no limit
		return nil
	}
	quota := int64(math.Round(cpus * cpuPeriod))
	if quota < 1000 {
		return fmt.Errorf("--cpus %q: the least is 0.01", w.CPUs)
	}
	period := uint64(cpuPeriod)
	r := resources(spec)
	if r.CPU == nil {
		r.CPU = &specs.LinuxCPU{}
	}
	r.CPU.Quota, r.CPU.Period = &quota, &period
	return nil
}

func (w Words) applyPids(spec *specs.Spec) error {
	if w.PidsLimit == nil {
		return nil
	}
	limit := *w.PidsLimit
	if limit < -1 {
		return fmt.Errorf("--pids-limit %d: neither -1 (no limit) nor a number of tasks", limit)
	}
	if limit <= 0 {
		return nil
	}
	resources(spec).Pids = &specs.LinuxPids{Limit: &limit}
	return nil
}

// applyCapabilities changes the bounding set, and gives the process all of it,
// as docker does: --cap-add ALL starts from everything, else --cap-drop ALL
// from nothing, else what spec has; then the drops, then the adds.
func (w Words) applyCapabilities(spec *specs.Spec) error {
	if len(w.CapAdd) == 0 && len(w.CapDrop) == 0 {
		return nil
	}
	add, addAll, err := capabilityList("--cap-add", w.CapAdd)
	if err != nil {
		return err
	}
	drop, dropAll, err := capabilityList("--cap-drop", w.CapDrop)
	if err != nil {
		return err
	}
	var base []string
	if spec.Process.Capabilities != nil {
		base = spec.Process.Capabilities.Bounding
	}
	var keep []string
	for _, name := range capabilityNames {
		has := slices.Contains(base, name) && !dropAll || addAll
		if slices.Contains(drop, name) {
			has = false
		}
		if has || slices.Contains(add, name) {
			keep = append(keep, name)
		}
	}
	spec.Process.Capabilities = &specs.LinuxCapabilities{
		Bounding: keep, Effective: slices.Clone(keep), Permitted: slices.Clone(keep),
	}
	return nil
}

func capabilityList(flag string, words []string) (list []string, all bool, err error) {
	for _, word := range words {
		name := strings.ToUpper(word)
		if name == "ALL" {
			all = true
			continue
		}
		if !strings.HasPrefix(name, "CAP_") {
			name = "CAP_" + name
		}
		if !slices.Contains(capabilityNames[:], name) {
			return nil, false, fmt.Errorf("%s %q: no such capability", flag, word)
		}
		list = append(list, name)
	}
	return list, all, nil
}

func (w Words) applyUser(spec *specs.Spec) error {
	if w.User == "" {
		return nil
	}
	user, group, hasGroup := strings.Cut(w.User, ":")
	uid, err := parseID(user)
	if err != nil {
		return fmt.Errorf("--user %q: %w", w.User, err)
	}
	gid := uint32(0) // docker's, where no passwd file tells another
	if hasGroup {
		if gid, err = parseID(group); err != nil {
			return fmt.Errorf("--user %q: %w", w.User, err)
		}
	}
	spec.Process.User.UID, spec.Process.User.GID = uid, gid
	return nil
}

func parseID(s string) (uint32, error) {
	id, err := strconv.ParseUint(s, 10, 32)
	if errors.Is(err, strconv.ErrSyntax) {
		return 0, fmt.Errorf("%q is not a number: config.json has no names, they are in the rootfs's /etc/passwd", s)
	}
	if err != nil || id == noID {
		return 0, fmt.Errorf("%s is no id", s)
	}
	return uint32(id), nil
}

func (w Words) applyEnv(spec *specs.Spec) error {
	for _, word := range w.Env {
		name, _, hasValue := strings.Cut(word, "=")
		if name == "" || strings.IndexByte(word, 0) >= 0 {
			return fmt.Errorf("--env %q: not NAME=value", shorten(word))
		}
		if !hasValue {
			i := slices.IndexFunc(w.Environ, func(e string) bool { return strings.HasPrefix(e, name+"=") })
			if i < 0 {
				continue // as docker: not set here, not set there
			}
			word = w.Environ[i]
		}
		spec.Process.Env = setEnv(spec.Process.Env, word)
	}
	return nil
}

// setEnv puts NAME=value in the place of an earlier one, or at the end.
func setEnv(env []string, word string) []string {
	name := word[:strings.IndexByte(word, '=')+1]
	if i := slices.IndexFunc(env, func(e string) bool { return strings.HasPrefix(e, name) }); i >= 0 {
		env[i] = word
		return env
	}
	return append(env, word)
}

func (w Words) applyVolumes(spec *specs.Spec) error {
	var taken []string
	for _, word := range w.Volumes {
		mount, err := parseVolume(word, w.Cwd)
		if err != nil {
			return fmt.Errorf("--volume %q: %w", word, err)
		}
		if slices.Contains(taken, mount.Destination) {
			return fmt.Errorf("--volume %q: %q has a volume already", word, mount.Destination)
		}
		taken = append(taken, mount.Destination)
		spec.Mounts = append(spec.Mounts, mount)
	}
	return nil
}

// parseVolume reads SRC:DST[:OPTIONS] as a bind mount. Read-only holds for
// mounts below SRC as well, as in docker since 25.
func parseVolume(word, cwd string) (specs.Mount, error) {
	parts := strings.Split(word, ":")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || parts[1] == "" {
		return specs.Mount{}, errors.New("not SRC:DST[:OPTIONS]")
	}
	source, destination := parts[0], path.Clean(parts[1])
	switch {
	case path.IsAbs(source):
	case (source == "." || source == ".." || strings.HasPrefix(source, "./") || strings.HasPrefix(source, "../")) && path.IsAbs(cwd):
		source = path.Join(cwd, source)
	default:
		return specs.Mount{}, fmt.Errorf("%q is a volume's name, and only engines have volumes: write a path with a slash", source)
	}
	if !path.IsAbs(destination) || destination == "/" {
		return specs.Mount{}, fmt.Errorf("%q is not an absolute path below /", parts[1])
	}
	access, propagation := "rw", "rprivate"
	var more []string
	if len(parts) == 3 {
		for option := range strings.SplitSeq(parts[2], ",") {
			switch option {
			case "rw":
				access = "rw"
			case "ro", "readonly":
				access = "rro"
			case "shared", "rshared", "slave", "rslave", "private", "rprivate":
				propagation = option
			case "nosuid", "nodev", "noexec", "suid", "dev", "exec":
				more = append(more, option)
			case "consistent", "cached", "delegated": // without effect on Linux
			case "z", "Z":
				return specs.Mount{}, fmt.Errorf("option %q: files are not relabelled for SELinux here, leave it out", option)
			default:
				return specs.Mount{}, fmt.Errorf("option %q is not known", option)
			}
		}
	}
	return specs.Mount{
		Destination: destination, Type: "bind", Source: path.Clean(source),
		Options: append([]string{"rbind", propagation, access}, more...),
	}, nil
}
