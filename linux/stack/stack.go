// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

// Package stack gives the first goroutine the stack that it will need. Go's
// runtime begins with 2 KiB and would double it four times, each time with a
// copy of what is there, which is a tenth of the time of `mycr state`. It
// imports nothing, so that it is initialised before all that imports something
// whose path comes after its own: os, sync, syscall.
package stack

func init() { grow() }

// grow needs 24 KiB of stack, so that there are 32, and does not touch them.
func grow()
