// SPDX-License-Identifier: Apache-2.0

// mycr runs OCI bundles and single commands in sandboxes of Linux namespaces,
// as an ordinary user.
package main

import (
	"fmt"
	"os"

	"mycr/cli"
	"mycr/container"
)

// A container's init becomes its process on the main thread, which shows its
// ids and capabilities in /proc: Go keeps init functions there, and would make
// a thread more for runtime.LockOSThread.
func init() {
	if container.IsInit(os.Args) {
		err := container.Init(os.Args)
		fmt.Fprintf(os.Stderr, "mycr: %v\n", err)
		os.Exit(1)
	}
}

func main() {
	os.Exit(cli.Main(os.Args))
}
