// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// floors are the rooms from top to bottom: an arrow only ever points down, and rooms of one floor never import each
// other. What is below a room's directory belongs to the room.
var floors = [][]string{
	{"."},
	{"cli"},
	{"container", "doctor"},
	{"bundle"},
	{"userns", "idmap", "cgroupdelegate", "rootfs", "netns", "hooks", "process", "seccomp"},
	{"linux", "coldjson"},
}

// Everybody may import these two: the types of config.json, and system calls.
var common = []string{"github.com/opencontainers/runtime-spec", "golang.org/x/sys"}

// unwanted are packages that mycr must not link: they cost every command start-up time, or are another's house.
var unwanted = []string{
	"github.com/rootless-containers", "gvisor.dev/gvisor", "github.com/containers/gvisor-tap-vsock", "github.com/cilium/ebpf",
	"github.com/sirupsen/logrus", "github.com/spf13/cobra", "github.com/coreos/go-systemd", "github.com/opencontainers/cgroups",
	"github.com/moby/sys/reexec", "net/http", "text/template", "regexp", "encoding/gob", "log",
}

// A listed package is what go list -json says of one.
type listed struct {
	ImportPath string
	Imports    []string
}

func goList(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports"}, args...)...)
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %s", exit.Stderr)
		}
		t.Skipf("go list: %v", err)
	}
	var packages []listed
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		if err := decoder.Decode(&p); err == io.EOF {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// room gives the room of a package of this module, its floor, and whether it is of this module.
func room(path string) (name string, floor int, ours bool) {
	if path == "mycr" {
		return ".", 0, true
	}
	inside, ours := strings.CutPrefix(path, "mycr/")
	if !ours {
		return "", 0, false
	}
	name, _, _ = strings.Cut(inside, "/")
	for floor, rooms := range floors {
		if slices.Contains(rooms, name) {
			return name, floor, true
		}
	}
	return name, -1, true
}

// arrows are the rules broken by packages. Imports of tests are not listed by go list, so they are free.
func arrows(packages []listed) []string {
	var broken []string
	owners := map[string][]string{}
	for _, p := range packages {
		from, floor, ours := room(p.ImportPath)
		if !ours || from == "integration" {
			continue
		}
		if floor < 0 {
			broken = append(broken, fmt.Sprintf("%s stands on no floor", p.ImportPath))
			continue
		}
		for _, imported := range p.Imports {
			to, below, ours := room(imported)
			switch {
			case ours && to == from:
			case ours && to == "integration":
				broken = append(broken, fmt.Sprintf("%s imports %s, which are tests", p.ImportPath, imported))
			case ours && from == "bundle":
				broken = append(broken, fmt.Sprintf("bundle is pure and imports %s", imported))
			case ours && below <= floor:
				broken = append(broken, fmt.Sprintf("%s imports %s: not downwards", p.ImportPath, imported))
			case ours || !strings.Contains(strings.SplitN(imported, "/", 2)[0], "."):
			case slices.ContainsFunc(common, func(c string) bool { return strings.HasPrefix(imported, c) }):
			default:
				module := strings.Join(strings.SplitN(imported, "/", 4)[:min(3, strings.Count(imported, "/")+1)], "/")
				if strings.HasPrefix(imported, "github.com/moby/sys/") {
					module = imported // a module for each directory
				}
				if !slices.Contains(owners[module], from) {
					owners[module] = append(owners[module], from)
				}
			}
		}
	}
	for module, rooms := range owners {
		if len(rooms) > 1 {
			broken = append(broken, fmt.Sprintf("%s is imported by more than one room: %s", module, strings.Join(rooms, ", ")))
		}
	}
	slices.Sort(broken)
	return broken
}

func TestArrowsPointDown(t *testing.T) {
	for _, broken := range arrows(goList(t, "./...")) {
		t.Error(broken)
	}
}

func TestArrowsBinaryIsSmall(t *testing.T) {
	for _, p := range goList(t, "-deps", ".") {
		for _, prefix := range unwanted {
			if p.ImportPath == prefix || strings.HasPrefix(p.ImportPath, prefix+"/") {
				t.Errorf("mycr links %s", p.ImportPath)
			}
		}
	}
}

// TestArrowsAreSeen breaks each rule on purpose.
func TestArrowsAreSeen(t *testing.T) {
	for _, c := range []struct {
		from, to string
		broken   bool
	}{
		{"mycr", "mycr/cli", false},
		{"mycr/cli", "mycr/bundle", false},
		{"mycr/container", "mycr/rootfs", false},
		{"mycr/netns/mycr-net", "mycr/netns", false},
		{"mycr/rootfs", "mycr/linux", false},
		{"mycr/rootfs", "github.com/opencontainers/runtime-spec/specs-go", false},
		{"mycr/rootfs", "mycr/idmap", true},
		{"mycr/rootfs", "mycr/container", true},
		{"mycr/linux", "mycr/rootfs", true},
		{"mycr/bundle", "mycr/linux", true},
		{"mycr/container", "mycr/doctor", true},
		{"mycr/cli", "mycr/integration", true},
		{"mycr/helpers", "fmt", true},
	} {
		broken := arrows([]listed{{ImportPath: c.from, Imports: []string{c.to}}})
		if (len(broken) > 0) != c.broken {
			t.Errorf("%s -> %s: %v", c.from, c.to, broken)
		}
	}
	shared := []listed{{"mycr/cli", []string{"github.com/spf13/pflag"}}, {"mycr/rootfs", []string{"github.com/spf13/pflag"}}}
	if len(arrows(shared)) != 1 {
		t.Errorf("a library of two rooms is not seen: %v", arrows(shared))
	}
}
