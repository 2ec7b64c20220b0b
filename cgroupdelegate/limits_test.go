// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/runtime-spec/specs-go"
	"pgregory.net/rapid"
)

// expectation is what a cgroup has to be after resources, by runtime-spec's config-linux.md and the
// kernel's documentation; impossible is a reason to refuse them.
type expectation struct {
	*kernel
	update     bool
	impossible string
}

func (e *expectation) refuse(why string) {
	if e.impossible == "" {
		e.impossible = why
	}
}

func expect(r *specs.LinuxResources, start *kernel, update bool) expectation {
	e := expectation{kernel: start.clone(), update: update}
	e.memory(r.Memory)
	if r.Pids.Limit != nil && *r.Pids.Limit != 0 {
		e.Numbers["pids.max"] = orMax(*r.Pids.Limit)
	}
	e.blockIO(r.BlockIO)
	for _, h := range r.HugepageLimits {
		e.Numbers["hugetlb."+h.Pagesize+".max"] = h.Limit
		if e.reservations {
			e.Numbers["hugetlb."+h.Pagesize+".rsvd.max"] = h.Limit
		}
	}
	for name, d := range r.Rdma {
		if d.HcaHandles != nil {
			e.Lines["rdma.max "+name+" hca_handle"] = uint64(*d.HcaHandles)
		}
		if d.HcaObjects != nil {
			e.Lines["rdma.max "+name+" hca_object"] = uint64(*d.HcaObjects)
		}
	}
	e.cpu(r.CPU, r.Unified)
	for key, value := range r.Unified {
		if key == "io.max" { // two lines, of two devices
			for _, line := range strings.Split(value, "\n") {
				if err := e.write(key, line); err != nil {
					e.refuse(err.Error())
				}
			}
		} else if !strings.HasPrefix(key, "cpu.") {
			if err := e.write(key, value); err != nil {
				e.refuse(err.Error())
			}
		}
	}
	return e
}

func orMax(n int64) uint64 {
	if n < 0 {
		return none
	}
	return uint64(n)
}

func (e *expectation) memory(m *specs.LinuxMemory) {
	given := func(v *int64) bool { return v != nil && *v != 0 }
	limit, swap := e.Numbers["memory.max"], e.Numbers["memory.swap.max"]
	if given(m.Limit) {
		limit = orMax(*m.Limit)
	}
	switch { // the specification's swap is memory and swap
	case given(m.Swap) && *m.Swap == -1:
		swap = none
	case given(m.Swap) && given(m.Limit) && *m.Limit == -1:
		swap = uint64(*m.Swap)
	case given(m.Swap) && limit == none:
		e.refuse("swap without memory")
	case given(m.Swap) && uint64(*m.Swap) < limit:
		e.refuse("swap below memory")
	case given(m.Swap):
		swap = uint64(*m.Swap) - limit
	case given(m.Limit) && *m.Limit == -1:
		swap = none
	case given(m.Limit) && swap != none && e.Numbers["memory.max"] != none: // the sum stays
		sum := e.Numbers["memory.max"] + swap
		if sum < limit {
			e.refuse("swap below memory")
		}
		swap = sum - limit
	}
	if given(m.Reservation) && (*m.Reservation > 0 || e.update) {
		e.Numbers["memory.low"] = orMax(*m.Reservation)
	}
	e.Numbers["memory.max"], e.Numbers["memory.swap.max"] = limit, swap
}

