// SPDX-License-Identifier: Apache-2.0

package idmap

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// kind is what differs between user and group ids.
type kind struct {
	path   string // in config.json
	file   string // of subordinate ids
	own    uint32
	ranges []Range
	helper Helper
	name   string // of the helper
}

func kindUID(f Facts) kind {
	return kind{"linux.uidMappings", "/etc/subuid", f.UID, f.SubUIDs, f.Newuidmap, "newuidmap"}
}

func kindGID(f Facts) kind {
	return kind{"linux.gidMappings", "/etc/subgid", f.GID, f.SubGIDs, f.Newgidmap, "newgidmap"}
}

// permitted tells whether newuidmap or newgidmap would write the maps, by its own rules: each range lies
// in the subordinate ids, or is the own id alone. It gives the helper's path.
func permitted(k kind, maps []Map, f Facts) (string, error) {
	for i, m := range maps {
		if m.Size == 1 && m.HostID == k.own {
			continue
		}
		if covers(k.ranges, Range{m.HostID, m.Size}) {
			continue
		}
		have := "nothing"
		if len(k.ranges) > 0 {
			var words []string
			for _, r := range k.ranges {
				words = append(words, r.String())
			}
			have = strings.Join(words, ", ")
		}
		source := k.file
		if f.SubSource != "" {
			source = "subid: " + f.SubSource
		}
		r := &Refusal{Cause: fmt.Sprintf("%s[%d]: host ids %s are not this user's: %s gives %s %s",
			k.path, i, Range{m.HostID, m.Size}, source, f.who(), have)}
		// Never a command that would make these very ids the user's: they may be root's.
		if r.Remedy = remedy(f); r.Remedy == "" && len(k.ranges) > 0 {
			r.Remedy = fmt.Sprintf("map the own id %d (size 1) and %s, or leave linux.uidMappings and linux.gidMappings out: mycr then maps all of them", k.own, have)
		}
		return "", r
	}
	if why := unusable(k, f); why != "" {
		return "", &Refusal{Cause: fmt.Sprintf("%s: more than the own id needs %s: %s", k.path, k.name, why), Remedy: remedy(f)}
	}
	return k.helper.Path, nil
}

// covers tells whether the ranges together hold all of r.
func covers(ranges []Range, r Range) bool {
	start, end := uint64(r.Start), uint64(r.Start)+uint64(r.Size)
	for moved := true; moved && start < end; {
		moved = false
		for _, h := range ranges {
			if uint64(h.Start) <= start && uint64(h.Start)+uint64(h.Size) > start {
				start, moved = uint64(h.Start)+uint64(h.Size), true
			}
		}
	}
	return start >= end
}

// who is the user as a command takes it.
func (f Facts) who() string {
	if f.User != "" {
		return f.User
	}
	return fmt.Sprint(f.UID)
}

// unusable says why the helper of a kind would fail, "" where it would work.
func unusable(k kind, f Facts) string {
	switch {
	case f.NoNewPrivs:
		return "no_new_privs is set, under which it gains no powers"
	case k.helper.Path == "":
		return "not installed"
	case k.helper.Problem != "":
		return k.helper.Path + " " + k.helper.Problem
	case f.UserUnknown:
		return fmt.Sprintf("it refuses a user without an entry in /etc/passwd (uid %d)", f.UID)
	}
	return ""
}

// missing says what stands against a full map, "" where nothing does.
func missing(f Facts) string {
	uids, gids := kindUID(f), kindGID(f)
	for _, k := range [...]kind{uids, gids} {
		if f.Privileged {
			break
		}
		if why := unusable(k, f); why != "" {
			return k.name + ": " + why
		}
	}
	var files string
	switch {
	case len(f.SubUIDs) == 0 && len(f.SubGIDs) == 0:
		files = uids.file + " and " + gids.file
	case len(f.SubUIDs) == 0:
		files = uids.file
	case len(f.SubGIDs) == 0:
		files = gids.file
	default:
		return ""
	}
	if f.SubSource != "" {
		files = "what getsubids prints (nsswitch.conf has subid: " + f.SubSource + ", in place of " + files + ")"
	}
	return "user " + f.who() + " has no ids in " + files
}

// remedy is the one command against what is missing, "" where nothing is.
func remedy(f Facts) string {
	uids, gids := f.Newuidmap, f.Newgidmap
	switch {
	case f.NoNewPrivs && !f.Privileged:
		return "start mycr without no_new_privs (docker: no --security-opt no-new-privileges; Kubernetes: allowPrivilegeEscalation: true; systemd: NoNewPrivileges=no)"
	case !f.Privileged && (uids.Path == "" || gids.Path == ""):
		return install(f.Distro)
	case !f.Privileged && (uids.Problem != "" || gids.Problem != ""):
		return fmt.Sprintf("sudo setcap cap_setuid=ep %s && sudo setcap cap_setgid=ep %s", uids.Path, gids.Path)
	case f.UserUnknown || f.SubSource != "" || f.FreeSubID == 0:
		return ""
	}
	first, last := f.FreeSubID, f.FreeSubID+65535
	var flags string
	if len(f.SubUIDs) == 0 {
		flags += fmt.Sprintf(" --add-subuids %d-%d", first, last)
	}
	if len(f.SubGIDs) == 0 {
		flags += fmt.Sprintf(" --add-subgids %d-%d", first, last)
	}
	switch {
	case flags == "":
		return ""
	case strings.Contains(f.Distro, "nixos"):
		return "set users.users." + f.who() + ".autoSubUidGidRange = true; in configuration.nix"
	case !f.Usermod: // Alpine, busybox
		files := "/etc/subuid /etc/subgid"
		if len(f.SubGIDs) > 0 {
			files = "/etc/subuid"
		} else if len(f.SubUIDs) > 0 {
			files = "/etc/subgid"
		}
		return fmt.Sprintf("echo %s:%d:65536 | sudo tee -a %s", f.who(), first, files)
	}
	return "sudo usermod" + flags + " " + f.who()
}

