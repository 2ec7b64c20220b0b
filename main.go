// SPDX-License-Identifier: Apache-2.0

// mycr runs OCI bundles and single commands in sandboxes of Linux namespaces,
// as an ordinary user.
package main

import (
	"fmt"
	"os"
	"runtime"

	"mycr/cli"
	"mycr/container"
)

// A container's init becomes its process on the main thread, which shows its
// ids and capabilities in /proc. Any other command is faster where goroutines
// can change places.
func init() {
	if container.IsInit(os.Args) {
		runtime.LockOSThread()
	}
}

func main() {
	// Before anything else: init has no command line to read.
	if container.IsInit(os.Args) {
		err := container.Init(os.Args)
		fmt.Fprintf(os.Stderr, "mycr: %v\n", err)
		os.Exit(1)
	}
	os.Exit(cli.Main(os.Args))
}
