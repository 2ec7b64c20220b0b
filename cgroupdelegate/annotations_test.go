// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnnotationsAreProperties(t *testing.T) {
	for _, c := range []struct{ name, text, property, signature, value string }{
		// As podman sends them.
		{"KillSignal", "15", "KillSignal", "i", "15"},
		{"TimeoutStopUSec", "uint64 90000000", "TimeoutStopUSec", "t", "90000000"},
		// As the documentation of runc and crun has them.
		{"TimeoutStopSec", "10", "TimeoutStopUSec", "t", "10000000"},
		{"TimeoutStopSec", "1.5", "TimeoutStopUSec", "t", "1500000"},
		{"TimeoutStopSec", "uint32 4294967295", "TimeoutStopUSec", "t", "4294967295000000"},
		{"CollectModus", "'inactive-or-failed'", "CollectModus", "s", `"inactive-or-failed"`},
		{"After", "['a.service', 'b.service']", "After", "as", `["a.service", "b.service"]`},
		{"Before", "@as []", "Before", "as", "[]"},
		{"IOReadBandwidthMax", "[('/dev/sda', uint64 5)]", "IOReadBandwidthMax", "a(st)", `[("/dev/sda", 5)]`},
		{"AllowedCPUs", "[byte 3, 5]", "AllowedCPUs", "ay", "[3, 5]"},
		{"SendSIGHUP", "true", "SendSIGHUP", "b", "true"},
		{"RuntimeMaxUSec", "@t 5", "RuntimeMaxUSec", "t", "5"},
		{"CPUWeight", "uint64 0x64", "CPUWeight", "t", "100"},
		{"Nested", "((1, 'a'), [2.5])", "Nested", "((is)ad)", `((1, "a"), [2.5])`},
	} {
		got, err := annotationProperties(map[string]string{"org.systemd.property." + c.name: c.text, "other": "x"}, true)
		if err != nil {
			t.Errorf("%s=%s: %v", c.name, c.text, err)
			continue
		}
		if diff := cmp.Diff([]Property{{c.property, c.signature, c.value}}, got); diff != "" {
			t.Errorf("%s=%s: %s", c.name, c.text, diff)
		}
	}
}

func TestAnnotationsThatAreNoneAreRefused(t *testing.T) {
	const p = "org.systemd.property."
	for _, c := range []struct {
		annotations map[string]string
		err         string
	}{
		{map[string]string{p + "Ab": "1"}, `annotations["org.systemd.property.Ab"]: not the name of a property`},
		{map[string]string{p + "Kill_Signal": "1"}, `annotations["org.systemd.property.Kill_Signal"]: not the name of a property`},
		{map[string]string{p: "1"}, `annotations["org.systemd.property."]: not the name of a property`},
		{map[string]string{p + "PIDs": "[uint32 1]"}, `annotations["org.systemd.property.PIDs"]: mycr sets this property itself`},
		{map[string]string{p + "Delegate": "false"}, `annotations["org.systemd.property.Delegate"]: mycr sets this property itself`},
		{map[string]string{p + "KillSignal": "SIGTERM"}, `annotations["org.systemd.property.KillSignal"]: "SIGTERM": a int32 expected at byte 0`},
		{map[string]string{p + "KillSignal": ""}, `annotations["org.systemd.property.KillSignal"]: "": a value expected at byte 0`},
		{map[string]string{p + "KillSignal": "15 x"}, `annotations["org.systemd.property.KillSignal"]: "15 x": the end expected at byte 3`},
		{map[string]string{p + "After": "[]"}, `annotations["org.systemd.property.After"]: "[]": an empty array needs a type, as @as []`},
		{map[string]string{p + "After": "['a', 1]"}, `annotations["org.systemd.property.After"]: "['a', 1]": a quoted text expected at byte 6`},
		{map[string]string{p + "Nested": "(1 2)"}, `annotations["org.systemd.property.Nested"]: "(1 2)": , or ) expected at byte 3`},
		{map[string]string{p + "TimeoutStopSec": "-1"}, `annotations["org.systemd.property.TimeoutStopSec"]: "-1": not a number of seconds`},
		{map[string]string{p + "TimeoutStopSec": "'1'"}, `annotations["org.systemd.property.TimeoutStopSec"]: "'1'": not a number of seconds`},
		{map[string]string{p + "TimeoutStopSec": "uint64 18446744073709551615"},
			`annotations["org.systemd.property.TimeoutStopSec"]: "uint64 18446744073709551615": too many seconds`},
		{map[string]string{p + "TimeoutStopSec": "1", p + "TimeoutStopUSec": "uint64 1"},
			`annotations["org.systemd.property.TimeoutStopUSec"]: TimeoutStopUSec is set twice`},
	} {
		if got, err := annotationProperties(c.annotations, true); err == nil || err.Error() != c.err || got != nil {
			t.Errorf("%v: %v, %v", c.annotations, got, err)
		}
	}
}

func TestAnnotationsThatNoEngineSendsNeedTrust(t *testing.T) {
	const p = "org.systemd.property."
	if _, err := annotationProperties(map[string]string{p + "KillSignal": "15", p + "TimeoutStopUSec": "uint64 1"}, false); err != nil {
		t.Error(err)
	}
	_, err := annotationProperties(map[string]string{p + "KillSignal": "15", p + "ManagedOOMPreference": "'omit'"}, false)
	var r *Refusal
	if !errors.As(err, &r) || r.Cause != `annotations["org.systemd.property.ManagedOOMPreference"]: a bundle may not set properties of systemd's units` ||
		r.Remedy != "--trust-annotations allows it" {
		t.Error(err)
	}
}