// install is the command that brings newuidmap, by os-release's ID and ID_LIKE.
func install(distro string) string {
	for _, word := range strings.Fields(distro) {
		switch word {
		case "debian", "ubuntu":
			return "sudo apt install uidmap"
		case "fedora", "rhel", "centos":
			return "sudo dnf install shadow-utils"
		case "alpine":
			return "sudo apk add shadow-subids"
		case "arch":
			return "sudo pacman -S shadow"
		case "suse", "opensuse":
			return "sudo zypper install shadow"
		case "nixos":
			return "put /run/wrappers/bin in place: newuidmap comes with security.wrappers (shadow)"
		}
	}
	return "install the package that has newuidmap (uidmap, shadow-utils)"
}

// automatic makes maps for a bundle that has none.
func automatic(user specs.User, f Facts) (Plan, error) {
	p := Plan{NewNamespace: true, DenySetgroups: f.SetgroupsDenied}
	if f.UID == 0 && f.Privileged {
		if Identity(f.OuterUIDs) {
			return p, &Refusal{
				Cause:  "linux.uidMappings: none, but linux.namespaces asks for a new user namespace",
				Remedy: "give linux.uidMappings and linux.gidMappings, or take the user namespace out of linux.namespaces",
			}
		}
		p.UIDs, p.GIDs = identity(f.OuterUIDs), identity(f.OuterGIDs)
		return p, nil
	}
	why := missing(f)
	if why == "" {
		var uidNote, gidNote string
		p.UIDs, uidNote = all(kindUID(f), f.OuterUIDs, f.PageSize)
		p.GIDs, gidNote = all(kindGID(f), f.OuterGIDs, f.PageSize)
		if len(p.UIDs) > 1 && len(p.GIDs) > 1 {
			if !f.Privileged {
				p.Newuidmap, p.Newgidmap = f.Newuidmap.Path, f.Newgidmap.Path
			}
			for _, note := range [...]string{uidNote, gidNote} {
				if note != "" {
					p.Notes = append(p.Notes, note)
				}
			}
			return p, nil
		}
		why = "none of the subordinate ids of " + f.who() + " exist in the user namespace that mycr runs in"
	}
	p.UIDs = []Map{{user.UID, f.UID, 1}}
	p.GIDs = []Map{{user.GID, f.GID, 1}}
	p.DenySetgroups = p.DenySetgroups || !f.Privileged
	note := fmt.Sprintf("only one user id (%d) and one group id (%d) exist in the container, and setgroups fails: %s", user.UID, user.GID, why)
	if r := remedy(f); r != "" {
		note += "; for more: " + r
	}
	p.Notes = []string{note}
	return p, nil
}

// all maps 0 to the own id and what follows to the subordinate ids in their order, each id once:
// files name a user twice (by name and by id), and ranges can overlap.
func all(k kind, outer []Map, page int) (maps []Map, note string) {
	if page == 0 {
		page = 4096
	}
	maps = []Map{{0, k.own, 1}}
	next := uint64(1)
	bytes := len(text(maps))
	for _, r := range k.ranges {
		for _, free := range without(r, maps) {
			parts, _ := clip(Map{0, free.Start, free.Size}, outer)
			for _, m := range parts {
				m.ContainerID = uint32(next)
				if next+uint64(m.Size) > idEnd {
					m.Size = uint32(idEnd - next)
				}
				length := len(text([]Map{m}))
				if m.Size == 0 || len(maps) == maxLines || bytes+length >= page {
					return maps, fmt.Sprintf("%s: not all ranges of the user are mapped: the kernel takes %d lines and less than %d bytes", k.file, maxLines, page)
				}
				maps = append(maps, m)
				bytes += length
				next += uint64(m.Size)
			}
		}
	}
	return maps, ""
}

// without is what of a range no map has on its host side.
func without(r Range, maps []Map) []Range {
	rest := []Range{r}
	for _, m := range maps {
		var left []Range
		for _, r := range rest {
			taken := Range{m.HostID, m.Size}
			if !overlap(r, taken) {
				left = append(left, r)
				continue
			}
			if r.Start < m.HostID {
				left = append(left, Range{r.Start, m.HostID - r.Start})
			}
			end, takenEnd := uint64(r.Start)+uint64(r.Size), uint64(m.HostID)+uint64(m.Size)
			if end > takenEnd {
				left = append(left, Range{uint32(takenEnd), uint32(end - takenEnd)})
			}
		}
		rest = left
	}
	return rest
}