func (e *expectation) cpu(c *specs.LinuxCPU, unified map[string]string) {
	if c.Cpus != "" {
		e.CPUs, _ = numbersOf(c.Cpus)
	}
	if c.Mems != "" {
		e.Mems, _ = numbersOf(c.Mems)
	}
	idle, weight := e.Idle, uint64(0)
	if c.Idle != nil {
		idle = *c.Idle == 1
	}
	if c.Shares != nil {
		weight = sharesTable(*c.Shares)
	}
	if text := unified["cpu.weight"]; text != "" {
		fmt.Sscan(text, &weight)
	}
	if idle && (weight != 0 && (weight != 100 || c.Idle == nil)) {
		e.refuse("idle and weight")
	}
	if c.Idle != nil {
		e.write("cpu.idle", fmt.Sprint(*c.Idle))
	}
	if weight != 0 && !idle {
		e.Numbers["cpu.weight"] = weight
	}
	if c.Quota != nil && *c.Quota != 0 {
		e.Quota = orMax(*c.Quota)
	}
	if c.Period != nil && *c.Period != 0 {
		e.Period = *c.Period
	}
	if text := unified["cpu.max"]; text != "" {
		fmt.Sscan(text, &e.Quota, &e.Period)
	}
	if c.Burst != nil {
		e.Burst = *c.Burst
	}
	if e.Period < 1000 || e.Period > 1000000 || e.Quota != none && (e.Quota < 1000 || e.Quota >= 1<<44 || e.Burst > e.Quota || e.Burst+e.Quota >= 1<<44) {
		e.refuse("cpu.max")
	}
}

// sharesTable is the published formula, the least whole number above 10^(L²/612 + 125L/612 - 7/34).
func sharesTable(shares uint64) uint64 {
	switch { // the points that it was made for are exact
	case shares == 0:
		return 0
	case shares <= 2:
		return 1
	case shares == 1024:
		return 100
	case shares >= 262144:
		return 10000
	}
	l := math.Log(float64(shares)) / math.Ln2
	return uint64(math.Exp(math.Ln10*(l*l/612+125*l/612-7.0/34))) + 1
}

func (e *expectation) blockIO(b *specs.LinuxBlockIO) {
	weight := func(key string, w *uint16) {
		if w == nil || *w == 0 {
			return
		}
		if *w < 10 || *w > 1000 {
			e.refuse("weight")
		}
		if e.bfq {
			e.Lines["io.bfq.weight "+key] = uint64(*w)
		} else { // the line through (10, 1) and (1000, 10000)
			e.Lines["io.weight "+key] = uint64(math.Floor(1 + (float64(*w)-10)*10.1))
		}
	}
	weight("default", b.Weight)
	for _, d := range b.WeightDevice {
		weight(fmt.Sprintf("%d:%d", d.Major, d.Minor), d.Weight)
	}
	for key, devices := range map[string][]specs.LinuxThrottleDevice{"rbps": b.ThrottleReadBpsDevice, "wbps": b.ThrottleWriteBpsDevice,
		"riops": b.ThrottleReadIOPSDevice, "wiops": b.ThrottleWriteIOPSDevice} {
		for _, d := range devices {
			if d.Rate > 0 {
				e.Lines[fmt.Sprintf("io.max %d:%d %s", d.Major, d.Minor, key)] = d.Rate
			} else if e.update {
				e.Lines[fmt.Sprintf("io.max %d:%d %s", d.Major, d.Minor, key)] = none
			}
		}
	}
}

func draw[V any](t *rapid.T, name string, g *rapid.Generator[V]) V { return g.Draw(t, name) }

