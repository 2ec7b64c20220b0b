// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// What is made from the commands' own texts is compared with what lies in
// docs; go test ./cli -update writes it there.
var update = flag.Bool("update", false, "write the manual and the completions to docs")

func TestManualAndCompletionsAreUpToDate(t *testing.T) {
	for path, want := range map[string]string{
		"../docs/mycr.8":    manual(t),
		"../docs/mycr.bash": bashCompletion(),
		"../docs/mycr.fish": fishCompletion(),
		"../docs/_mycr":     zshCompletion(),
	} {
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s is not what the commands say of themselves (%v): go test ./cli -update", path, err)
		}
	}
}

// manual puts the commands and flags into the place that the text has for them.
func manual(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("testdata/mycr.8")
	if err != nil {
		t.Fatal(err)
	}
	var commands strings.Builder
	for _, name := range names {
		c := named(name)
		a := c.about()
		fmt.Fprintf(&commands, ".SS mycr %s %s\n%s.\n", name, roff(a.usage), roff(strings.ToUpper(a.does[:1])+a.does[1:]))
		if a.more != "" {
			fmt.Fprintf(&commands, "%s\n", roff(a.more))
		}
		f := newFlags(name)
		c.flags(f)
		commands.WriteString(roffFlags(f))
	}
	return strings.NewReplacer("@COMMANDS@\n", commands.String(), "@GLOBALS@\n", roffFlags(globalFlags())).Replace(string(text))
}

func globalFlags() *pflag.FlagSet {
	f := newFlags("mycr")
	(&globals{}).define(f)
	f.BoolP("version", "v", false, "print the version")
	return f
}

func roffFlags(f *pflag.FlagSet) string {
	var b strings.Builder
	f.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden {
			return
		}
		words, text := flagWords(flag)
		words = roff(strings.TrimLeft(words, " "))
		if i := strings.LastIndexByte(words, ' '); flag.NoOptDefVal == "" && i > 0 {
			words = words[:i] + `\fR \fI` + words[i+1:]
		}
		fmt.Fprintf(&b, ".TP\n\\fB%s\\fR\n%s\n", words, roff(text))
	})
	return b.String()
}

// roff quotes what groff(7) would take for more than text.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	return strings.NewReplacer("\n.", "\n\\&.", "\n'", "\n\\&'").Replace(text)
}

// wordsFor returns the flags that a command takes, as they are typed, and
// whether the words behind it are ids of containers.
func wordsFor(name string) (flags []string, ids bool) {
	c := named(name)
	f := newFlags(name)
	c.flags(f)
	(&globals{}).define(f)
	f.VisitAll(func(flag *pflag.Flag) {
		if !flag.Hidden {
			flags = append(flags, "--"+flag.Name)
		}
	})
	usage := c.about().usage
	return flags, strings.Contains(usage, "ID") && name != "run" && name != "create"
}

// valueFlags are the global flags that the next word belongs to.
func valueFlags() string {
	var list []string
	globalFlags().VisitAll(func(flag *pflag.Flag) {
		if flag.NoOptDefVal == "" {
			list = append(list, "--"+flag.Name)
		}
	})
	return strings.Join(list, "|")
}

func globalWords() string {
	var list []string
	globalFlags().VisitAll(func(flag *pflag.Flag) { list = append(list, "--"+flag.Name) })
	return strings.Join(list, " ")
}

func bashCompletion() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# SPDX-License-Identifier: Apache-2.0
# bash completion for mycr; made by go test ./cli -update

_mycr() {
	local cur=${COMP_WORDS[COMP_CWORD]} command= flags= ids= i
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		%s) ((i++)) ;;
		-*) ;;
		*) command=${COMP_WORDS[i]}; break ;;
		esac
	done
	case $command in
	"") COMPREPLY=($(compgen -W "%s %s" -- "$cur")); return ;;
	help) COMPREPLY=($(compgen -W "%[2]s" -- "$cur")); return ;;
`, valueFlags(), strings.Join(names[:], " "), globalWords())
	for _, name := range names {
		flags, ids := wordsFor(name)
		if name == "help" {
			continue
		}
		word := ""
		if ids {
			word = " ids=1"
		}
		fmt.Fprintf(&b, "\t%s) flags=\"%s\"%s ;;\n", name, strings.Join(flags, " "), word)
	}
	b.WriteString(`	esac
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W "$flags" -- "$cur"))
	elif [[ $ids && ${COMP_WORDS[COMP_CWORD-1]} != --*[a-z] ]]; then
		COMPREPLY=($(compgen -W "$(mycr list --quiet 2>/dev/null)" -- "$cur"))
	fi
}
complete -o default -F _mycr mycr
`)
	return b.String()
}

func zshCompletion() string {
	return `#compdef mycr
# SPDX-License-Identifier: Apache-2.0
# zsh completion for mycr, by way of bash's beside it; made by go test ./cli -update

autoload -U +X bashcompinit && bashcompinit
source ${${(%):-%x}:A:h}/mycr.bash
`
}

func fishCompletion() string {
	var b strings.Builder
	b.WriteString("# SPDX-License-Identifier: Apache-2.0\n# fish completion for mycr; made by go test ./cli -update\n\n")
	quote := func(text string) string { return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text) + "'" }
	one := func(condition string, flag *pflag.Flag) {
		if flag.Hidden {
			return
		}
		_, text := flagWords(flag)
		fmt.Fprintf(&b, "complete -c mycr -n %s -l %s", quote(condition), flag.Name)
		if flag.Shorthand != "" {
			fmt.Fprintf(&b, " -s %s", flag.Shorthand)
		}
		if flag.NoOptDefVal == "" {
			b.WriteString(" -r")
		}
		fmt.Fprintf(&b, " -d %s\n", quote(text))
	}
	globalFlags().VisitAll(func(flag *pflag.Flag) { one("__fish_use_subcommand", flag) })
	for _, name := range names {
		c := named(name)
		fmt.Fprintf(&b, "complete -c mycr -f -n __fish_use_subcommand -a %s -d %s\n", name, quote(c.about().does))
		f := newFlags(name)
		c.flags(f)
		f.VisitAll(func(flag *pflag.Flag) { one("__fish_seen_subcommand_from "+name, flag) })
		if _, ids := wordsFor(name); ids {
			fmt.Fprintf(&b, "complete -c mycr -f -n %s -a '(mycr list --quiet 2>/dev/null)'\n", quote("__fish_seen_subcommand_from "+name))
		}
	}
	return b.String()
}

// The shells can read what is made for them.
func TestCompletionsAreScripts(t *testing.T) {
	for shell, path := range map[string]string{"bash": "../docs/mycr.bash", "zsh": "../docs/_mycr", "fish": "../docs/mycr.fish"} {
		if _, err := exec.LookPath(shell); err != nil {
			continue
		}
		if out, err := exec.Command(shell, "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here")
	}
	for line, want := range map[string]string{
		"mycr sta":                 "start state stats",
		"mycr --root /x feat":      "features",
		"mycr --root /x run --det": "--detach",
		"mycr delete --fo":         "--force",
		"mycr --roo":               "--root --rootless",
		"mycr help up":             "update",
	} {
		script := `. ../docs/mycr.bash; COMP_WORDS=(` + line + `); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _mycr; echo ${COMPREPLY[*]}`
		out, err := exec.Command(bash, "-c", script).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%s: %q, %v", line, got, err)
		}
	}
}
