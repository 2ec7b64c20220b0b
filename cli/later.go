// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"github.com/spf13/pflag"
)

// later is a command of runc that this version does not have yet.
type later struct{ name string }

func (*later) about() about {
	return about{usage: "ID", does: "not in this version yet", most: -1}
}

// flags takes any. podman finds out whether restore knows this one by giving
// it without a value.
func (l *later) flags(f *pflag.FlagSet) {
	f.ParseErrorsAllowlist.UnknownFlags = true
	if l.name == "restore" {
		f.String("lsm-mount-context", "", "`LABEL` of the mounts")
	}
}

func (l *later) run(*session, []string) (int, error) {
	return 1, fmt.Errorf("%s: this version of mycr cannot do it yet", l.name)
}
