// SPDX-License-Identifier: Apache-2.0

package main

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// A flow without an answer is kept for a shorter time, see nf_conntrack_udp_timeout
	// and nf_conntrack_udp_timeout_stream in the kernel's nf_conntrack-sysctl.
	idleOnce   = 30 * time.Second
	idleStream = 180 * time.Second
	sweepEvery = 10 * time.Second
)

// A flow is an exchange without connection. It ends when it was idle.
type flow struct {
	used     atomic.Int64 // when, in nanoseconds since the table was made
	answered atomic.Int32 // packets back; more than one makes it a stream
	end      func()
	send     func(datagram []byte) error // where others than the flow's owner have something to send
}

// flows is a table of them.
type flows[K comparable] struct {
	start time.Time
	most  int
	mu    sync.Mutex
	table map[K]*flow
	sweep *time.Timer
}

func newFlows[K comparable](most int) *flows[K] {
	return &flows[K]{start: time.Now(), most: most, table: map[K]*flow{}}
}

// add makes a flow, in the place of the one idle longest where there are too
// many. end is called once, when the flow is removed.
func (f *flows[K]) add(key K, end func()) *flow {
	added := &flow{end: end}
	f.touch(added)
	f.mu.Lock()
	defer f.mu.Unlock()
	if old := f.table[key]; old != nil {
		old.end()
	} else if len(f.table) >= f.most {
		f.dropOldest()
	}
	f.table[key] = added
	if f.sweep == nil {
		f.sweep = time.AfterFunc(sweepEvery, f.dropIdle)
	}
	return added
}

func (f *flows[K]) get(key K) *flow {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.table[key]
}

// remove ends a flow, unless another has taken its place.
func (f *flows[K]) remove(key K, old *flow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.table[key] == old {
		delete(f.table, key)
		old.end()
	}
}

func (f *flows[K]) len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.table)
}

func (f *flows[K]) touch(of *flow) { of.used.Store(int64(time.Since(f.start))) }

func (f *flows[K]) dropOldest() {
	var oldest K
	least := int64(1<<63 - 1)
	for key, one := range f.table {
		if used := one.used.Load(); used < least {
			oldest, least = key, used
		}
	}
	f.table[oldest].end()
	delete(f.table, oldest)
}

func (f *flows[K]) dropIdle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Since(f.start)
	for key, one := range f.table {
		idle := idleOnce
		if one.answered.Load() > 1 {
			idle = idleStream
		}
		if now-time.Duration(one.used.Load()) > idle {
			delete(f.table, key)
			one.end()
		}
	}
	f.sweep = nil
	if len(f.table) > 0 {
		f.sweep = time.AfterFunc(sweepEvery, f.dropIdle)
	}
}