func anyResources(t *rapid.T) *specs.LinuxResources {
	size := rapid.Ptr(rapid.OneOf(rapid.SampledFrom([]int64{0, -1, 1, 128 << 20, 256 << 20}), rapid.Int64Range(1, 1<<40)), true)
	usec := rapid.OneOf(rapid.SampledFrom([]int64{0, 999, 1000, 50000, 100000, 1000000, 1000001}), rapid.Int64Range(1000, 400000))
	ids := rapid.StringMatching(`([0-9]|1[0-9]-2[0-9])(,3[0-9])?(,8191)?`)
	blockDevice := rapid.Map(rapid.SampledFrom([]int64{8, 259}), func(n int64) specs.LinuxBlockIODevice {
		return specs.LinuxBlockIODevice{Major: n, Minor: n - 8}
	})
	weight := rapid.Ptr(rapid.OneOf(rapid.SampledFrom([]uint16{0, 9, 10, 1000, 1001}), rapid.Uint16Range(10, 1000)), true)
	rates := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) specs.LinuxThrottleDevice {
		return specs.LinuxThrottleDevice{LinuxBlockIODevice: blockDevice.Draw(t, "device"), Rate: rapid.Uint64Range(0, 1<<40).Draw(t, "rate")}
	}), 0, 3)
	maybe := func(s *rapid.Generator[string]) *rapid.Generator[string] { return rapid.OneOf(rapid.Just(""), s) }
	unsigned := func(g *rapid.Generator[int64]) *rapid.Generator[*uint64] {
		return rapid.Ptr(rapid.Map(g, func(n int64) uint64 { return uint64(n) }), true)
	}
	r := &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: draw(t, "limit", size), Reservation: draw(t, "reservation", size), Swap: draw(t, "swap", size)},
		CPU: &specs.LinuxCPU{
			Shares: draw(t, "shares", rapid.Ptr(rapid.OneOf(rapid.SampledFrom([]uint64{0, 1, 2, 1024, 262144, 1 << 40}), rapid.Uint64Range(2, 262144)), true)),
			Quota:  draw(t, "quota", rapid.Ptr(rapid.OneOf(usec, rapid.SampledFrom([]int64{-1, -7, 1<<44 - 1, 1 << 44})), true)),
			Period: draw(t, "period", unsigned(usec)),
			Burst:  draw(t, "burst", unsigned(usec)),
			Cpus:   draw(t, "cpus", maybe(ids)), Mems: draw(t, "mems", maybe(ids)),
			Idle: draw(t, "idle", rapid.Ptr(rapid.Int64Range(0, 1), true)),
		},
		Pids: &specs.LinuxPids{Limit: draw(t, "pids", rapid.Ptr(rapid.Int64Range(-1, 4096), true))},
		BlockIO: &specs.LinuxBlockIO{
			Weight: draw(t, "weight", weight),
			WeightDevice: draw(t, "weights", rapid.SliceOfN(rapid.Custom(func(t *rapid.T) specs.LinuxWeightDevice {
				return specs.LinuxWeightDevice{LinuxBlockIODevice: blockDevice.Draw(t, "device"), Weight: weight.Draw(t, "weight")}
			}), 0, 2)),
			ThrottleReadBpsDevice: draw(t, "rbps", rates), ThrottleWriteBpsDevice: draw(t, "wbps", rates),
			ThrottleReadIOPSDevice: draw(t, "riops", rates), ThrottleWriteIOPSDevice: draw(t, "wiops", rates),
		},
		HugepageLimits: draw(t, "huge", rapid.SliceOfN(rapid.Custom(func(t *rapid.T) specs.LinuxHugepageLimit {
			return specs.LinuxHugepageLimit{Pagesize: rapid.SampledFrom([]string{"64KB", "2MB", "1GB"}).Draw(t, "size"), Limit: rapid.Uint64().Draw(t, "limit")}
		}), 0, 2)),
		Rdma: draw(t, "rdma", rapid.MapOfN(rapid.SampledFrom([]string{"mlx5_1", "rxe3"}), rapid.Custom(func(t *rapid.T) specs.LinuxRdma {
			n := rapid.Ptr(rapid.Uint32(), true)
			return specs.LinuxRdma{HcaHandles: n.Draw(t, "handles"), HcaObjects: n.Draw(t, "objects")}
		}), 0, 2)),
		Unified: map[string]string{},
	}
	for _, u := range [][]string{{"memory.max", "max", "5", "536870912"}, {"memory.high", "max", "100"}, {"memory.min", "0", "7"}, {"memory.swap.max", "0", "max"},
		{"pids.max", "max", "0", "9"}, {"cpu.weight", "1", "100", "10000"}, {"cpu.max", "20000 50000", "60000"},
		{"hugetlb.2MB.max", "max", "4194304"}, {"io.weight", "default 77"}, {"io.max", "8:0 rbps=7\n259:251 wiops=max"}} {
		if rapid.IntRange(0, 5).Draw(t, u[0]) == 0 {
			r.Unified[u[0]] = rapid.SampledFrom(u[1:]).Draw(t, "value")
		}
	}
	return r
}

// Whatever is asked, the kernel, and systemd, end where the documentation says, or it is refused.
func TestLimitsAreWhatTheDocumentationSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := newKernel()
		start.bfq, start.reservations = rapid.Bool().Draw(t, "bfq"), rapid.Bool().Draw(t, "reservations")
		if start.reservations {
			for _, size := range []string{"64KB", "2MB", "1GB"} {
				start.Numbers["hugetlb."+size+".rsvd.max"] = none
			}
		}
		check(t, start, false, anyResources(t))
	})
}

