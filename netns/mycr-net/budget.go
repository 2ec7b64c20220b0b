// SPDX-License-Identifier: Apache-2.0

package main

import "sync"

const (
	mostBuffer  = 4 << 20
	leastBuffer = 256 << 10
	// allBuffers is what the connections may keep waiting together, but for
	// leastBuffer of each. This memory is not in the container's own limit.
	allBuffers = 128 << 20
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
