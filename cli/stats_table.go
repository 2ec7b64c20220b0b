// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"mycr/cgroupdelegate"
)

// hostMemory is how many bytes of memory there are, 0 if nobody knows.
func hostMemory() uint64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return uint64(info.Totalram) * uint64(info.Unit)
}

// usageTable is for people: three or four digits of each number, - for what the
// kernel does not tell.
func usageTable(list []usage, host uint64) []byte {
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 1, 3, ' ', 0)
	fmt.Fprint(w, "ID\tCPU %\tMEM USAGE / LIMIT\tMEM %\tPEAK\tPIDS\tIO READ / WRITE\tPRESSURE CPU / MEM / IO\tTHROTTLED\n")
	for _, u := range list {
		if u.Stats == nil {
			u.Stats = &cgroupdelegate.Stats{}
		}
		usage, share, peak := memoryCells(u.Memory, host)
		cpu := "-"
		if u.CPUPercent != nil {
			cpu = percent(*u.CPUPercent)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			u.ID, cpu, usage, share, peak, pidsCell(u.Pids), ioCell(u.IO), pressureCell(u.Pressure), throttledCell(u.CPU))
	}
	w.Flush()
	return out.Bytes()
}

// memoryCells takes off what docker does: pages of files that were not used
// lately, which the kernel drops before anything else.
func memoryCells(m *cgroupdelegate.MemoryStats, host uint64) (usage, share, peak string) {
	if m == nil {
		return "- / -", "-", "-"
	}
	used, limit := m.Current, host
	if idle := m.Stat["inactive_file"]; idle < used {
		used -= idle
	}
	if m.Max != nil {
		limit = *m.Max
	}
	share = "-"
	if limit > 0 {
		share = percent(100 * float64(used) / float64(limit))
	}
	return humanBytes(used) + " / " + humanBytes(limit), share, bytesOrNone(m.Peak)
}

func pidsCell(p *cgroupdelegate.PidsStats) string {
	switch {
	case p == nil:
		return "-"
	case p.Max == nil:
		return strconv.FormatUint(p.Current, 10)
	}
	return fmt.Sprintf("%d / %d", p.Current, *p.Max)
}

func ioCell(devices []cgroupdelegate.DeviceIO) string {
	if devices == nil {
		return "- / -"
	}
	var read, written uint64
	for _, d := range devices {
		read, written = read+d.ReadBytes, written+d.WriteBytes
	}
	return humanBytes(read) + " / " + humanBytes(written)
}

func pressureCell(p *cgroupdelegate.PressureStats) string {
	if p == nil {
		return "- / - / -"
	}
	cell := func(p *cgroupdelegate.Pressure) string {
		if p == nil || p.Some == nil {
			return "-"
		}
		return percent(p.Some.Avg10)
	}
	return cell(p.CPU) + " / " + cell(p.Memory) + " / " + cell(p.IO)
}

func throttledCell(c *cgroupdelegate.CPUStats) string {
	if c == nil || c.Throttling == nil {
		return "-"
	}
	d := time.Duration(c.Throttling.ThrottledUsec) * time.Microsecond
	if d >= time.Second {
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}

func percent(p float64) string { return strconv.FormatFloat(p, 'f', 2, 64) + "%" }

func bytesOrNone(n *uint64) string {
	if n == nil {
		return "-"
	}
	return humanBytes(*n)
}

// humanBytes says an amount in the largest unit of which there is one.
func humanBytes(n uint64) string {
	if n < 1024 {
		return strconv.FormatUint(n, 10) + "B"
	}
	const units = "KMGTPE"
	value, i := float64(n)/1024, 0
	for value >= 1024 && i < len(units)-1 {
		value, i = value/1024, i+1
	}
	return strconv.FormatFloat(value, 'g', 4, 64) + units[i:i+1] + "iB"
}
