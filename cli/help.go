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
	b.WriteString("\nglobal flags:\n" + flagTable(f))
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
	if table := flagTable(f); table != "" {
		b.WriteString("\nflags:\n" + table)
	}
	return output([]byte(b.String()))
}

// flagTable says a line for each flag that is not hidden.
func flagTable(f *pflag.FlagSet) string {
	var left, right []string
	widest := 0
	f.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden {
			return
		}
		words, text := flagWords(flag)
		left, right = append(left, words), append(right, text)
		widest = max(widest, len(words))
	})
	var b strings.Builder
	for i := range left {
		fmt.Fprintf(&b, "  %-*s  %s\n", widest, left[i], right[i])
	}
	return b.String()
}

// flagWords is how a flag is typed, and what it does. The word in backquotes
// stands for the value; where the text begins with it, it is not said twice.
func flagWords(flag *pflag.Flag) (words, text string) {
	value, text := pflag.UnquoteUsage(flag)
	words = "    --" + flag.Name
	if flag.Shorthand != "" {
		words = "-" + flag.Shorthand + ", --" + flag.Name
	}
	if flag.NoOptDefVal == "" {
		words += " " + value
	}
	if strings.HasPrefix(flag.Usage, "`") {
		text = strings.TrimLeft(text[len(value):], " ,;")
	}
	switch flag.DefValue {
	case "", "0", "false", "[]":
	default:
		text += " (default " + flag.DefValue + ")"
	}
	return words, text
}
