// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// ReadResources reads and decodes the file of `update --resources`, which holds
// the object linux.resources of a config.json alone. It does not check the
// values: that is CheckChange.
func ReadResources(path string) (*specs.LinuxResources, error) {
	data, err := readRegular(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the resources file %s: %w", printable(path), err)
	}
	r, err := DecodeResources(data)
	if err != nil {
		return nil, fmt.Errorf("resources file %s: %w", printable(path), err)
	}
	return r, nil
}

// DecodeResources reads a resources object alone, see ReadResources.
func DecodeResources(data []byte) (*specs.LinuxResources, error) {
	r := new(specs.LinuxResources)
	return r, decode(data, r, (*decoder).resources)
}

// CheckChange checks what `update` is to change. As Check does, but the limit of
// memory that goes with a limit of memory and swap together may be the one that
// the container has already, which its cgroup knows.
func CheckChange(r *specs.LinuxResources) error {
	change := *r
	if m := r.Memory; m != nil && (m.Limit == nil || *m.Limit == 0) {
		memory := *m
		memory.Swap = nil
		change.Memory = &memory
	}
	return checkResources(&change)
}
