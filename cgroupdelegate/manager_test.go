// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// on gives the paths their owners: "" is missing, "!" cannot be seen.
func (f busFacts) on(owners map[string]string) busFacts {
	f.Paths = map[string]pathFact{}
	for _, name := range f.looksAt() {
		owner := owners[name]
		switch {
		case owner == "":
			f.Paths[name] = pathFact{Missing: true}
		case owner == "!":
			f.Paths[name] = pathFact{Failed: "permission denied"}
		default:
			var p pathFact
			fmt.Sscan(owner, &p.UID)
			f.Paths[name] = p
		}
	}
	return f
}

func TestManagers(t *testing.T) {
	session := map[string]string{
		"/run/user/1000": "1000", "/run/user/1000/bus": "1000", "/run/user/1000/systemd/private": "1000",
		"/run/dbus/system_bus_socket": "0", "/run/systemd/private": "!",
	}
	without := func(owners map[string]string, names ...string) map[string]string {
		fewer := map[string]string{}
		for k, v := range owners {
			fewer[k] = v
		}
		for _, n := range names {
			fewer[n] = ""
		}
		return fewer
	}
	inside := map[string]string{} // as the user's own namespace sees it
	for name := range session {
		inside[name] = "0"
	}
	user := busFacts{EUID: 1000, OuterUID: 1000, Booted: true}
	user1001 := busFacts{EUID: 1001, OuterUID: 1001, Booted: true}
	with := func(f busFacts, set func(*busFacts)) busFacts { set(&f); return f }
	both := func(f *busFacts) {
		f.RuntimeDir, f.SessionBus = "/run/user/1000", "unix:path=/run/user/1000/bus"
	}
	cases := []struct {
		name   string
		facts  busFacts
		owners map[string]string
	}{
		{"session", with(user, both), session},
		{"only XDG_RUNTIME_DIR", with(user, func(f *busFacts) { f.RuntimeDir = "/run/user/1000" }), session},
		{"only DBUS_SESSION_BUS_ADDRESS", with(user, func(f *busFacts) { f.SessionBus = "unix:path=/run/user/1000/bus,guid=0123" }), session},
		{"no environment", user, session},
		{"no bus daemon", with(user, both), without(session, "/run/user/1000/bus")},
		{"no private socket", with(user, both), without(session, "/run/user/1000/systemd/private")},
		{"bus of its own", with(user, func(f *busFacts) {
			f.RuntimeDir, f.SessionBus = "/run/user/1000", "tcp:host=a;unix:abstract=/tmp/dbus-a;unix:path=/tmp/b%20c;autolaunch:"
		}), without(session)},
		{"runtime directory of its own", with(user, func(f *busFacts) { f.RuntimeDir = "/tmp/xdg" }), plus(session, "/tmp/xdg", "1000")},
		{"runtime directory of its own, no session", with(user, func(f *busFacts) { f.RuntimeDir = "/tmp/xdg" }), map[string]string{"/tmp/xdg": "1000"}},
		{"runtime directory that is relative", with(user, func(f *busFacts) { f.RuntimeDir = "xdg" }), session},
		{"podman unshare", with(busFacts{OuterUID: 1000, Booted: true}, both), inside},
		{"podman unshare, no environment", busFacts{OuterUID: 1000, Booted: true}, inside},
		{"root", busFacts{HostRoot: true, Booted: true}, map[string]string{"/run/dbus/system_bus_socket": "0", "/run/systemd/private": "0"}},
		{"root, sudo -E", with(busFacts{HostRoot: true, Booted: true}, both), map[string]string{"/run/dbus/system_bus_socket": "0", "/run/systemd/private": "0", "/run/user/1000": "1000"}},
		{"root, DBUS_SYSTEM_BUS_ADDRESS", busFacts{HostRoot: true, SystemBus: "unix:path=/run/other"}, map[string]string{"/run/other": "0", "/run/dbus/system_bus_socket": "0"}},
		{"root, no bus daemon", busFacts{HostRoot: true, Booted: true}, map[string]string{"/run/systemd/private": "0"}},
		{"root, no systemd", busFacts{HostRoot: true}, nil},
		{"root, systemd without sockets", busFacts{HostRoot: true, Booted: true}, nil},
		{"user, no systemd", user, nil},
		{"user, host without systemd", busFacts{EUID: 1000, OuterUID: 1000}, nil},
		{"no session, no linger", user1001, session},
		{"su, environment of another user", with(user1001, both), without(session)},
		{"su, environment of another user, lingering", with(user1001, both), plus(session, "/run/user/1001", "1001")},
		{"sudo, bus of another user", with(user1001, func(f *busFacts) { f.SessionBus = "unix:path=/run/user/1000/bus" }), plus(session, "/run/user/1000/bus", "!")},
		{"manager is dead", user1001, map[string]string{"/run/user/1001": "1001"}},
		{"socket of another user", user1001, map[string]string{"/run/user/1001": "1001", "/run/user/1001/bus": "1000"}},
	}
	got := map[string]any{}
	for _, c := range cases {
		m, err := findManager(c.facts.on(c.owners))
		var r *Refusal
		switch {
		case errors.As(err, &r):
			got[c.name] = map[string]string{"cause": r.Cause, "hint": r.Remedy}
		case err != nil:
			t.Errorf("%s: %v is no Refusal", c.name, err)
		default:
			got[c.name] = map[string]any{"manager": m.String(), "addresses": m.Addresses}
		}
	}
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(got); err != nil {
		t.Fatal(err)
	}
	golden(t, "managers.json", []byte(text.String()))
}

func plus(owners map[string]string, name, owner string) map[string]string {
	more := map[string]string{name: owner}
	for k, v := range owners {
		if k != name {
			more[k] = v
		}
	}
	return more
}

func TestOuterUID(t *testing.T) {
	for _, c := range []struct {
		text    string
		uid     int
		outer   uint32
		initial bool
	}{
		{"         0          0 4294967295\n", 0, 0, true},
		{"         0          0 4294967295\n", 1000, 1000, true},
		{"         0       1000          1\n         1     100000      65536\n", 0, 1000, false},
		{"         0       1000          1\n         1     100000      65536\n", 1001, 101000, false},
		{"      1000       1000          1\n", 1000, 1000, false},
		{"         0          0      65536\n", 0, 0, false}, // of a container that root made
	} {
		outer, initial, err := outerUID(c.text, c.uid)
		if err != nil || outer != c.outer || initial != c.initial {
			t.Errorf("%q, %d: %d, %v, %v", c.text, c.uid, outer, initial, err)
		}
	}
	for _, text := range []string{"", "0 0 x", "5 0 1\n"} {
		if _, _, err := outerUID(text, 0); err == nil {
			t.Errorf("%q is no map of uid 0", text)
		}
	}
}

// The facts of this machine are of use: they are for all paths that are looked at.
func TestGatheredFactsAreComplete(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere/bus")
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	f, err := gatherBus()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range f.looksAt() {
		if _, ok := f.Paths[name]; !ok {
			t.Errorf("nothing of %s", name)
		}
	}
	if f.HostRoot {
		return
	}
	if p := f.Paths["/nowhere/bus"]; !p.Missing {
		t.Errorf("/nowhere/bus: %+v", p)
	}
	if p := f.Paths[f.RuntimeDir]; p.UID != uint32(f.EUID) {
		t.Errorf("%s: %+v", f.RuntimeDir, p)
	}
}
