// SPDX-License-Identifier: Apache-2.0

package idmap

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

var update = flag.Bool("update", false, "write testdata/ anew")

var hostMaps = []Map{{0, 0, idEnd}}

func ordinary() Facts {
	return Facts{
		UID: 1000, GID: 1000, User: "alice",
		SubUIDs: []Range{{100000, 65536}}, SubGIDs: []Range{{100000, 65536}},
		Newuidmap: Helper{Path: "/usr/bin/newuidmap"}, Newgidmap: Helper{Path: "/usr/bin/newgidmap"},
		OuterUIDs: hostMaps, OuterGIDs: hostMaps, PageSize: 4096,
		Usermod: true, Distro: "debian", FreeSubID: 165536,
	}
}

func realRoot() Facts {
	return Facts{Privileged: true, OuterUIDs: hostMaps, OuterGIDs: hostMaps, PageSize: 4096}
}

// nestedRoot is root in podman's user namespace.
func nestedRoot() Facts {
	f := realRoot()
	f.OuterUIDs = []Map{{0, 1000, 1}, {1, 100000, 65536}}
	f.OuterGIDs = f.OuterUIDs
	return f
}

func with(f Facts, change func(*Facts)) Facts {
	change(&f)
	return f
}

func linuxOf(namespace string, uids, gids []specs.LinuxIDMapping) *specs.Linux {
	l := &specs.Linux{UIDMappings: uids, GIDMappings: gids}
	switch namespace {
	case "":
	case "new":
		l.Namespaces = []specs.LinuxNamespace{{Type: specs.PIDNamespace}, {Type: specs.UserNamespace}}
	default:
		l.Namespaces = []specs.LinuxNamespace{{Type: specs.UserNamespace, Path: namespace}}
	}
	return l
}

func lines(numbers ...uint32) []specs.LinuxIDMapping {
	var list []specs.LinuxIDMapping
	for i := 0; i < len(numbers); i += 3 {
		list = append(list, specs.LinuxIDMapping{ContainerID: numbers[i], HostID: numbers[i+1], Size: numbers[i+2]})
	}
	return list
}

