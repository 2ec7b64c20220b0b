// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// help tells what there is.
type help struct{}

func (*help) about() about {
	return about{usage: "[COMMAND]", does: "tell about mycr or one of its commands", most: 1}
}

func (*help) flags(*pflag.FlagSet) {}

func (*help) run(_ *session, args []string) (int, error) {
	if len(args) == 0 {
		return 0, printHelp()
	}
	c := named(args[0])
	if c == nil {
		return 1, wrongUsage(fmt.Errorf("unknown command %q", args[0]), "mycr help")
	}
	return 0, printCommandHelp(args[0], c)
}

func printHelp() error {
	var b strings.Builder
	b.WriteString("mycr runs OCI bundles and single commands in sandboxes, as an ordinary user.\n\n" +
		"usage: mycr [global flags] COMMAND [flags] [words]\n\ncommands:\n")
	for _, name := range names {
		fmt.Fprintf(&b, "  %-11s %s\n", name, named(name).about().does)
	}
	f := newFlags("mycr")
	(&globals{}).define(f)
	f.BoolP("version", "v", false, "print the version")
	b.WriteString("\nglobal flags:\n" + f.FlagUsages())
	b.WriteString("\nmycr COMMAND --help tells more.\n")
	return output([]byte(b.String()))
}

func printCommandHelp(word string, c command) error {
	a := c.about()
	f := newFlags(word)
	c.flags(f)
	var b strings.Builder
	fmt.Fprintf(&b, "mycr %s: %s\n\nusage: mycr %s %s\n", word, a.does, word, a.usage)
	if a.more != "" {
		b.WriteString("\n" + a.more + "\n")
	}
	if usages := f.FlagUsages(); usages != "" {
		b.WriteString("\nflags:\n" + usages)
	}
	return output([]byte(b.String()))
}
