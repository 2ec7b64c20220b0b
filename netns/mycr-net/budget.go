// SPDX-License-Identifier: Apache-2.0

package main

import (
	"sync"

	"golang.org/x/sys/unix"
)

const (
	mostBuffer  = 1 << 20
	leastBuffer = 128 << 10
	// allBuffers is what the connections may keep waiting together, but for
	// leastBuffer of each. This memory is not in the container's own limit.
	allBuffers = 64 << 20
)

// budget hands out sizes of socket buffers: large ones to a few connections,
// small ones to many.
type budget struct {
	mu    sync.Mutex
	taken int
}

// take gives the size for each direction of a connection.
func (b *budget) take() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	size := max(leastBuffer, min(mostBuffer, (allBuffers-b.taken)/8))
	b.taken += size
	return size
}

func (b *budget) give(size int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken -= size
}

const (
	mostConnections = 16384
	mostFlows       = 4096
	// spareDescriptors are for what is neither: listeners, resolvers, /proc.
	spareDescriptors = 128
)

// descriptors divides the limit of descriptors (RLIMIT_NOFILE, of which Go
// raises the soft one to the hard one), so that it is never reached.
func descriptors() (connections, flows int) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		limit.Cur = 1024
	}
	rest := int(min(limit.Cur, 1<<20)) - spareDescriptors
	return max(16, min(mostConnections, rest*3/4)), max(16, min(mostFlows, rest/8))
}
