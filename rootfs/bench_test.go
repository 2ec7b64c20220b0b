// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"fmt"
	"os"
	"slices"
	"testing"
)

// TestVerbTimes prints what the verbs take, in microseconds, for the default bundle. It judges
// nothing: run it with -v and ROOTFS_TIMES=200.
func TestVerbTimes(t *testing.T) {
	rounds := 0
	fmt.Sscan(os.Getenv("ROOTFS_TIMES"), &rounds)
	if rounds == 0 {
		t.Skip("ROOTFS_TIMES is not set")
	}
	needNamespaces(t)
	spec := captured(t, "runc")
	spec.Process.Terminal = false
	o := order{Spec: spec, Bundle: bundle(t), Facts: facts(allNamespaces), Script: "TIMES"}
	for _, flags := range []uintptr{allNamespaces, allNamespaces &^ 0x10000000} {
		o.Facts = facts(flags)
		var all [4][]int
		for range rounds {
			out, err := run(t, flags, o)
			var us [4]int
			if err != nil {
				t.Fatal(out, err)
			}
			fmt.Sscan(out, &us[0], &us[1], &us[2], &us[3])
			for i := range us {
				all[i] = append(all[i], us[i])
			}
		}
		for i, name := range []string{"Prepare", "Mount", "Pivot", "Finish"} {
			slices.Sort(all[i])
			t.Logf("user namespace %v: %s: median %d µs, tenth %d µs", o.Facts.UserNamespace, name, all[i][rounds/2], all[i][rounds/10])
		}
	}
}