func TestDecisions(t *testing.T) {
	full := lines(0, 1000, 1, 1, 100000, 65536)
	own := lines(0, 1000, 1)
	cases := []struct {
		name  string
		linux *specs.Linux
		user  specs.User
		facts Facts
	}{
		{"automatic", linuxOf("new", nil, nil), specs.User{}, ordinary()},
		{"automatic without linux", nil, specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{27}}, ordinary()},
		{"automatic without namespaces", linuxOf("", nil, nil), specs.User{}, ordinary()},
		{"automatic no subuid", linuxOf("new", nil, nil), specs.User{UID: 33, GID: 33}, with(ordinary(), func(f *Facts) { f.SubUIDs, f.SubGIDs = nil, nil })},
		{"automatic no subgid", linuxOf("new", nil, nil), specs.User{}, with(ordinary(), func(f *Facts) { f.SubGIDs = nil })},
		{"automatic no usermod", linuxOf("new", nil, nil), specs.User{}, with(ordinary(), func(f *Facts) { f.SubUIDs, f.SubGIDs, f.Usermod = nil, nil, false })},
		{"automatic no newuidmap", linuxOf("new", nil, nil), specs.User{}, with(ordinary(), func(f *Facts) { f.Newuidmap, f.Newgidmap = Helper{}, Helper{} })},
		{"automatic no newuidmap fedora", linuxOf("new", nil, nil), specs.User{}, with(ordinary(), func(f *Facts) { f.Newuidmap, f.Distro = Helper{}, "fedora" })},
		{"automatic powerless newuidmap", linuxOf("new", nil, nil), specs.User{}, with(ordinary(), func(f *Facts) { f.Newuidmap.Problem = "has neither the setuid bit nor file capabilities" })},
		{"automatic no_new_privs", linuxOf("new", nil, nil), specs.User{}, with(ordinary(), func(f *Facts) { f.NoNewPrivs = true })},
		{"automatic no passwd entry", linuxOf("new", nil, nil), specs.User{}, with(ordinary(), func(f *Facts) { f.User, f.UserUnknown = "", true })},
		{"automatic sss without ranges", linuxOf("new", nil, nil), specs.User{}, with(ordinary(), func(f *Facts) { f.SubSource, f.SubUIDs, f.SubGIDs = "sss", nil, nil })},
		{"automatic single with groups", linuxOf("new", nil, nil), specs.User{UID: 5, GID: 6, AdditionalGids: []uint32{6}}, with(ordinary(), func(f *Facts) { f.SubUIDs = nil })},
		{"automatic single with other groups", linuxOf("new", nil, nil), specs.User{UID: 5, GID: 6, AdditionalGids: []uint32{6, 7}}, with(ordinary(), func(f *Facts) { f.SubUIDs = nil })},
		{"automatic many ranges", linuxOf("new", nil, nil), specs.User{}, with(ordinary(), func(f *Facts) { f.SubUIDs = []Range{{900, 200}, {100000, 10}, {100005, 10}, {100000, 10}} })},
		{"automatic beyond", linuxOf("new", nil, nil), specs.User{UID: 100000}, ordinary()},
		{"automatic with CAP_SETUID", linuxOf("new", nil, nil), specs.User{}, with(ordinary(), func(f *Facts) { f.Privileged, f.NoNewPrivs = true, true })},
		{"automatic in a namespace without the subordinate ids", linuxOf("new", nil, nil), specs.User{}, with(ordinary(), func(f *Facts) { f.OuterUIDs = []Map{{0, 1000, 1}, {1, 100000, 65536}} })},
		{"automatic in a namespace with some", linuxOf("new", nil, nil), specs.User{}, with(ordinary(), func(f *Facts) {
			f.OuterUIDs = []Map{{0, 0, 101000}, {101000, 500000, 2000}}
			f.OuterGIDs = []Map{{0, 0, 200000}}
		})},
		{"bundle runc spec rootless", linuxOf("new", own, own), specs.User{}, ordinary()},
		{"bundle single with groups", linuxOf("new", own, own), specs.User{AdditionalGids: []uint32{0}}, ordinary()},
		{"bundle podman", linuxOf("new", full, full), specs.User{UID: 33, GID: 33, AdditionalGids: []uint32{4}}, ordinary()},
		{"bundle without the namespace", linuxOf("", own, own), specs.User{}, ordinary()},
		{"bundle uid full gid single", linuxOf("new", full, own), specs.User{}, ordinary()},
		{"bundle no gids", linuxOf("new", own, nil), specs.User{}, ordinary()},
		{"bundle no uids", linuxOf("new", nil, own), specs.User{}, ordinary()},
		{"bundle foreign", linuxOf("new", lines(0, 0, 1), own), specs.User{}, ordinary()},
		{"bundle beyond", linuxOf("new", lines(0, 1000, 1, 1, 100000, 65537), full), specs.User{}, ordinary()},
		{"bundle beyond sss", linuxOf("new", lines(0, 5, 1), full), specs.User{}, with(ordinary(), func(f *Facts) { f.SubSource = "sss" })},
		{"bundle adjacent ranges", linuxOf("new", lines(0, 100000, 131072), own), specs.User{}, with(ordinary(), func(f *Facts) { f.SubUIDs = []Range{{165536, 65536}, {100000, 65536}} })},
		{"bundle no_new_privs", linuxOf("new", full, full), specs.User{}, with(ordinary(), func(f *Facts) { f.NoNewPrivs = true })},
		{"bundle no helper", linuxOf("new", full, full), specs.User{}, with(ordinary(), func(f *Facts) { f.Newgidmap = Helper{} })},
		{"bundle size 0", linuxOf("new", lines(0, 1000, 0), own), specs.User{}, ordinary()},
		{"bundle overlap inside", linuxOf("new", lines(0, 1000, 1, 0, 100000, 5), own), specs.User{}, ordinary()},
		{"bundle overlap outside", linuxOf("new", lines(0, 100000, 5, 10, 100004, 5), own), specs.User{}, ordinary()},
		{"bundle wrap", linuxOf("new", lines(4294967290, 100000, 10), own), specs.User{}, ordinary()},
		{"bundle wrap outside", linuxOf("new", lines(0, 4294967290, 10), own), specs.User{}, ordinary()},
		{"bundle 341", linuxOf("new", many(341, 1), own), specs.User{}, ordinary()},
		{"bundle longer than a page", linuxOf("new", many(340, 1000000), own), specs.User{}, realRoot()},
		{"bundle user unmapped", linuxOf("new", own, own), specs.User{UID: 5}, ordinary()},
		{"bundle group unmapped", linuxOf("new", own, own), specs.User{GID: 5}, ordinary()},
		{"bundle additional group unmapped", linuxOf("new", full, full), specs.User{AdditionalGids: []uint32{3, 70000}}, ordinary()},
		{"user no id", linuxOf("new", nil, nil), specs.User{UID: 4294967295}, ordinary()},
		{"joined", linuxOf("/proc/1/ns/user", nil, nil), specs.User{UID: 7}, ordinary()},
		{"joined with mappings", linuxOf("/proc/1/ns/user", lines(0, 5000, 10), lines(0, 5000, 10)), specs.User{UID: 7}, realRoot()},
		{"root", linuxOf("", nil, nil), specs.User{UID: 7, AdditionalGids: []uint32{9}}, realRoot()},
		{"root mappings without the namespace", linuxOf("", own, own), specs.User{}, realRoot()},
		{"root no mappings", linuxOf("new", nil, nil), specs.User{}, realRoot()},
		{"root docker userns-remap", linuxOf("new", lines(0, 100000, 65536), lines(0, 100000, 65536)), specs.User{}, realRoot()},
		{"root single", linuxOf("new", lines(0, 0, 1), lines(0, 0, 1)), specs.User{}, realRoot()},
		{"root without capabilities", linuxOf("new", lines(0, 5, 1), own), specs.User{}, with(realRoot(), func(f *Facts) { f.Privileged = false })},
		{"nested shared", linuxOf("", nil, nil), specs.User{UID: 7}, nestedRoot()},
		{"nested shared user unmapped", linuxOf("", nil, nil), specs.User{UID: 70000}, nestedRoot()},
		{"nested automatic", linuxOf("new", nil, nil), specs.User{}, nestedRoot()},
		{"nested bundle is cut at the outer border", linuxOf("new", lines(0, 0, 65537), lines(5, 0, 10)), specs.User{GID: 6}, nestedRoot()},
		{"nested bundle outside", linuxOf("new", lines(0, 0, 65538), lines(0, 0, 1)), specs.User{}, nestedRoot()},
		{"nested setgroups denied", linuxOf("new", nil, nil), specs.User{AdditionalGids: []uint32{4}}, with(nestedRoot(), func(f *Facts) { f.SetgroupsDenied = true })},
	}
	type result struct {
		Name        string
		Plan        *Plan  `json:",omitempty"`
		Error, Hint string `json:",omitempty"`
	}
	var got []result
	for _, c := range cases {
		plan, err := Resolve(c.linux, c.user, c.facts)
		r := result{Name: c.name}
		if err != nil {
			r.Error = err.Error()
			var refusal *Refusal
			if !errors.As(err, &refusal) {
				t.Errorf("%s: %v is no refusal", c.name, err)
			} else {
				r.Hint = refusal.Hint()
			}
		} else {
			r.Plan = &plan
		}
		got = append(got, r)
	}
	b, err := json.MarshalIndent(got, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "decisions.json")
	if *update {
		os.MkdirAll("testdata", 0o755)
		if err := os.WriteFile(golden, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(b)+"\n"); d != "" {
		t.Error(d)
	}
}

func many(n int, step uint32) []specs.LinuxIDMapping {
	var list []specs.LinuxIDMapping
	for i := range uint32(n) {
		list = append(list, specs.LinuxIDMapping{ContainerID: i, HostID: 100000 + i*step, Size: 1})
	}
	return list
}
