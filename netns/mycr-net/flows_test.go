// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
)

// TestFlowsOldestGivesWay: there are never more than the table allows.
func TestFlowsOldestGivesWay(t *testing.T) {
	table := newFlows[int](3)
	var ended []int
	for i := range 3 {
		table.add(i, func() { ended = append(ended, i) })
	}
	table.get(0).used.Store(int64(time.Hour))
	table.add(3, func() { ended = append(ended, 3) })
	if len(ended) != 1 || ended[0] != 1 || table.len() != 3 {
		t.Errorf("%v ended, %d are left", ended, table.len())
	}
	replaced := table.get(0)
	table.add(0, func() {})
	if len(ended) != 2 || ended[1] != 0 {
		t.Errorf("%v ended", ended)
	}
	table.remove(0, replaced) // no longer there
	if table.len() != 3 || len(ended) != 2 {
		t.Errorf("%v ended, %d are left", ended, table.len())
	}
	table.sweep.Stop()
}

// TestFlowsIdleEnd: sooner where there was no answer.
func TestFlowsIdleEnd(t *testing.T) {
	table := newFlows[string](10)
	for _, name := range []string{"fresh", "once", "stream"} {
		table.add(name, func() {})
	}
	table.sweep.Stop()
	table.start = table.start.Add(-idleOnce - time.Second)
	table.touch(table.get("fresh"))
	table.get("stream").answered.Store(2)
	table.dropIdle()
	if table.get("fresh") == nil || table.get("once") != nil || table.get("stream") == nil {
		t.Errorf("left: %v", table.table)
	}
	table.start = table.start.Add(-idleStream)
	table.dropIdle()
	if table.len() != 0 || table.sweep != nil {
		t.Errorf("left: %v", table.table)
	}
}

func TestBudgetIsShared(t *testing.T) {
	var b budget
	if first := b.take(); first != mostBuffer {
		t.Errorf("the first connection has %d", first)
	}
	sum := 0
	for range 1000 {
		sum += b.take()
	}
	if sum > allBuffers+1000*leastBuffer {
		t.Errorf("a thousand connections have %d", sum)
	}
	if last := b.take(); last != leastBuffer {
		t.Errorf("the last has %d", last)
	}
}
