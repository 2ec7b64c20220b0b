// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"fmt"
	"strconv"
	"strings"
)

// The formats of cgroup-v2.rst. What is not of them is an error: a number that
// is read wrong is worse than none.

func parseCount(text string) (uint64, error) {
	n, ok := parseNumber(text)
	if !ok {
		return 0, fmt.Errorf("%q is no number", text)
	}
	return n, nil
}

// parseFlat reads lines of a key and a number.
func parseFlat(text string) (map[string]uint64, error) {
	m := map[string]uint64{}
	for line := range lines(text) {
		key, value, _ := strings.Cut(line, " ")
		n, err := parseCount(value)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		if _, twice := m[key]; twice || key == "" {
			return nil, fmt.Errorf("%q: the key is there twice, or empty", line)
		}
		m[key] = n
	}
	return m, nil
}

// lines are those that are not empty.
func lines(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for line := range strings.SplitSeq(text, "\n") {
			if line != "" && !yield(line) {
				return
			}
		}
	}
}

// parseIO reads io.stat: a device, then its keys and values. A device without any
// is idle and left out; some kernels (5.15 is one) end no line after it, so that
// several stand before the values of the last.
func parseIO(text string) ([]DeviceIO, error) {
	devices := []DeviceIO{}
	for line := range lines(text) {
		name, known := "", false
		for word := range strings.FieldsSeq(line) {
			key, value, isValue := strings.Cut(word, "=")
			if !isValue {
				name, known = word, false
				continue
			}
			if !known {
				d, err := parseDevice(name)
				if err != nil {
					return nil, fmt.Errorf("%q: %w", line, err)
				}
				devices, known = append(devices, d), true
			}
			if err := devices[len(devices)-1].set(key, value); err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
		}
	}
	return devices, nil
}

func parseDevice(text string) (DeviceIO, error) {
	major, minor, _ := strings.Cut(text, ":")
	x, err := strconv.ParseUint(major, 10, 32)
	if err != nil {
		return DeviceIO{}, fmt.Errorf("%q is no device", text)
	}
	y, err := strconv.ParseUint(minor, 10, 32)
	if err != nil {
		return DeviceIO{}, fmt.Errorf("%q is no device", text)
	}
	return DeviceIO{Major: uint32(x), Minor: uint32(y)}, nil
}

// set stores a value. What is neither of the six nor a number (depth=max of
// io.latency) is passed over.
func (d *DeviceIO) set(key, value string) error {
	known := map[string]*uint64{
		"rbytes": &d.ReadBytes, "wbytes": &d.WriteBytes, "dbytes": &d.DiscardBytes,
		"rios": &d.Reads, "wios": &d.Writes, "dios": &d.Discards,
	}
	n, err := parseCount(value)
	switch to := known[key]; {
	case to != nil && err != nil:
		return err
	case to != nil:
		*to = n
	case err == nil:
		if d.Other == nil {
			d.Other = map[string]uint64{}
		}
		d.Other[key] = n
	}
	return nil
}

type rdmaCount struct{ handles, objects uint64 }

// parseRDMA reads rdma.current and rdma.max.
func parseRDMA(text string) (map[string]rdmaCount, error) {
	devices := map[string]rdmaCount{}
	for line := range lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.Contains(words[0], "=") {
			return nil, fmt.Errorf("%q: no device", line)
		}
		var d rdmaCount
		for _, word := range words[1:] {
			key, value, _ := strings.Cut(word, "=")
			n, ok := parseMax(value)
			if !ok {
				return nil, fmt.Errorf("%q: %q is no number", line, value)
			}
			switch key {
			case "hca_handle":
				d.handles = n
			case "hca_object":
				d.objects = n
			}
		}
		devices[words[0]] = d
	}
	return devices, nil
}

// parsePressure reads a *.pressure file; see Documentation/accounting/psi.rst.
func parsePressure(text string) (*Pressure, error) {
	p := &Pressure{}
	for line := range lines(text) {
		kind, rest, _ := strings.Cut(line, " ")
		share := &PressureShare{}
		if err := share.parse(rest); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		switch {
		case kind == "some" && p.Some == nil:
			p.Some = share
		case kind == "full" && p.Full == nil:
			p.Full = share
		default:
			return nil, fmt.Errorf("%q: neither some nor full, or twice", line)
		}
	}
	if p.Some == nil {
		return nil, fmt.Errorf("%q has no line some", text)
	}
	return p, nil
}

func (s *PressureShare) parse(text string) error {
	averages := map[string]*float64{"avg10": &s.Avg10, "avg60": &s.Avg60, "avg300": &s.Avg300}
	words := strings.Fields(text)
	if len(words) != len(averages)+1 {
		return fmt.Errorf("not avg10, avg60, avg300 and total")
	}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		var err error
		if to := averages[key]; to != nil {
			delete(averages, key)
			*to, err = strconv.ParseFloat(value, 64)
			if !(*to >= 0 && *to <= 100) { // ParseFloat reads NaN too
				err = fmt.Errorf("%q is no percentage", value)
			}
		} else if key == "total" {
			s.TotalUsec, err = parseCount(value)
		} else {
			err = fmt.Errorf("%q is unknown", key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
