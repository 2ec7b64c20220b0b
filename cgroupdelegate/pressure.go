// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

// PressureStats is how much the processes of a cgroup waited for want of CPU,
// memory and IO; see Documentation/accounting/psi.rst of the kernel.
type PressureStats struct {
	CPU    *Pressure `json:"cpu,omitempty"`
	Memory *Pressure `json:"memory,omitempty"`
	IO     *Pressure `json:"io,omitempty"`
}

// Pressure has the share of time in which some of the processes waited, and in
// which all did; for CPUs the latter is there since Linux 5.13.
type Pressure struct {
	Some *PressureShare `json:"some"`
	Full *PressureShare `json:"full,omitempty"`
}

// PressureShare is in per cent of the last 10, 60 and 300 seconds, and the whole time.
type PressureShare struct {
	Avg10     float64 `json:"avg10"`
	Avg60     float64 `json:"avg60"`
	Avg300    float64 `json:"avg300"`
	TotalUsec uint64  `json:"totalUsec"`
}

// pressure is nil where the kernel does not keep it (psi=0, cgroup.pressure).
func (r *statsReader) pressure() *PressureStats {
	p := &PressureStats{CPU: r.pressureOf("cpu"), Memory: r.pressureOf("memory"), IO: r.pressureOf("io")}
	if *p == (PressureStats{}) {
		return nil
	}
	return p
}

func (r *statsReader) pressureOf(resource string) *Pressure {
	file := resource + ".pressure"
	text, there := r.text(file)
	if !there || text == "" {
		return nil
	}
	p, err := parsePressure(text)
	r.parsed(file, err)
	return p
}
