// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// globals are the flags that every command has; engines give them before the
// command, some of them twice.
type globals struct {
	root          string
	logPath       string
	logFormat     string
	logLevel      string
	debugging     bool
	systemdCgroup bool
	cgroupManager string
	rootless      string
	criu          string
}

// define adds the flags to a set; what the command has of its own, as spec has
// a --rootless, goes first. A value given before is the default.
func (g *globals) define(f *pflag.FlagSet) {
	word := func(p *string, name, value, usage string) {
		if f.Lookup(name) == nil {
			if *p != "" {
				value = *p
			}
			f.StringVar(p, name, value, usage)
		}
	}
	truth := func(p *bool, name, usage string) {
		if f.Lookup(name) == nil {
			f.BoolVar(p, name, *p, usage)
		}
	}
	word(&g.root, "root", "", "`DIR` of the containers' states (default /run/mycr for root, else $XDG_RUNTIME_DIR/mycr)")
	word(&g.logPath, "log", "", "append errors to `FILE` as well")
	word(&g.logFormat, "log-format", "text", "`text|json` form of the log")
	word(&g.logLevel, "log-level", "info", "`LEVEL` of what is told; debug is the same as --debug")
	truth(&g.debugging, "debug", "tell what is done")
	truth(&g.systemdCgroup, "systemd-cgroup", "let systemd make the cgroup, the same as --cgroup-manager systemd")
	word(&g.cgroupManager, "cgroup-manager", "", "`systemd|cgroupfs|disabled` who makes the cgroup; disabled is nobody")
	word(&g.rootless, "rootless", "auto", "`true|false|auto` accepted from engines; mycr looks for itself")
	word(&g.criu, "criu", "", "`PATH` accepted from engines and ignored")
}

// check refuses values that no global flag has.
func (g *globals) check() error {
	for _, c := range [...]struct {
		flag, value string
		known       string
	}{
		{"log-format", g.logFormat, "text json"},
		{"log-level", g.logLevel, "trace debug info warn warning error fatal panic"},
		{"cgroup-manager", g.cgroupManager, "systemd cgroupfs disabled"},
		{"rootless", g.rootless, "true false auto"},
	} {
		if c.value != "" && !oneOf(c.value, c.known) {
			return fmt.Errorf("--%s: %q is none of %s", c.flag, c.value, strings.ReplaceAll(c.known, " ", ", "))
		}
	}
	if g.logLevel == "debug" || g.logLevel == "trace" {
		g.debugging = true
	}
	return nil
}

func oneOf(word, known string) bool {
	for k := range strings.FieldsSeq(known) {
		if word == k {
			return true
		}
	}
	return false
}

// manager is the cgroup manager that was asked for, "" if none was.
func (g *globals) manager() string {
	if g.cgroupManager == "" && g.systemdCgroup {
		return "systemd"
	}
	return g.cgroupManager
}

// normalise gives long flags with one dash, which runc takes and containerd
// sends (-no-subreaper), their second one. With first, flags end at the first
// word that is none.
func normalise(f *pflag.FlagSet, args []string, first bool) []string {
	out := args
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			if first {
				break
			}
			continue
		}
		name, _, hasValue := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
		flag := f.Lookup(name)
		switch {
		case arg[1] == '-':
		case len(name) > 1 && flag != nil, name == "help", name == "version":
			if &out[0] == &args[0] {
				out = append([]string(nil), args...)
			}
			out[i] = "-" + arg
		default:
			flag, hasValue = lastShort(f, arg[1:])
		}
		if flag != nil && flag.NoOptDefVal == "" && !hasValue {
			i++ // the next word is its value
		}
	}
	return out
}

// lastShort returns the flag that ends a cluster of short ones, and whether
// its value is part of the cluster.
func lastShort(f *pflag.FlagSet, cluster string) (*pflag.Flag, bool) {
	for i := range len(cluster) {
		flag := f.ShorthandLookup(cluster[i : i+1])
		if flag == nil {
			return nil, false
		}
		if flag.NoOptDefVal == "" {
			return flag, i+1 < len(cluster)
		}
	}
	return nil, false
}
