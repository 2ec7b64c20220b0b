// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/pflag"

	"mycr/bundle"
)

// changeLimits is the command update.
type changeLimits struct {
	file   string
	memory specs.LinuxMemory
	cpu    specs.LinuxCPU
	pids   specs.LinuxPids
	block  specs.LinuxBlockIO
	given  []string // the flags that name a limit
}

func (*changeLimits) about() about {
	return about{
		usage: "[flags] ID", does: "change the limits of a container that is not stopped", least: 1, most: 1,
		more: "Only what is named changes; -1 is no limit. BYTES may end in k, m, g or t, which are powers of 1024;\n" +
			"times are in microseconds. --resources reads the same from the object linux.resources of a config.json,\n" +
			"where 0 changes nothing.",
	}
}

func (u *changeLimits) flags(f *pflag.FlagSet) {
	f.StringVarP(&u.file, "resources", "r", "", "`FILE` with a resources object, - is standard input; instead of all flags below")
	limit(u, f, &u.memory.Limit, parseBytes, "memory", "`BYTES` of memory at most")
	limit(u, f, &u.memory.Reservation, parseBytes, "memory-reservation", "`BYTES` of memory that are reclaimed last")
	limit(u, f, &u.memory.Swap, parseBytes, "memory-swap", "`BYTES` of memory and swap together at most")
	limit(u, f, &u.cpu.Shares, parseUnsigned, "cpu-share", "`N` relative weight, 1024 is usual")
	limit(u, f, &u.cpu.Quota, parseSigned, "cpu-quota", "`TIME` of all CPUs together in a period")
	limit(u, f, &u.cpu.Period, parseUnsigned, "cpu-period", "`TIME` that the quota is for")
	limit(u, f, &u.cpu.Burst, parseUnsigned, "cpu-burst", "`TIME` that may be saved up for a later period")
	limit(u, f, &u.cpu.Idle, parseSigned, "cpu-idle", "`0|1` run only when nobody else wants to")
	word(u, f, &u.cpu.Cpus, "cpuset-cpus", "`LIST` of CPUs to run on, such as 0-3,7")
	word(u, f, &u.cpu.Mems, "cpuset-mems", "`LIST` of memory nodes to take memory from")
	limit(u, f, &u.pids.Limit, parseSigned, "pids-limit", "`N` processes and threads at most")
	limit(u, f, &u.block.Weight, parseWeight, "blkio-weight", "`N` relative weight of input and output, from 10 to 1000")
	// What runc and crun take for cgroup v1, to be refused by name.
	limit(u, f, &u.cpu.RealtimePeriod, parseUnsigned, "cpu-rt-period", "")
	limit(u, f, &u.cpu.RealtimeRuntime, parseSigned, "cpu-rt-runtime", "")
	//lint:ignore SA1019 so that it can be refused
	limit(u, f, &u.memory.Kernel, parseBytes, "kernel-memory", "")
	limit(u, f, &u.memory.KernelTCP, parseBytes, "kernel-memory-tcp", "")
	for _, name := range [...]string{"l3-cache-schema", "mem-bw-schema"} {
		f.Func(name, "", func(string) error {
			return errors.New("schemas of Intel RDT: this version of mycr cannot do it yet")
		})
	}
	for _, name := range [...]string{"cpu-rt-period", "cpu-rt-runtime", "kernel-memory", "kernel-memory-tcp", "l3-cache-schema", "mem-bw-schema"} {
		f.Lookup(name).Hidden = true
	}
}

// limit adds a flag that leaves *to nil where it is not given. To 0, which
// changes nothing in a resources object, only those can be set that have it.
func limit[T int64 | uint64 | uint16](u *changeLimits, f *pflag.FlagSet, to **T, parse func(string) (T, error), name, usage string) {
	f.Func(name, usage, func(text string) error {
		n, err := parse(text)
		if err == nil && n == 0 && name != "cpu-burst" && name != "cpu-idle" {
			err = errors.New("0 would change nothing; -1 is no limit")
		}
		*to, u.given = &n, append(u.given, name)
		return err
	})
}

// word is limit for what is not a number.
func word(u *changeLimits, f *pflag.FlagSet, to *string, name, usage string) {
	f.Func(name, usage, func(text string) error {
		if text == "" {
			return errors.New("nothing is no list")
		}
		*to, u.given = text, append(u.given, name)
		return nil
	})
}

func parseSigned(text string) (int64, error)    { return strconv.ParseInt(text, 10, 64) }
func parseUnsigned(text string) (uint64, error) { return strconv.ParseUint(text, 10, 64) }

func parseWeight(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	return uint16(n), err
}

// parseBytes reads an amount as docker and runc do: 1048576, 1024k, 1m, 1.5GiB,
// or -1.
func parseBytes(text string) (int64, error) {
	wrong := fmt.Errorf("%q is neither an amount such as 1048576, 1024k or 1m, nor -1, which is no limit", text)
	if text == "-1" {
		return -1, nil
	}
	digits := strings.TrimRight(text, "bBiIkKmMgGtTpP")
	unit := strings.ToLower(text[len(digits):])
	scale := int64(1)
	if unit != "" && unit != "b" {
		i := strings.IndexByte("kmgtp", unit[0])
		if i < 0 || unit[1:] != "" && unit[1:] != "b" && unit[1:] != "ib" {
			return 0, wrong
		}
		scale <<= 10 * (i + 1)
	}
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n >= 0 && n <= math.MaxInt64/scale && digits[0] != '+' {
		return n * scale, nil
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || strings.Trim(digits, "0123456789.") != "" || n*float64(scale) >= math.MaxInt64 {
		return 0, wrong
	}
	return int64(n * float64(scale)), nil
}

func (u *changeLimits) run(s *session, args []string) (int, error) {
	resources, err := u.resources()
	if err != nil {
		return 1, err
	}
	root, err := s.openRoot()
	if err != nil {
		return 1, err
	}
	return 0, root.Update(args[0], resources)
}

// resources is what the flags or the file ask for.
func (u *changeLimits) resources() (*specs.LinuxResources, error) {
	r := &specs.LinuxResources{Memory: &u.memory, CPU: &u.cpu, Pids: &u.pids, BlockIO: &u.block}
	var err error
	switch {
	case u.file != "" && len(u.given) > 0:
		err = wrongUsage(fmt.Errorf("update has --resources %s and --%s: one of them is too much", u.file, u.given[0]), "mycr update --help")
	case u.file == "" && len(u.given) == 0:
		err = wrongUsage(errors.New("update is told no limit to change"), "mycr update --help")
	case u.file == "-":
		r, err = readResources(os.Stdin)
	case u.file != "":
		r, err = bundle.ReadResources(u.file)
	}
	if err != nil {
		return nil, err
	}
	return r, bundle.CheckChange(r)
}

// mostResources is the largest resources object that is read, in bytes.
const mostResources = 1 << 20

func readResources(from io.Reader) (*specs.LinuxResources, error) {
	text, err := io.ReadAll(io.LimitReader(from, mostResources+1))
	if err != nil {
		return nil, fmt.Errorf("read the resources from standard input: %w", err)
	}
	if len(text) > mostResources {
		return nil, fmt.Errorf("the resources on standard input have more than %d bytes, too many", mostResources)
	}
	r, err := bundle.DecodeResources(text)
	if err != nil {
		return nil, fmt.Errorf("resources on standard input: %w", err)
	}
	return r, nil
}
