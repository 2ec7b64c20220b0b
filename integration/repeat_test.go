// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"sync"
	"testing"
)

// Two hundred runs one after the other and two hundred at eight wide: all exit 0, and processes, mounts and files
// are as before.
func TestTwoHundredRuns(t *testing.T) {
	b := newBox(t)
	dir := b.bundle("b")
	b.snapshot()
	for i := range 200 {
		if r := b.run("run", "-b", dir, fmt.Sprint("c", i)); r.status != 0 {
			t.Fatalf("run %d: %v", i, r)
		}
	}
	b.nothingLeft()
}

func TestTwoHundredRunsEightWide(t *testing.T) {
	b := newBox(t)
	dir := b.bundle("b")
	b.snapshot()
	var wide sync.WaitGroup
	numbers := make(chan int)
	for range 8 {
		wide.Go(func() {
			for i := range numbers {
				r, err := waitFor(b.command("run", "-b", dir, fmt.Sprint("c", i)))
				if err != nil || r.status != 0 || r.hung {
					t.Errorf("run %d: %v %v", i, err, r)
				}
			}
		})
	}
	for i := range 200 {
		numbers <- i
	}
	close(numbers)
	wide.Wait()
	b.nothingLeft()
}
