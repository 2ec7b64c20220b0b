// SPDX-License-Identifier: Apache-2.0

package bundle

import "github.com/opencontainers/runtime-spec/specs-go"

func (d *decoder) resources(r *specs.LinuxResources) {
	for key := range d.object(r) {
		switch key {
		case "devices":
			list(d, &r.Devices, (*decoder).deviceRule)
		case "memory":
			pointer(d, &r.Memory, (*decoder).memory)
		case "cpu":
			pointer(d, &r.CPU, (*decoder).cpu)
		case "pids":
			pointer(d, &r.Pids, (*decoder).pids)
		case "blockIO":
			pointer(d, &r.BlockIO, (*decoder).blockIO)
		case "hugepageLimits":
			list(d, &r.HugepageLimits, (*decoder).hugepageLimit)
		case "network":
			pointer(d, &r.Network, (*decoder).network)
		case "rdma":
			table(d, &r.Rdma, (*decoder).rdma)
		case "unified":
			table(d, &r.Unified, text)
		default:
			d.unknown(key, r)
		}
	}
}

func (d *decoder) deviceRule(r *specs.LinuxDeviceCgroup) {
	for key := range d.object(r) {
		switch key {
		case "allow":
			boolean(d, &r.Allow)
		case "type":
			text(d, &r.Type)
		case "major":
			pointer(d, &r.Major, signed)
		case "minor":
			pointer(d, &r.Minor, signed)
		case "access":
			text(d, &r.Access)
		default:
			d.unknown(key, r)
		}
	}
}

func (d *decoder) memory(m *specs.LinuxMemory) {
	for key := range d.object(m) {
		switch key {
		case "limit":
			pointer(d, &m.Limit, signed)
		case "reservation":
			pointer(d, &m.Reservation, signed)
		case "swap":
			pointer(d, &m.Swap, signed)
		case "kernel":
			//lint:ignore SA1019 read, so that Check can refuse it
			pointer(d, &m.Kernel, signed)
		case "kernelTCP":
			pointer(d, &m.KernelTCP, signed)
		case "swappiness":
			pointer(d, &m.Swappiness, unsigned)
		case "disableOOMKiller":
			pointer(d, &m.DisableOOMKiller, boolean)
		case "useHierarchy":
			pointer(d, &m.UseHierarchy, boolean)
		case "checkBeforeUpdate":
			pointer(d, &m.CheckBeforeUpdate, boolean)
		default:
			d.unknown(key, m)
		}
	}
}

func (d *decoder) cpu(c *specs.LinuxCPU) {
	for key := range d.object(c) {
		switch key {
		case "shares":
			pointer(d, &c.Shares, unsigned)
		case "quota":
			pointer(d, &c.Quota, signed)
		case "burst":
			pointer(d, &c.Burst, unsigned)
		case "period":
			pointer(d, &c.Period, unsigned)
		case "realtimeRuntime":
			pointer(d, &c.RealtimeRuntime, signed)
		case "realtimePeriod":
			pointer(d, &c.RealtimePeriod, unsigned)
		case "cpus":
			text(d, &c.Cpus)
		case "mems":
			text(d, &c.Mems)
		case "idle":
			pointer(d, &c.Idle, signed)
		default:
			d.unknown(key, c)
		}
	}
}

func (d *decoder) pids(p *specs.LinuxPids) {
	for key := range d.object(p) {
		switch key {
		case "limit":
			pointer(d, &p.Limit, signed)
		default:
			d.unknown(key, p)
		}
	}
}

func (d *decoder) blockIO(b *specs.LinuxBlockIO) {
	for key := range d.object(b) {
		switch key {
		case "weight":
			pointer(d, &b.Weight, unsigned)
		case "leafWeight":
			pointer(d, &b.LeafWeight, unsigned)
		case "weightDevice":
			list(d, &b.WeightDevice, (*decoder).weightDevice)
		case "throttleReadBpsDevice":
			list(d, &b.ThrottleReadBpsDevice, (*decoder).throttleDevice)
		case "throttleWriteBpsDevice":
			list(d, &b.ThrottleWriteBpsDevice, (*decoder).throttleDevice)
		case "throttleReadIOPSDevice":
			list(d, &b.ThrottleReadIOPSDevice, (*decoder).throttleDevice)
		case "throttleWriteIOPSDevice":
			list(d, &b.ThrottleWriteIOPSDevice, (*decoder).throttleDevice)
		default:
			d.unknown(key, b)
		}
	}
}

func (d *decoder) weightDevice(w *specs.LinuxWeightDevice) {
	for key := range d.object(w) {
		switch key {
		case "major":
			signed(d, &w.Major)
		case "minor":
			signed(d, &w.Minor)
		case "weight":
			pointer(d, &w.Weight, unsigned)
		case "leafWeight":
			pointer(d, &w.LeafWeight, unsigned)
		default:
			d.unknown(key, w)
		}
	}
}

func (d *decoder) throttleDevice(t *specs.LinuxThrottleDevice) {
	for key := range d.object(t) {
		switch key {
		case "major":
			signed(d, &t.Major)
		case "minor":
			signed(d, &t.Minor)
		case "rate":
			unsigned(d, &t.Rate)
		default:
			d.unknown(key, t)
		}
	}
}

func (d *decoder) hugepageLimit(h *specs.LinuxHugepageLimit) {
	for key := range d.object(h) {
		switch key {
		case "pageSize":
			text(d, &h.Pagesize)
		case "limit":
			unsigned(d, &h.Limit)
		default:
			d.unknown(key, h)
		}
	}
}

func (d *decoder) network(n *specs.LinuxNetwork) {
	for key := range d.object(n) {
		switch key {
		case "classID":
			pointer(d, &n.ClassID, unsigned)
		case "priorities":
			list(d, &n.Priorities, (*decoder).interfacePriority)
		default:
			d.unknown(key, n)
		}
	}
}

func (d *decoder) interfacePriority(p *specs.LinuxInterfacePriority) {
	for key := range d.object(p) {
		switch key {
		case "name":
			text(d, &p.Name)
		case "priority":
			unsigned(d, &p.Priority)
		default:
			d.unknown(key, p)
		}
	}
}

func (d *decoder) rdma(r *specs.LinuxRdma) {
	for key := range d.object(r) {
		switch key {
		case "hcaHandles":
			pointer(d, &r.HcaHandles, unsigned)
		case "hcaObjects":
			pointer(d, &r.HcaObjects, unsigned)
		default:
			d.unknown(key, r)
		}
	}
}
