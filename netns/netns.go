// SPDX-License-Identifier: Apache-2.0

// Package netns configures the container's network namespace. So far it brings
// up the loopback device; the words that name a driver are refused.
package netns

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Facts are what Resolve needs to know of the container.
type Facts struct {
	New bool // the network namespace is created, neither joined nor the host's
}

// Plan is the decision, as plain data.
type Plan struct {
	Loopback bool // bring up lo
}

// Resolve decides what is done in the network namespace. word is that of
// --network, "" where it was not given.
func Resolve(word string, f Facts) (Plan, error) {
	switch word {
	case "", "none":
		return Plan{Loopback: f.New}, nil
	case "host":
		if f.New {
			return Plan{}, fmt.Errorf("--network host: the bundle asks for a new network namespace (linux.namespaces)")
		}
		return Plan{}, nil
	}
	return Plan{}, fmt.Errorf("--network %q: this version knows none and host", word)
}

// Up configures the network namespace of the calling thread, which has
// CAP_NET_ADMIN over it.
func (p Plan) Up() error {
	if !p.Loopback {
		return nil
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("bring up lo: socket: %w", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("bring up lo: %w", err)
	}
	return nil
}
