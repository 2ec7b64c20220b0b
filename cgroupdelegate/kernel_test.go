// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
)

// kernel is a cgroup as Documentation/admin-guide/cgroup-v2.rst describes it, with the ranges that
// kernel/sched/core.c has for cpu.max: what is written to a file, what is refused, and what is there after.
type kernel struct {
	Numbers              map[string]uint64 // pids.max, memory.*, cpu.weight, hugetlb.*
	Idle                 bool
	Quota, Period, Burst uint64
	CPUs, Mems           string            // as a sorted list of numbers
	Lines                map[string]uint64 // "io.max 8:0 rbps", "rdma.max mlx5_1 hca_handle", "io.weight 8:0"
	bfq, reservations    bool              // what this kernel has
}

const none = math.MaxUint64

func newKernel() *kernel {
	return &kernel{
		Numbers: map[string]uint64{
			"pids.max": none, "memory.min": 0, "memory.low": 0, "memory.high": none, "memory.max": none, "memory.swap.max": none,
			"cpu.weight": 100, "hugetlb.2MB.max": none, "hugetlb.1GB.max": none, "hugetlb.64KB.max": none,
		},
		Quota: none, Period: 100000,
		Lines: map[string]uint64{},
	}
}

func (k *kernel) clone() *kernel {
	c := *k
	c.Numbers, c.Lines = maps.Clone(k.Numbers), maps.Clone(k.Lines)
	return &c
}

func (k *kernel) has(file string) bool {
	switch {
	case file == "io.bfq.weight":
		return k.bfq
	case strings.HasSuffix(file, ".rsvd.max"):
		return k.reservations
	}
	_, number := k.Numbers[file]
	switch file {
	case "cpu.max", "cpu.max.burst", "cpu.idle", "cpuset.cpus", "cpuset.mems", "io.max", "io.weight", "rdma.max":
		return true
	}
	return number
}

func invalid(file, value string) error { return fmt.Errorf("%s: %q: invalid argument", file, value) }

func (k *kernel) write(file, value string) error {
	count := func(text string) (uint64, bool) {
		if text == "max" {
			return none, true
		}
		n, err := strconv.ParseUint(text, 10, 64)
		return n, err == nil
	}
	n, isNumber := count(value)
	switch {
	case !k.has(file):
		return fmt.Errorf("%s: no such file", file)
	case file == "cpu.weight": // [1, 10000]; sched_group_set_shares refuses an idle group
		if !isNumber || n < 1 || n > 10000 || k.Idle {
			return invalid(file, value)
		}
		k.Numbers[file] = n
	case file == "cpu.idle":
		if !isNumber || n > 1 {
			return invalid(file, value)
		}
		if k.Idle != (n == 1) { // sched_group_set_idle: weight of the idle, or nice 0
			k.Numbers["cpu.weight"] = 100 * (1 - n)
		}
		k.Idle = n == 1
	case file == "cpu.max":
		quota, period, two := strings.Cut(value, " ")
		q, ok := count(quota)
		p := k.Period
		if two {
			var err error
			p, err = strconv.ParseUint(period, 10, 64)
			ok = ok && err == nil
		}
		if !ok || p < 1000 || p > 1000000 || q != none && (q < 1000 || k.Burst+q >= 1<<44 || k.Burst > q) {
			return invalid(file, value)
		}
		k.Quota, k.Period = q, p
	case file == "cpu.max.burst": // "The burst in the range [0, $MAX]"
		if !isNumber || k.Quota != none && (n > k.Quota || n+k.Quota >= 1<<44) {
			return invalid(file, value)
		}
		k.Burst = n
	case file == "cpuset.cpus", file == "cpuset.mems":
		set, ok := numbersOf(value)
		if !ok {
			return invalid(file, value)
		}
		if file == "cpuset.cpus" {
			k.CPUs = set
		} else {
			k.Mems = set
		}
	case file == "io.bfq.weight", file == "io.weight":
		device, weight, perDevice := strings.Cut(value, " ")
		if !perDevice {
			device, weight = "default", value
		}
		n, ok := count(weight)
		most := uint64(10000)
		if file == "io.bfq.weight" {
			most = 1000 // block/bfq-iosched.h: BFQ_MAX_WEIGHT
		}
		if !ok || n < 1 || n > most {
			return invalid(file, value)
		}
		k.Lines[file+" "+device] = n
	case file == "io.max", file == "rdma.max":
		words := strings.Fields(value)
		for _, word := range words[1:] {
			key, text, _ := strings.Cut(word, "=")
			n, ok := count(text)
			known := strings.Contains(" rbps wbps riops wiops ", " "+key+" ") == (file == "io.max") && (file == "io.max" || key == "hca_handle" || key == "hca_object")
			if !ok || !known || n == 0 && file == "io.max" {
				return invalid(file, value)
			}
			k.Lines[file+" "+words[0]+" "+key] = n
		}
	default:
		if !isNumber {
			return invalid(file, value)
		}
		k.Numbers[file] = n
	}
	return nil
}

