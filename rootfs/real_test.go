// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"strings"
	"testing"
)

// The bundle that `runc spec` makes works, in all namespaces, as root of a user namespace.
func TestDefaultBundleMounts(t *testing.T) {
	needNamespaces(t)
	spec := captured(t, "runc")
	spec.Process.Terminal = false
	out, err := run(t, allNamespaces, order{Spec: spec, Bundle: bundle(t), Facts: facts(allNamespaces), Script: `
cat /proc/self/mountinfo; ls -l /dev; echo x >/dev/null; head -c 4 /dev/zero | wc -c; ls /proc/acpi /sys/firmware; wc -c </proc/kcore
touch /x; touch /proc/sys/kernel/hostname
cat /sys/fs/cgroup/cgroup.procs
echo end`})
	t.Log(out)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, "end") {
		t.Fatal("no end")
	}
}
