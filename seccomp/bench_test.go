// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// engineProfile is a profile as an engine writes it for a container on x86.
func engineProfile(t testing.TB) *specs.LinuxSeccomp {
	t.Helper()
	text, err := os.ReadFile("testdata/engine.json")
	if err != nil {
		t.Fatal(err)
	}
	s := &specs.LinuxSeccomp{}
	if err := json.Unmarshal(text, s); err != nil {
		t.Fatal(err)
	}
	return s
}

func BenchmarkResolve(b *testing.B) {
	for name, s := range map[string]*specs.LinuxSeccomp{"engine": engineProfile(b), "default": Default()} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var plan Plan
			for b.Loop() {
				var err error
				if plan, err = Resolve(s, Facts{Arch: "amd64"}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(plan.Filter)), "instructions")
		})
	}
}
