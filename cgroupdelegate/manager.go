// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"mycr/linux"
)

// manager is a systemd manager and the ways to reach it, best first.
type manager struct {
	System    bool     // the one of pid 1, else the user's
	UID       uint32   // of the user, as the parent of our user namespace has it
	Addresses []string // D-Bus addresses, each of one socket: unix:path=… or unix:abstract=…
}

// String names the manager in errors.
func (m manager) String() string {
	if m.System {
		return "systemd"
	}
	return fmt.Sprintf("the systemd user manager of uid %d", m.UID)
}

// systemctl is what a person types to ask this manager.
func (m manager) systemctl() string {
	if m.System {
		return "sudo systemctl"
	}
	return "systemctl --user"
}

// Sockets of the system's manager; see systemd(1) and dbus-daemon(1).
const (
	systemBus     = "/run/dbus/system_bus_socket"
	systemPrivate = "/run/systemd/private"
)

// busFacts are the facts from which findManager decides.
type busFacts struct {
	EUID       int
	OuterUID   uint32 // what EUID is outside of the own user namespace
	HostRoot   bool   // EUID is 0 of the initial user namespace
	SessionBus string // $DBUS_SESSION_BUS_ADDRESS
	SystemBus  string // $DBUS_SYSTEM_BUS_ADDRESS
	RuntimeDir string // $XDG_RUNTIME_DIR
	Booted     bool   // sd_booted(3)
	Paths      map[string]pathFact
}

// pathFact is what stat(2) says. The owner is as our user namespace has it.
type pathFact struct {
	Missing bool
	UID     uint32
	Failed  string // why nothing is known
}

// gatherBus fills the facts in.
func gatherBus() (busFacts, error) {
	f := busFacts{
		EUID:       os.Geteuid(),
		SessionBus: os.Getenv("DBUS_SESSION_BUS_ADDRESS"),
		SystemBus:  os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"),
		RuntimeDir: os.Getenv("XDG_RUNTIME_DIR"),
		Paths:      map[string]pathFact{},
	}
	const uidMap = "/proc/self/uid_map"
	text, err := linux.ReadFile(uidMap)
	if err != nil {
		return f, err
	}
	var initial bool
	if f.OuterUID, initial, err = outerUID(string(text), f.EUID); err != nil {
		return f, fmt.Errorf("%s: %w", uidMap, err)
	}
	f.HostRoot = initial && f.EUID == 0
	_, err = os.Stat("/run/systemd/system")
	f.Booted = err == nil
	for _, name := range f.looksAt() {
		f.Paths[name] = statFact(name)
	}
	return f, nil
}

func statFact(name string) pathFact {
	var st unix.Stat_t
	err := unix.Stat(name, &st)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return pathFact{Missing: true}
	case err != nil:
		return pathFact{Failed: err.Error()}
	}
	return pathFact{UID: st.Uid}
}

// outerUID looks an id up in the text of a uid_map; see user_namespaces(7).
// initial tells that the map is the one of the initial user namespace.
func outerUID(text string, uid int) (outer uint32, initial bool, err error) {
	for line := range strings.Lines(text) {
		var inside, outside, count uint64
		if _, err := fmt.Sscan(line, &inside, &outside, &count); err != nil {
			return 0, false, fmt.Errorf("%q: %w", line, err)
		}
		if id := uint64(uid); inside <= id && id-inside < count {
			return uint32(outside + id - inside), inside == 0 && outside == 0 && count == 1<<32-1, nil
		}
	}
	return 0, false, fmt.Errorf("uid %d is not mapped", uid)
}

// ownDir is where logind and user@.service put a user's sockets; see user-runtime-dir@.service(5).
func (f *busFacts) ownDir() string { return "/run/user/" + strconv.FormatUint(uint64(f.OuterUID), 10) }

// dirs are the runtime directories to look into.
func (f *busFacts) dirs() []string {
	own := f.ownDir()
	if !filepath.IsAbs(f.RuntimeDir) || filepath.Clean(f.RuntimeDir) == own {
		return []string{own}
	}
	return []string{filepath.Clean(f.RuntimeDir), own}
}

// addresses lists every address worth a try. A bus comes before systemd's
// private socket, although that takes a third less for AttachProcessesToUnit and
// no longer for a scope: systemd sends every signal of every unit to each private
// peer, so that fifty scopes made at once take three times as long as on a bus
// (measured on 252). Processes of a login session are moved through either.
func (f *busFacts) addresses() []string {
	var buses, private []string
	if f.HostRoot {
		buses = append(split(f.SystemBus), unixPath(systemBus))
		private = []string{unixPath(systemPrivate)}
	} else {
		buses = split(f.SessionBus)
		for _, dir := range f.dirs() {
			buses = append(buses, unixPath(dir+"/bus"))
			private = append(private, unixPath(dir+"/systemd/private"))
		}
	}
	var once, sockets []string
	for _, a := range append(buses, private...) {
		name, err := socketOf(a)
		if err == nil && slices.Contains(sockets, name) {
			continue
		}
		once, sockets = append(once, a), append(sockets, name)
	}
	return once
}

