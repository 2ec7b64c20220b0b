// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"os/exec"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestScopeOfACgroupsPath(t *testing.T) {
	long := strings.Repeat("x", 240)
	cases := []struct {
		path, id    string
		system      bool
		slice, unit string
		err         string
	}{
		{"", "a", false, "user.slice", "mycr-a.scope", ""},
		{"", "a", true, "system.slice", "mycr-a.scope", ""},
		{"user.slice:libpod:0123", "0123", false, "user.slice", "libpod-0123.scope", ""},
		{"system.slice:docker:0123", "0123", true, "system.slice", "docker-0123.scope", ""},
		{":docker:0123", "0123", true, "system.slice", "docker-0123.scope", ""},
		{"a-b.slice:cri-containerd:x", "x", true, "a-b.slice", "cri-containerd-x.scope", ""},
		{"-.slice::x", "x", true, "-.slice", "-x.scope", ""},
		{"", "a+b_c.d-E", false, "user.slice", `mycr-a\x2bb_c.d-E.scope`, ""},
		{"user.slice:p:a/b@c d", "a", false, "user.slice", `p-a\x2fb\x40c\x20d.scope`, ""},
		{"", long, false, "user.slice", "mycr-" + long + ".scope", ""},
		{"", long + "xxxxx", false, "", "", "systemd allows 255 bytes in the name of a unit, and these are 256"},
		{"/docker/0123", "a", true, "", "", `expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "/docker/0123" instead`},
		{"a.slice:b", "a", true, "", "", `expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "a.slice:b" instead`},
		{"a.slice:b:c:d", "a", true, "", "", `expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "a.slice:b:c:d" instead`},
		{"a.slice:b:", "a", true, "", "", `linux.cgroupsPath "a.slice:b:": the name is empty`},
		{"a.slice:b:c.slice", "a", true, "", "", `linux.cgroupsPath "a.slice:b:c.slice": a container's processes cannot be in a slice`},
		{"a.scope:b:c", "a", true, "", "", `linux.cgroupsPath "a.scope:b:c": invalid slice name: a.scope`},
		{"a/b.slice:b:c", "a", true, "", "", `linux.cgroupsPath "a/b.slice:b:c": invalid slice name: a/b.slice`},
	}
	for _, c := range cases {
		u, err := parseCgroupsPath(c.path, c.id, c.system)
		if u.Slice != c.slice || u.Unit != c.unit || (err == nil) != (c.err == "") || err != nil && !strings.HasSuffix(err.Error(), c.err) {
			t.Errorf("%q, %q: %+v, %v", c.path, c.id, u, err)
		}
	}
}

func TestSlicePath(t *testing.T) {
	for slice, want := range map[string]string{
		"user.slice":        "/user.slice",
		"user-foo.slice":    "/user.slice/user-foo.slice",
		"a-b-c.slice":       "/a.slice/a-b.slice/a-b-c.slice",
		`a\x2db.slice`:      `/a\x2db.slice`,
		"-.slice":           "/",
		"machine.slice":     "/machine.slice",
		".slice":            "",
		"slice":             "",
		"":                  "",
		"a--b.slice":        "",
		"-a.slice":          "",
		"a-.slice":          "",
		"a/b.slice":         "",
		"../b.slice":        "",
		"a b.slice":         "",
		"a@b.slice":         "",
		"a.slice\n":         "",
		longSlice() + "-.x": "",
		longSlice():         "",
	} {
		got, err := slicePath(slice)
		if got != want || (err == nil) != (want != "") || err != nil && err.Error() != "invalid slice name: "+slice {
			t.Errorf("%q: %q, %v", slice, got, err)
		}
	}
}

func longSlice() string { return strings.Repeat("x", 250) + ".slice" }

// systemd-escape escapes the dash, too: it is for paths.
func TestEscapeIsThatOfSystemd(t *testing.T) {
	tool, err := exec.LookPath("systemd-escape")
	if err != nil {
		t.Skip("systemd-escape is not installed")
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringOfN(rapid.RuneFrom([]rune("abzAZ09_+.: @\\é[]'\"")), 1, 20, -1).Draw(t, "name")
		out, err := exec.Command(tool, "--", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := escapeUnit(name); got != strings.TrimSpace(string(out)) {
			t.Errorf("%s, of systemd-escape %s", got, out)
		}
	})
}
