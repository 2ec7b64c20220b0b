// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package linux

import "unsafe"

// canVfork says that rawVfork can share the memory with its child.
const canVfork = true

// rawVfork is clone3(2); r is what the kernel returned. Where args have
// CLONE_VM, which goes with CLONE_VFORK, the parent may use nothing of its
// caller's stack frame but r.
//
//go:noescape
func rawVfork(args unsafe.Pointer, size uintptr) (r int)
