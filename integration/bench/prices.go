// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// prices are what this kernel takes for the two things that programs do most
// while they start. On virtual machines without nested paging both can cost ten
// times as much as elsewhere, and ratios with them move towards those of the
// numbers of page faults.
func prices() (fault, call time.Duration, err error) {
	const pages, calls, tries = 256, 1000, 20
	for try := range tries {
		memory, err := unix.Mmap(-1, 0, pages*unix.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			return 0, 0, err
		}
		begin := time.Now()
		for i := range pages {
			memory[i*unix.Getpagesize()] = 1
		}
		took := time.Since(begin) / pages
		if err := unix.Munmap(memory); err != nil {
			return 0, 0, err
		}
		begin = time.Now()
		for range calls {
			unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
		}
		each := time.Since(begin) / calls
		if try == 0 {
			fault, call = took, each
		}
		fault, call = min(fault, took), min(call, each)
	}
	return fault, call, nil
}
