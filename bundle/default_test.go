// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// The golden files are what runc 1.3.6 wrote as root on a host without a
// unified cgroup hierarchy, hence without a cgroup namespace.
func TestDefaultIsWhatRuncWrites(t *testing.T) {
	for _, test := range []struct {
		file     string
		rootless bool
	}{{"testdata/config/runc.json", false}, {"testdata/config/runc-rootless.json", true}} {
		want, err := os.ReadFile(test.file)
		if err != nil {
			t.Fatal(err)
		}
		spec := Default(test.rootless)
		if namespaceOf(spec.Linux.Namespaces, specs.CgroupNamespace) == nil || spec.Version != "1.3.0" {
			t.Errorf("%s: version %s, namespaces %v", test.file, spec.Version, spec.Linux.Namespaces)
		}
		if test.rootless {
			if m := spec.Linux.UIDMappings; len(m) != 1 || m[0].HostID != uint32(os.Geteuid()) {
				t.Errorf("mappings %v", m)
			}
			spec.Linux.UIDMappings[0].HostID, spec.Linux.GIDMappings[0].HostID = 0, 0
		}
		if err := Check(spec); err != nil {
			t.Error(err)
		}
		got, err := Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(string(got), `"ociVersion": "1.3.0"`, `"ociVersion": "1.2.1"`, 1)
		text = strings.Replace(text, "\t\t\t{\n\t\t\t\t\"type\": \"cgroup\"\n\t\t\t},\n", "", 1)
		text = strings.Replace(text, ",\n\t\t\t{\n\t\t\t\t\"type\": \"cgroup\"\n\t\t\t}", "", 1)
		if diff := cmp.Diff(string(want), text); diff != "" {
			t.Errorf("%s: %s", test.file, diff)
		}
	}
}