// numbersOf is a list like 0-3,7 written out: 0 1 2 3 7.
func numbersOf(list string) (string, bool) {
	var set [9000]bool
	for _, part := range strings.Split(list, ",") {
		from, to, _ := strings.Cut(part, "-")
		if to == "" {
			to = from
		}
		a, err1 := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || a > b || b >= len(set) {
			return "", false
		}
		for ; a <= b; a++ {
			set[a] = true
		}
	}
	text := ""
	for i, in := range set {
		if in {
			text += fmt.Sprint(i, " ")
		}
	}
	return text, true
}

// property does what systemd does with one, by systemd.resource-control(5).
func (k *kernel) property(p Property) error {
	n, err := strconv.ParseUint(p.Value, 10, 64)
	if (err == nil) != (p.Type == "t") {
		return fmt.Errorf("property %v", p)
	}
	text := strconv.FormatUint(n, 10)
	if n == none {
		text = "max"
	}
	files := map[string]string{"TasksMax": "pids.max", "MemoryMin": "memory.min", "MemoryLow": "memory.low",
		"MemoryHigh": "memory.high", "MemoryMax": "memory.max", "MemorySwapMax": "memory.swap.max", "IOWeight": "io.weight"}
	limits := map[string]string{"IOReadBandwidthMax": "rbps", "IOWriteBandwidthMax": "wbps", "IOReadIOPSMax": "riops", "IOWriteIOPSMax": "wiops"}
	switch {
	case p.Name == "TasksMax" && n == 0:
		return fmt.Errorf("TasksMax=0 is not allowed")
	case files[p.Name] != "":
		return k.write(files[p.Name], text)
	case p.Name == "CPUWeight" && n == 0: // "the special value idle", on the bus 0
		return k.write("cpu.idle", "1")
	case p.Name == "CPUWeight":
		if err := k.write("cpu.idle", "0"); err != nil {
			return err
		}
		return k.write("cpu.weight", text)
	case p.Name == "CPUQuotaPeriodUSec": // held until the quota comes
		k.Period = n
	case p.Name == "CPUQuotaPerSecUSec": // the share of a second, to be scaled to the period
		if n == none {
			return k.write("cpu.max", fmt.Sprint("max ", k.Period))
		}
		return k.write("cpu.max", fmt.Sprint(n*k.Period/1000000, " ", k.Period))
	case p.Name == "AllowedCPUs", p.Name == "AllowedMemoryNodes":
		return k.mask(p)
	case p.Name == "IODeviceWeight", limits[p.Name] != "":
		for _, entry := range strings.Split(strings.Trim(p.Value, "[()]"), "), (") {
			path, value, _ := strings.Cut(entry, ", ")
			device, ok := strings.CutPrefix(strings.Trim(path, `"`), "/dev/block/")
			if !ok || p.Type != "a(st)" {
				return fmt.Errorf("property %v", p)
			}
			value = strings.Replace(value, "18446744073709551615", "max", 1)
			file, line := "io.weight", device+" "+value
			if key := limits[p.Name]; key != "" {
				file, line = "io.max", device+" "+key+"="+value
			}
			if err := k.write(file, line); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("systemd knows no %s", p.Name)
	}
	return nil
}

// mask is a set of bits, the lowest first.
func (k *kernel) mask(p Property) error {
	text := ""
	for i, word := range strings.Split(strings.Trim(p.Value, "[]"), ", ") {
		b, err := strconv.ParseUint(word, 10, 8)
		if err != nil || p.Type != "ay" {
			return fmt.Errorf("property %v", p)
		}
		for bit := range 8 {
			if b>>bit&1 == 1 {
				text += fmt.Sprint(i*8+bit, " ")
			}
		}
	}
	if p.Name == "AllowedCPUs" {
		k.CPUs = text
	} else {
		k.Mems = text
	}
	return nil
}
