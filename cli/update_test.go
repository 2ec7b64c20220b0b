// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each flag is one field of linux.resources, and what is not named is not there.
func TestFlagsOfUpdateAreResources(t *testing.T) {
	for line, want := range map[string]string{
		"--memory 128m":            `{"memory":{"limit":134217728}}`,
		"--memory=-1":              `{"memory":{"limit":-1}}`,
		"--memory 128m -memory -1": `{"memory":{"limit":-1}}`,
		"--memory-reservation 1g":  `{"memory":{"reservation":1073741824}}`,
		"--memory-swap -1":         `{"memory":{"swap":-1}}`,
		"--cpu-share 512":          `{"cpu":{"shares":512}}`,
		"--cpu-quota 50000":        `{"cpu":{"quota":50000}}`,
		"--cpu-quota -1":           `{"cpu":{"quota":-1}}`,
		"--cpu-period 100000":      `{"cpu":{"period":100000}}`,
		"--cpu-burst 0":            `{"cpu":{"burst":0}}`,
		"--cpu-idle 0":             `{"cpu":{"idle":0}}`,
		"--cpuset-cpus 0-1":        `{"cpu":{"cpus":"0-1"}}`,
		"--cpuset-mems 0":          `{"cpu":{"mems":"0"}}`,
		"--pids-limit -1":          `{"pids":{"limit":-1}}`,
		"--blkio-weight 500":       `{"blockIO":{"weight":500}}`,
		"--memory 1g --memory-swap 2g --pids-limit 7": `{"memory":{"limit":1073741824,"swap":2147483648},"pids":{"limit":7}}`,
	} {
		_, c, _ := parseLine(t, "update "+line+" x")
		r, err := c.(*changeLimits).resources()
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var got, wanted map[string]map[string]any
		if err := errors.Join(json.Unmarshal(text, &got), json.Unmarshal([]byte(want), &wanted)); err != nil {
			t.Fatal(err)
		}
		maps.DeleteFunc(got, func(_ string, fields map[string]any) bool { return len(fields) == 0 })
		if diff := cmp.Diff(wanted, got); diff != "" {
			t.Errorf("%s: %s", line, diff)
		}
	}
}

func TestWrongUpdatesAreRefused(t *testing.T) {
	for line, cause := range map[string]string{
		"":                             "update is told no limit to change",
		"-r /dev/null --memory 1m":     "update has --resources /dev/null and --memory: one of them is too much",
		"-r /dev/null":                 "is a device, not a regular file",
		"-r /nope":                     "cannot read the resources file /nope: no such file or directory",
		"--cpu-rt-runtime 1000":        "linux.resources.cpu.realtimeRuntime: 1000 is for cgroup v1",
		"--cpu-rt-period 1000":         "linux.resources.cpu.realtimePeriod: 1000 is for cgroup v1",
		"--kernel-memory 1m":           "linux.resources.memory.kernel: 1048576 is for cgroup v1",
		"--kernel-memory-tcp 1m":       "linux.resources.memory.kernelTCP: 1048576 is for cgroup v1",
		"--pids-limit -2":              "linux.resources.pids.limit: -2",
		"--cpu-period 5":               "linux.resources.cpu.period: 5 is not from 1000",
		"--cpuset-cpus x":              "linux.resources.cpu.cpus",
		"--blkio-weight 5":             "linux.resources.blockIO.weight: 5 is not from 10 to 1000",
		"--memory 2m --memory-swap 1m": "but below limit",
	} {
		_, c, _ := parseLine(t, "update "+line+" x")
		if _, err := c.(*changeLimits).resources(); err == nil || !strings.Contains(err.Error(), cause) {
			t.Errorf("%s: %v, not %q", line, err, cause)
		}
	}
}

func TestResourcesOnStandardInput(t *testing.T) {
	for text, cause := range map[string]string{
		`{"pids":{"limit":5}}`: "",
		``:                     "resources on standard input: not valid JSON",
		`{"pids":{"Limit":5}}`: `resources on standard input: pids.Limit: unknown property, "limit" in another case`,
		`{}` + strings.Repeat(" ", mostResources): "more than 1048576 bytes",
	} {
		r, err := readResources(strings.NewReader(text))
		if (err == nil) != (cause == "") || err != nil && !strings.Contains(err.Error(), cause) {
			t.Errorf("%.40s: %v, not %q", text, err, cause)
		}
		if err == nil && *r.Pids.Limit != 5 {
			t.Errorf("%s: %d", text, *r.Pids.Limit)
		}
	}
}

func TestAmountsOfBytes(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "0": 0, "-1": -1, "1b": 1, "1k": 1024, "1K": 1024, "1kb": 1024, "1KiB": 1024, "128m": 134217728, "128M": 134217728,
		"1g": 1 << 30, "2t": 2 << 40, "1p": 1 << 50, "1.5g": 3 << 29, "0.5k": 512, ".5k": 512, "9223372036854775807": 1<<63 - 1, "8191p": 8191 << 50,
	} {
		if got, err := parseBytes(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "m", "-2", "-1m", "+1", "1x", "1mm", "1bm", "1ib", "1 m", "0x10", "1e3", "1.2.3", "inf", "nan", "max", "8192p", "9223372036854775808", "9999999999g",
	} {
		if got, err := parseBytes(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}
