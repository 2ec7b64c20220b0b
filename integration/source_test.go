// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"os"
	"testing"

	"mycr/integration/testbed"
)

// A bind's source is opened with the caller's rights: the container has none of its ids and could not reach it, as with
// podman --userns=nomap.
func TestSourceIsTheCallers(t *testing.T) {
	switch situation {
	case podmanRoot, realRoot:
	default:
		t.Skip("needs a caller with ids that it can withhold")
	}
	b := newBox(t)
	if err := os.MkdirAll(b.path("private/volume"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.path("private/volume/file"), []byte("reached\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(b.path("private"), 0o700); err != nil {
		t.Fatal(err)
	}
	dir := b.bundle("withheld", testbed.IDs(1, 1, 1000), mount("/mnt", "bind", b.path("private/volume"), "rbind", "ro"),
		sh("cat /mnt/file; echo x 2>/dev/null >/mnt/file || echo read-only"))
	if r := b.run("run", "-b", dir, "withheld"); r.status != 0 || r.stdout != "reached\nread-only\n" {
		t.Errorf("%v", r)
	}
	b.nothingLeft()
}
