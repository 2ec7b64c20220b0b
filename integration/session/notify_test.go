// SPDX-License-Identifier: Apache-2.0

package session

import (
	"strings"
	"testing"
	"time"

	"mycr/integration/testbed"
)

// A unit of Type=notify is started when the process in the container says so, and has its status.
func TestTypeNotify(t *testing.T) {
	b := newBox(t)
	unit := b.id("notify") + ".service"
	dir := b.lab2(testbed.Set("root.path", "/"), testbed.Mount("/run", "tmpfs", "tmpfs", "mode=755"),
		testbed.Sh("sleep 1; systemd-notify --ready --status=hello; exec sleep 4"))
	begin := time.Now()
	b.must("systemd-run", "--user", "--quiet", "--collect", "--unit", unit, "-p", "Type=notify", "-p", "TimeoutStartSec=120",
		mycr, "run", "-b", dir, b.id("notify"))
	if waited := time.Since(begin); waited < time.Second {
		t.Errorf("it was started after %v, before the process said so", waited)
	}
	got := properties(t, unit, "ActiveState", "StatusText")
	if got["ActiveState"] != "active" || got["StatusText"] != "hello" {
		t.Errorf("the unit is %v", got)
	}
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		state, _ := systemctl("is-active", unit)
		if strings.TrimSpace(state) == "inactive" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the unit is %s", state)
		}
	}
	b.nothingLeft()
}
