// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// What podman and containerd send to update is a resources object by itself.
func TestResourcesAreReadByThemselves(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resources")
	text := `{"memory":{"limit":134217728,"swap":-1},"cpu":{"quota":50000,"period":100000,"cpus":"0"},"pids":{"limit":100},
		"unified":{"memory.high":"max"}}`
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadResources(path)
	if err != nil {
		t.Fatal(err)
	}
	limit, swap, quota, period, pids := int64(134217728), int64(-1), int64(50000), uint64(100000), int64(100)
	want := &specs.LinuxResources{
		Memory:  &specs.LinuxMemory{Limit: &limit, Swap: &swap},
		CPU:     &specs.LinuxCPU{Quota: &quota, Period: &period, Cpus: "0"},
		Pids:    &specs.LinuxPids{Limit: &pids},
		Unified: map[string]string{"memory.high": "max"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestResourcesAreReadStrictly(t *testing.T) {
	for text, cause := range map[string]string{
		``:                         "want an object",
		`[]`:                       "want an object, got an array",
		`{} {}`:                    "nothing after the object",
		`{"memory":{"Limit":1}}`:   `"limit" in another case`,
		`{"memory":{"limit":"1"}}`: `memory.limit: want`,
		`{"memory":{"limit":1.5}}`: `memory.limit: 1.5 is not a whole number`,
		`{"pids":{"limit":99999999999999999999}}`: `pids.limit`,
		`{"pids":{"limit":1},"pids":{"limit":2}}`: `pids: given twice`,
	} {
		if _, err := DecodeResources([]byte(text)); err == nil || !strings.Contains(err.Error(), cause) {
			t.Errorf("%s: %v, not %q", text, err, cause)
		}
	}
	if _, err := ReadResources(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a directory: %v", err)
	}
}

// A limit of memory and swap together goes with the limit of memory that is
// there already; what is wrong by itself is refused.
func TestChangeIsChecked(t *testing.T) {
	for text, cause := range map[string]string{
		`{}`:                                          "",
		`{"memory":{"swap":200000000}}`:               "",
		`{"memory":{"limit":0,"swap":2000000}}`:       "",
		`{"memory":{"limit":-1,"swap":2000000}}`:      "linux.resources.memory.swap",
		`{"memory":{"limit":3000000,"swap":2000000}}`: "but below limit 3000000",
		`{"memory":{"kernel":1}}`:                     "cgroup v1",
		`{"pids":{"limit":-2}}`:                       "linux.resources.pids.limit: -2",
		`{"cpu":{"realtimeRuntime":1000}}`:            "linux.resources.cpu.realtimeRuntime: 1000 is for cgroup v1",
		`{"blockIO":{"weight":5}}`:                    "linux.resources.blockIO.weight: 5",
		`{"unified":{"../x":"1"}}`:                    "not the name of a cgroup file",
	} {
		r, err := DecodeResources([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		before, _ := DecodeResources([]byte(text))
		err = CheckChange(r)
		if (err == nil) != (cause == "") || err != nil && !strings.Contains(err.Error(), cause) {
			t.Errorf("%s: %v, not %q", text, err, cause)
		}
		if diff := cmp.Diff(before, r); diff != "" {
			t.Errorf("%s was changed: %s", text, diff)
		}
	}
}
