// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"runtime/debug"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/pflag"

	"mycr/bundle"
)

// version is this release's, commit its git revision; both can be set at build
// time: -ldflags "-X mycr/cli.version=… -X mycr/cli.commit=…".
var (
	version = "0.1.0"
	commit  = ""
)

// versionOf is --version. It prints what docker parses: the word "version" may
// stand on no other line.
type versionOf struct{}

func (*versionOf) about() about { return about{does: "print the version"} }

func (*versionOf) flags(*pflag.FlagSet) {}

func (*versionOf) run(*session, []string) (int, error) {
	revision := commit
	if info, ok := debug.ReadBuildInfo(); ok && revision == "" {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				revision = setting.Value
			}
		}
	}
	if revision == "" {
		revision = "unknown"
	}
	return 0, output([]byte("mycr version " + version + "\ncommit: " + revision + "\nspec: " + specs.Version + "\n"))
}

// featuresOf prints what this runtime can do.
type featuresOf struct{}

func (*featuresOf) about() about {
	return about{
		usage: "", does: "print what of the OCI specification is supported, as JSON",
		more: "Engines read it; it says nothing of this host.",
	}
}

func (*featuresOf) flags(*pflag.FlagSet) {}

func (*featuresOf) run(*session, []string) (int, error) {
	text, err := json.MarshalIndent(bundle.Features(version), "", "    ")
	if err != nil {
		return 1, err
	}
	return 0, output(append(text, '\n'))
}
