// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden plans")

// An ordinary user's container: everything new, one id, or the whole range.
func rootless() Facts {
	return Facts{
		UserNamespace: true, NewUserNamespace: true,
		OwnNetwork: true, OwnCgroup: true, OwnIPC: true, OwnPID: true, OwnMount: true,
		MappedUIDs: []Map{{0, 1000, 1}}, MappedGIDs: []Map{{0, 1000, 1}}, Kcore: true,
		SysEntries: []string{"kernel", "fs/ext4"},
	}
}

func realRoot() Facts {
	return Facts{Privileged: true, OwnCgroup: true, OwnIPC: true, OwnPID: true, OwnMount: true, Kcore: true}
}

// Captured bundles go in, plans come out.
func TestPlans(t *testing.T) {
	hostNetwork := rootless()
	hostNetwork.OwnNetwork = false
	hostAll := hostNetwork
	hostAll.OwnCgroup, hostAll.OwnPID = false, false
	inPodman := rootless() // podman's own user namespace, with all its ids
	inPodman.NewUserNamespace = false
	inPodman.MappedUIDs = []Map{{0, 1000, 1}, {1, 100000, 65536}}
	inPodman.MappedGIDs = inPodman.MappedUIDs
	for _, c := range []struct {
		name, config string
		facts        Facts
	}{
		{"runc-user", "runc", rootless()},
		{"runc-root", "runc", realRoot()},
		{"runc-rootless-user", "runc-rootless", hostNetwork},
		{"lab1-user", "lab1", hostNetwork},
		{"lab1-root", "lab1", realRoot()},
		{"lab2-user", "lab2", hostNetwork},
		{"lab2-root", "lab2", realRoot()},
		{"docker-root", "docker", realRoot()},
		{"podman-user", "podman", inPodman},
		{"lab1-host-namespaces", "lab1", hostAll},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := captured(t, c.config)
			plan, err := Resolve(&spec, "/bundle", c.facts)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			enc := json.NewEncoder(&got)
			enc.SetIndent("", "  ")
			enc.SetEscapeHTML(false)
			if err := enc.Encode(printed(t, plan)); err != nil {
				t.Fatal(err)
			}
			name := filepath.Join("testdata", c.name+".plan.json")
			if *update {
				if err := os.WriteFile(name, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("plan differs (-want +got):\n%s", diff)
			}
		})
	}
}

// printed leaves out what is zero, so that a golden plan can be read.
func printed(t *testing.T, plan Plan) any {
	t.Helper()
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return prune(v)
}

func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if e = prune(e); e == nil || e == "" || e == false || k != "Index" && e == json.Number("0") {
				delete(v, k)
			} else {
				v[k] = e
			}
		}
	case []any:
		for i := range v {
			v[i] = prune(v[i])
		}
		if len(v) == 0 {
			return nil
		}
	}
	return v
}
