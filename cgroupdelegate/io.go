// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The properties of an asked's ioDevices.
var ioProperties = [...]string{"IODeviceWeight", "IOReadBandwidthMax", "IOWriteBandwidthMax", "IOReadIOPSMax", "IOWriteIOPSMax"}

func (a *asked) blockIO(b *specs.LinuxBlockIO) {
	if b.Weight != nil && *b.Weight != 0 {
		f := field("blockIO.weight", *b.Weight)
		a.ioWeight = number{a.weightIO(*b.Weight, f), f}
		a.devices = append(a.devices, weightFile("", *b.Weight, a.ioWeight))
	}
	if b.LeafWeight != nil && *b.LeafWeight != 0 {
		a.onlyV1("blockIO.leafWeight", *b.LeafWeight)
	}
	for i, d := range b.WeightDevice {
		if d.Weight != nil && *d.Weight != 0 {
			device := fmt.Sprintf("%d:%d", d.Major, d.Minor)
			f := field(fmt.Sprintf("blockIO.weightDevice[%d]", i), fmt.Sprintf("%s %d", device, *d.Weight))
			weight := number{a.weightIO(*d.Weight, f), f}
			a.devices = append(a.devices, weightFile(device+" ", *d.Weight, weight))
			a.ioDevice(0, d.LinuxBlockIODevice, weight)
		}
		if d.LeafWeight != nil && *d.LeafWeight != 0 {
			a.onlyV1(fmt.Sprintf("blockIO.weightDevice[%d].leafWeight", i), *d.LeafWeight)
		}
	}
	a.throttle(1, "throttleReadBpsDevice", "rbps", b.ThrottleReadBpsDevice)
	a.throttle(2, "throttleWriteBpsDevice", "wbps", b.ThrottleWriteBpsDevice)
	a.throttle(3, "throttleReadIOPSDevice", "riops", b.ThrottleReadIOPSDevice)
	a.throttle(4, "throttleWriteIOPSDevice", "wiops", b.ThrottleWriteIOPSDevice)
}

// weightIO turns a weight of cgroup v1 (10 to 1000) into one of io.weight (1 to
// 10000), as runc and crun do.
func (a *asked) weightIO(weight uint16, field string) uint64 {
	const least, most = 10, 1000
	if weight < least || weight > most {
		a.refuse(field, "is not from %d to %d", least, most)
		return 0
	}
	return 1 + uint64(weight-least)*9999/(most-least)
}

// weightFile: BFQ's weights have the range of cgroup v1; without BFQ there is
// io.weight, of the cost model. Both take a line for a device (BFQ since 5.4).
func weightFile(device string, weight uint16, converted number) File {
	return File{
		Name: "io.bfq.weight", Value: fmt.Sprintf("%s%d", device, weight), Field: converted.field,
		Else: &File{Name: "io.weight", Value: fmt.Sprintf("%s%d", device, converted.value), Field: converted.field},
	}
}

// throttle: a rate of 0 is nothing; in update it lifts the limit, as with cgroup v1.
func (a *asked) throttle(property int, name, key string, devices []specs.LinuxThrottleDevice) {
	for i, d := range devices {
		f := field(fmt.Sprintf("blockIO.%s[%d]", name, i), fmt.Sprintf("%d:%d %d", d.Major, d.Minor, d.Rate))
		rate := d.Rate
		if rate == 0 {
			rate = unlimited
		}
		if a.usual(rate, unlimited) {
			continue
		}
		a.devices = append(a.devices, File{Name: "io.max", Value: fmt.Sprintf("%d:%d %s=%s", d.Major, d.Minor, key, maxOr(rate)), Field: f})
		a.ioDevice(property, d.LinuxBlockIODevice, number{rate, f})
	}
}

// ioDevice notes a setting for systemd, which wants a path; /dev/block is udev's.
func (a *asked) ioDevice(property int, d specs.LinuxBlockIODevice, n number) {
	const majors, minors = 1 << 12, 1 << 20 // the kernel's dev_t
	if d.Major < 0 || d.Major >= majors || d.Minor < 0 || d.Minor >= minors {
		a.refuse(n.field, "%d:%d is no device", d.Major, d.Minor)
	}
	p := &a.ioDevices[property]
	p.entries = append(p.entries, fmt.Sprintf(`("/dev/block/%d:%d", %d)`, d.Major, d.Minor, n.value))
}

func (a *asked) ioProperties(l *Limits) {
	if a.ioWeight.value != 0 {
		l.property("IOWeight", a.ioWeight.value)
	}
	for i, name := range ioProperties {
		if entries := a.ioDevices[i].entries; entries != nil {
			l.Properties = append(l.Properties, Property{Name: name, Type: "a(st)", Value: "[" + strings.Join(entries, ", ") + "]"})
		}
	}
}

// hugepages: 0 is a limit here, no huge page at all. Both the use and, since
// Linux 5.7, the reservation are limited, as runc does; without the second file
// the first is written twice.
func (a *asked) hugepages(limits []specs.LinuxHugepageLimit) {
	for i, h := range limits {
		f := field(fmt.Sprintf("hugepageLimits[%d]", i), fmt.Sprintf("%s %d", h.Pagesize, h.Limit))
		digits := strings.TrimRight(h.Pagesize, "KMGB")
		unit := strings.TrimPrefix(h.Pagesize, digits)
		size, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || digits[0] == '0' || size >= 1024 || unit != "KB" && unit != "MB" && unit != "GB" {
			a.refuse(f, "%q is no page size like 64KB, 2MB or 1GB", h.Pagesize)
			continue
		}
		used := File{Name: "hugetlb." + h.Pagesize + ".max", Value: maxOr(h.Limit), Field: f}
		a.devices = append(a.devices, used, File{Name: "hugetlb." + h.Pagesize + ".rsvd.max", Value: used.Value, Field: f, Else: &used})
	}
}

func (a *asked) rdma(devices map[string]specs.LinuxRdma) {
	for _, name := range sortedKeys(devices) {
		value, fields := name, ""
		for _, v := range []struct {
			key, name string
			limit     *uint32
		}{{"hca_handle", "hcaHandles", devices[name].HcaHandles}, {"hca_object", "hcaObjects", devices[name].HcaObjects}} {
			if v.limit == nil {
				continue
			}
			value += fmt.Sprintf(" %s=%d", v.key, *v.limit)
			if fields != "" {
				fields += "; "
			}
			fields += field(fmt.Sprintf("rdma[%q].%s", name, v.name), *v.limit)
		}
		if fields == "" {
			continue
		}
		if name == "" || strings.ContainsAny(name, " \t\n\x00=") {
			a.refuse(fields, "%q is no name of a device", name)
		}
		a.devices = append(a.devices, File{Name: "rdma.max", Value: value, Field: fields})
	}
}
