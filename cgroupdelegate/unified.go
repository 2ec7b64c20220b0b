// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// unified is written after all others, and wins over a plain field for the same
// file, as with runc and crun. What this package knows to be the same setting
// replaces the plain one, so that systemd gets it too.
func (a *asked) unified(m map[string]string) {
	for _, key := range sortedKeys(m) {
		f := field(fmt.Sprintf("unified[%q]", key), strings.ReplaceAll(strings.TrimSpace(m[key]), "\n", "; "))
		controller, rest, dotted := strings.Cut(key, ".")
		switch {
		case strings.ContainsRune(key, '/'):
			a.refuse(f, "unified resource %q must be a file name (no slashes)", key)
		case !dotted || controller == "" || rest == "":
			a.refuse(f, "unified resource %q must be in the form CONTROLLER.PARAMETER", key)
		case controller == "cgroup":
			a.refuse(f, "files of the cgroup itself are mycr's to write, only those of controllers can be set")
		case strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "":
			a.refuse(f, "unified resource %q is no name of a file", key)
		case strings.TrimSpace(m[key]) == "":
			a.refuse(f, "there is no value to write")
		case strings.ContainsRune(m[key], 0):
			a.refuse(f, "the value has a NUL in it")
		default:
			a.unifiedFile(key, m[key], f)
		}
	}
}

func (a *asked) unifiedFile(key, text, f string) {
	value := strings.TrimSpace(text)
	switch key {
	case "cpuset.cpus":
		a.cpus = a.list(value, f)
	case "cpuset.mems":
		a.mems = a.list(value, f)
	case "memory.min", "memory.low", "memory.high", "memory.max", "memory.swap.max":
		a.unifiedNumber(key, f, parseSize, value)
	case "pids.max":
		a.unifiedNumber(key, f, parseMax, value)
	case "cpu.max":
		a.unifiedCPUMax(value, f)
	case "cpu.max.burst":
		a.unifiedNumber(key, f, parseNumber, value)
	case "cpu.idle":
		if n, ok := parseNumber(value); ok {
			a.idle(number{n, f})
		} else {
			a.refuse(f, "is neither 0 nor 1")
		}
	case "cpu.weight":
		if n, ok := parseNumber(value); ok && n >= 1 && n <= 10_000 {
			a.set(key, n, f)
		} else {
			a.refuse(f, "is no weight from 1 to 10000")
		}
	case "io.weight":
		if n, ok := parseNumber(strings.TrimPrefix(value, "default ")); ok {
			a.ioWeight = number{n, f}
		}
		a.unifiedLines(key, value)
	default:
		if value == "max" && usuallyMax(key) && a.was == nil && !a.writes(key) {
			return // as a new cgroup has it
		}
		a.unifiedLines(key, value)
	}
}

// unifiedLines: a file of several lines takes one a write.
func (a *asked) unifiedLines(key, value string) {
	for line := range strings.SplitSeq(value, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			a.lines = append(a.lines, File{Name: key, Value: line, Field: field(fmt.Sprintf("unified[%q]", key), line)})
		}
	}
}

// usuallyMax tells files of one number that a new cgroup has at max; those of io, rdma and misc have
// lines with keys.
func usuallyMax(file string) bool {
	controller, _, _ := strings.Cut(file, ".")
	return (controller == "memory" || controller == "hugetlb" || controller == "cpu") &&
		(strings.HasSuffix(file, ".max") || strings.HasSuffix(file, ".high"))
}

// writes tells whether a plain field writes the file.
func (a *asked) writes(file string) bool {
	for _, f := range a.devices {
		if f.Name == file {
			return true
		}
	}
	return false
}

func (a *asked) unifiedNumber(key, f string, parse func(string) (uint64, bool), value string) {
	n, ok := parse(value)
	if !ok {
		a.refuse(f, "the kernel takes no %q for %s", value, key)
	}
	a.set(key, n, f)
}

// unifiedCPUMax is "quota period", or a quota alone, which leaves the period.
func (a *asked) unifiedCPUMax(value, f string) {
	words := strings.Fields(value)
	quota, ok := parseMax(words[0])
	if ok && len(words) == 2 {
		var period uint64
		period, ok = parseNumber(words[1])
		a.period = &number{period, f}
	}
	if !ok || len(words) > 2 {
		a.refuse(f, "is not in the form QUOTA PERIOD, in microseconds")
	}
	a.quota = &number{quota, f}
}

func parseNumber(text string) (uint64, bool) {
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil
}

func parseMax(text string) (uint64, bool) {
	if text == "max" {
		return unlimited, true
	}
	return parseNumber(text)
}

// parseSize reads what the kernel's memparse does: bytes, or with one of K, M, G,
// T, P, E times a power of 1024.
func parseSize(text string) (uint64, bool) {
	if text == "max" {
		return unlimited, true
	}
	digits := strings.TrimRight(text, "kKmMgGtTpPeE")
	n, ok := parseNumber(digits)
	if !ok || len(text) > len(digits)+1 {
		return 0, false
	}
	if len(text) > len(digits) {
		unit := 1 + strings.IndexByte("kmgtpe", text[len(text)-1]|0x20)
		over, scaled := bits.Mul64(n, 1<<(10*unit))
		return scaled, over == 0
	}
	return n, true
}
