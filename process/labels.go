// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// resolveLabels checks that a label that is asked for can be written: one whose
// security module is not active would not be enforced.
func resolveLabels(plan *Plan, p *specs.Process, _ *specs.Linux, f Facts) error {
	for _, l := range []struct{ path, value string }{
		{"process.apparmorProfile", p.ApparmorProfile},
		{"process.selinuxLabel", p.SelinuxLabel},
	} {
		if strings.ContainsAny(l.value, "\x00\n") {
			return fmt.Errorf("%s: %q has a NUL byte or a newline", l.path, l.value)
		}
	}
	switch {
	case p.ApparmorProfile == "" || p.ApparmorProfile == "unconfined" && !f.AppArmor:
	case !f.AppArmor:
		return fmt.Errorf("process.apparmorProfile: %q cannot be enforced, since AppArmor is not enabled on this host", p.ApparmorProfile)
	default:
		plan.AppArmor, plan.AppArmorAttr = p.ApparmorProfile, f.AppArmorAttr
	}
	if p.SelinuxLabel != "" {
		if !f.SELinux {
			return fmt.Errorf("process.selinuxLabel: %q cannot be enforced, since SELinux is not enabled on this host", p.SelinuxLabel)
		}
		plan.SELinux = p.SelinuxLabel
	}
	return nil
}