// The same for update, of a cgroup that has anything.
func TestChangesAreWhatTheDocumentationSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := newKernel()
		limit := rapid.OneOf(rapid.Just[uint64](none), rapid.Uint64Range(1, 1<<30))
		for _, file := range []string{"pids.max", "memory.high", "memory.max", "memory.swap.max"} {
			start.Numbers[file] = limit.Draw(t, file)
		}
		if start.Idle = rapid.Bool().Draw(t, "idle"); start.Idle {
			start.Numbers["cpu.weight"] = 0
		} else {
			start.Numbers["cpu.weight"] = rapid.Uint64Range(1, 10000).Draw(t, "weight")
		}
		if start.Period = rapid.Uint64Range(1000, 1000000).Draw(t, "period"); rapid.Bool().Draw(t, "limited") {
			start.Quota = rapid.Uint64Range(1000, 1000000).Draw(t, "quota")
			start.Burst = rapid.Uint64Range(0, start.Quota).Draw(t, "burst")
		}
		check(t, start, true, anyResources(t))
	})
}

func check(t *rapid.T, start *kernel, update bool, r *specs.LinuxResources) {
	want := expect(r, start, update)
	l, _, err := limitsOf(r)
	if update {
		l, _, err = changesOf(r, inForce{quota: start.Quota, period: start.Period, burst: start.Burst, idle: start.Idle,
			memory: start.Numbers["memory.max"], swap: start.Numbers["memory.swap.max"], swapKnown: true})
	}
	if (err != nil) != (want.impossible != "") {
		t.Fatalf("%v, but to refuse is: %q", err, want.impossible)
	}
	if err != nil {
		return
	}
	got := start.clone()
	for _, f := range l.Files {
		if controller, _, _ := strings.Cut(f.Name, "."); !slices.Contains(l.Controllers, controller) {
			t.Fatalf("%s is not among the controllers %v", controller, l.Controllers)
		}
		for to := &f; ; to = to.Else {
			if got.has(to.Name) || to.Else == nil {
				if err := got.write(to.Name, to.Value); err != nil {
					t.Fatal(err)
				}
				break
			}
		}
	}
	if d := cmp.Diff(want.kernel, got, cmpopts.IgnoreUnexported(kernel{})); d != "" {
		t.Fatalf("files %v: %s", l.Files, d)
	}
	agree(t, l, start, got, r.Unified["io.max"] == "")
}

// agree checks that systemd, which writes on its own whenever it likes, writes the same.
func agree(t *rapid.T, l Limits, start, files *kernel, lines bool) {
	systemd, want := start.clone(), files.clone()
	systemd.Burst, want.Burst = 0, 0 // no property is for that
	for _, p := range l.Properties {
		if err := systemd.property(p); err != nil {
			t.Fatal(err)
		}
	}
	if want.Numbers["pids.max"] == 0 {
		want.Numbers["pids.max"] = 1 // TasksMax= takes no 0
	}
	asked := slices.ContainsFunc(l.Properties, func(p Property) bool { return p.Name == "CPUQuotaPerSecUSec" })
	if asked && want.Quota*100 < want.Period {
		want.Quota = want.Period / 100 // CPUQuota= takes whole per cents, from 1
	}
	for key := range want.Numbers {
		if strings.HasPrefix(key, "hugetlb.") {
			want.Numbers[key] = start.Numbers[key]
		}
	}
	notSystemds := func(key string, _ uint64) bool {
		file, _, _ := strings.Cut(key, " ")
		return file == "rdma.max" || !lines || start.bfq && file != "io.max" // its weights for BFQ come from IOWeight=
	}
	maps.DeleteFunc(want.Lines, notSystemds)
	maps.DeleteFunc(systemd.Lines, notSystemds)
	if d := cmp.Diff(want, systemd, cmpopts.IgnoreUnexported(kernel{})); d != "" {
		t.Fatalf("properties %v: %s", l.Properties, d)
	}
}