// looksAt lists the paths whose facts findManager needs.
func (f *busFacts) looksAt() []string {
	var paths []string
	if !f.HostRoot {
		paths = f.dirs()
	}
	for _, a := range f.addresses() {
		if name, err := socketOf(a); err == nil && filepath.IsAbs(name) {
			paths = append(paths, name)
		}
	}
	return paths
}

// findManager decides which manager is asked. The error is a *Refusal.
func findManager(f busFacts) (manager, error) {
	m := manager{System: f.HostRoot, UID: f.OuterUID}
	if dir := filepath.Clean(f.RuntimeDir); !f.HostRoot && filepath.IsAbs(f.RuntimeDir) {
		if p := f.Paths[dir]; !p.Missing && p.Failed == "" && p.UID != uint32(f.EUID) {
			return m, f.foreign(dir, p.UID)
		}
	}
	for _, a := range f.addresses() {
		name, err := socketOf(a)
		if err != nil {
			continue // autolaunch:, tcp: and so on are not systemd's
		}
		// Behind an abstract name is whoever was first; dial looks at the peer.
		if p := f.Paths[name]; filepath.IsAbs(name) && (p.Missing || p.Failed != "" || p.UID != uint32(f.EUID)) {
			continue
		}
		m.Addresses = append(m.Addresses, a)
	}
	if len(m.Addresses) == 0 {
		return m, f.nobody()
	}
	return m, nil
}

// foreign is the runtime directory of another user, as su(1) and sudo(8) may leave it behind.
func (f *busFacts) foreign(dir string, owner uint32) *Refusal {
	r := Refusal{
		Cause:  fmt.Sprintf("XDG_RUNTIME_DIR=%s belongs to uid %d, and this is uid %d", dir, owner, f.EUID),
		Remedy: linger(f.OuterUID) + " && export XDG_RUNTIME_DIR=" + f.ownDir(),
	}
	if p := f.Paths[f.ownDir()]; !p.Missing && p.Failed == "" && p.UID == uint32(f.EUID) {
		r.Remedy = "export XDG_RUNTIME_DIR=" + f.ownDir()
	}
	return &r
}

// nobody is the error where there is no socket of any manager.
func (f *busFacts) nobody() *Refusal {
	var missing []string
	for _, a := range f.addresses() {
		if name, err := socketOf(a); err != nil {
			missing = append(missing, fmt.Sprintf("%s: %v", a, err))
		} else if p := f.Paths[name]; p.Missing {
			missing = append(missing, name+": not there")
		} else if p.Failed != "" {
			missing = append(missing, name+": "+p.Failed)
		} else {
			missing = append(missing, fmt.Sprintf("%s: of uid %d", name, p.UID))
		}
	}
	tried := " (" + strings.Join(missing, "; ") + ")"
	switch {
	case !f.Booted:
		return &Refusal{
			Cause:  "no systemd to ask for a cgroup: this host was not booted with it" + tried,
			Remedy: "--cgroup-manager cgroupfs uses the cgroups that the caller may write to",
		}
	case f.HostRoot:
		return &Refusal{
			Cause:  "no systemd to ask for a cgroup" + tried,
			Remedy: "systemctl start dbus.socket",
		}
	case f.Paths[f.ownDir()].Missing:
		return &Refusal{
			Cause:  fmt.Sprintf("no systemd user manager for uid %d: it has no login session and no linger, %s is missing%s", f.OuterUID, f.ownDir(), tried),
			Remedy: linger(f.OuterUID),
		}
	}
	return &Refusal{
		Cause:  fmt.Sprintf("no systemd user manager for uid %d: nothing listens in %s%s", f.OuterUID, strings.Join(f.dirs(), " and "), tried),
		Remedy: fmt.Sprintf("sudo systemctl start user@%d.service", f.OuterUID),
	}
}

// linger takes a uid as well as a name (loginctl(1)) and does not wait until the manager is there; systemctl does.
func linger(uid uint32) string {
	return fmt.Sprintf("sudo loginctl enable-linger %d && sudo systemctl start user@%[1]d.service", uid)
}

func unixPath(name string) string { return "unix:path=" + dbus.EscapeBusAddressValue(name) }

// split takes a list of addresses apart; see "Server Addresses" of the D-Bus specification.
func split(list string) []string {
	return slices.DeleteFunc(strings.Split(list, ";"), func(a string) bool { return a == "" })
}

// socketOf returns the path in an address, or its abstract name after an @.
func socketOf(address string) (string, error) {
	keys, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		return "", errors.New("not a unix socket")
	}
	for key := range strings.SplitSeq(keys, ",") {
		name, value, _ := strings.Cut(key, "=")
		if name != "path" && name != "abstract" {
			continue
		}
		value, err := dbus.UnescapeBusAddressValue(value)
		switch {
		case err != nil:
			return "", err
		case name == "abstract" && value != "":
			return "@" + value, nil
		case filepath.IsAbs(value):
			return value, nil
		}
	}
	return "", errors.New("names no socket")
}

// isPrivate tells systemd's own socket from a bus.
func isPrivate(address string) bool {
	name, err := socketOf(address)
	return err == nil && strings.HasSuffix(name, "/systemd/private")
}
