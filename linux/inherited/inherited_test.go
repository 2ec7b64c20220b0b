// SPDX-License-Identifier: Apache-2.0

package inherited_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"mycr/linux/inherited"
)

// The soft limit is the one before Go's own start raised it.
func TestNofileIsTheStarters(t *testing.T) {
	if os.Getenv("PRINT_NOFILE") != "" {
		soft, _ := inherited.Nofile()
		fmt.Println("soft", soft)
		return
	}
	cmd := exec.Command("/bin/sh", "-c", "ulimit -S -n 321; exec \"$0\" -test.run TestNofileIsTheStarters -test.v", os.Args[0])
	cmd.Env = append(os.Environ(), "PRINT_NOFILE=1")
	out, err := cmd.CombinedOutput()
	var soft int
	for _, line := range strings.Split(string(out), "\n") {
		fmt.Sscanf(line, "soft %d", &soft)
	}
	if err != nil || soft != 321 {
		t.Fatalf("soft %d, %v: %s", soft, err, out)
	}
}
