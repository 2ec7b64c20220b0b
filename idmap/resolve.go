// SPDX-License-Identifier: Apache-2.0

package idmap

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Plan is the decision about a container's ids.
type Plan struct {
	// NewNamespace: a user namespace is made, and Write gives it the maps.
	// Else it is joined or shared, and the maps are only what is known of it.
	NewNamespace bool
	// UIDs and GIDs map ids inside to ids as mycr sees them. Without a new namespace: the identity
	// over what is mapped here, or what the bundle says of the namespace that it joins (maybe nothing).
	UIDs, GIDs []Map
	// Newuidmap and Newgidmap are the helpers to run, "" where the file is written directly.
	Newuidmap, Newgidmap string
	// Direct: no helper is run at all.
	Direct bool
	// DenySetgroups: setgroups(2) fails in the namespace.
	DenySetgroups bool
	// SetupUID and SetupGID are the ids, inside, that can set the container up:
	// 0 where it is mapped, else those of process.user.
	SetupUID, SetupGID uint32
	// Notes are sentences for the user, one line each.
	Notes []string
}

// Resolve decides the ids of a container.
//
// An ordinary user always gets a new user namespace, unless the bundle joins one: with the bundle's
// mappings, or, where it has none, 0 for the own id and all subordinate ids from 1 on, or, where that
// cannot be had, one single id, which a note says. For uid 0 it is as the bundle says.
func Resolve(l *specs.Linux, user specs.User, f Facts) (Plan, error) {
	if l == nil {
		l = &specs.Linux{}
	}
	if user.UID == idEnd || user.GID == idEnd {
		return Plan{}, &Refusal{Cause: fmt.Sprintf("process.user: uid %d, gid %d: %d is no id", user.UID, user.GID, uint32(idEnd))}
	}
	ns := userNamespace(l)
	var p Plan
	var err error
	switch {
	case ns != nil && ns.Path != "":
		p, err = joined(l)
	case ns == nil && f.UID == 0:
		p, err = shared(l, f)
	case len(l.UIDMappings) > 0 || len(l.GIDMappings) > 0:
		p, err = fromBundle(l, f)
	default:
		p, err = automatic(user, f)
	}
	if err != nil {
		return Plan{}, err
	}
	if p.NewNamespace {
		if err := p.fit(f); err != nil {
			return Plan{}, err
		}
	}
	p.Direct = p.Newuidmap == "" && p.Newgidmap == ""
	p.SetupUID, p.SetupGID = setupID(p.UIDs, user.UID), setupID(p.GIDs, user.GID)
	return p, p.check(user, f)
}

func userNamespace(l *specs.Linux) *specs.LinuxNamespace {
	for i := range l.Namespaces {
		if l.Namespaces[i].Type == specs.UserNamespace {
			return &l.Namespaces[i]
		}
	}
	return nil
}

func setupID(maps []Map, asked uint32) uint32 {
	if _, ok := ToHost(maps, 0); ok || len(maps) == 0 {
		return 0
	}
	return asked
}

// joined is a user namespace that exists. containerd names one and tells its mappings as well;
// whether they are right can be seen only from inside it.
func joined(l *specs.Linux) (Plan, error) {
	uids, err := bundleMaps("linux.uidMappings", l.UIDMappings)
	if err != nil {
		return Plan{}, err
	}
	gids, err := bundleMaps("linux.gidMappings", l.GIDMappings)
	return Plan{UIDs: uids, GIDs: gids}, err
}

// shared is uid 0 whose bundle has no user namespace.
func shared(l *specs.Linux, f Facts) (Plan, error) {
	if len(l.UIDMappings) > 0 || len(l.GIDMappings) > 0 {
		return Plan{}, &Refusal{Cause: "linux.uidMappings, linux.gidMappings: given, but linux.namespaces has no entry of type user"}
	}
	return Plan{UIDs: identity(f.OuterUIDs), GIDs: identity(f.OuterGIDs), DenySetgroups: f.SetgroupsDenied}, nil
}

// identity maps each id that the outer map has to itself.
func identity(outer []Map) []Map {
	maps := make([]Map, len(outer))
	for i, m := range outer {
		maps[i] = Map{m.ContainerID, m.ContainerID, m.Size}
	}
	return maps
}

// fromBundle takes the bundle's mappings as they are.
func fromBundle(l *specs.Linux, f Facts) (Plan, error) {
	p := Plan{NewNamespace: true, DenySetgroups: f.SetgroupsDenied}
	var err error
	if p.UIDs, err = bundleMaps("linux.uidMappings", l.UIDMappings); err != nil {
		return p, err
	}
	if p.GIDs, err = bundleMaps("linux.gidMappings", l.GIDMappings); err != nil {
		return p, err
	}
	if len(p.UIDs) == 0 {
		return p, &Refusal{Cause: "linux.uidMappings: none, but linux.gidMappings has some"}
	}
	if len(p.GIDs) == 0 {
		return p, &Refusal{Cause: "linux.gidMappings: none, but linux.uidMappings has some"}
	}
	if f.Privileged {
		return p, nil
	}
	// The own id alone needs no helper and no subordinate id (user_namespaces(7)),
	// and for the group setgroups has to be given up.
	if !single(p.UIDs, f.UID) {
		if p.Newuidmap, err = permitted(kindUID(f), p.UIDs, f); err != nil {
			return p, err
		}
	}
	if single(p.GIDs, f.GID) {
		p.DenySetgroups = true
	} else if p.Newgidmap, err = permitted(kindGID(f), p.GIDs, f); err != nil {
		return p, err
	}
	return p, nil
}

func single(maps []Map, own uint32) bool {
	return len(maps) == 1 && maps[0].HostID == own && maps[0].Size == 1
}

// bundleMaps checks what the kernel would answer with a bare EINVAL.
func bundleMaps(path string, list []specs.LinuxIDMapping) ([]Map, error) {
	maps := make([]Map, 0, len(list))
	for i, m := range list {
		switch {
		case m.Size == 0:
			return nil, &Refusal{Cause: fmt.Sprintf("%s[%d].size: 0", path, i)}
		case uint64(m.ContainerID)+uint64(m.Size) > idEnd:
			return nil, &Refusal{Cause: fmt.Sprintf("%s[%d]: containerID %d and size %d go beyond id %d", path, i, m.ContainerID, m.Size, uint32(idEnd-1))}
		case uint64(m.HostID)+uint64(m.Size) > idEnd:
			return nil, &Refusal{Cause: fmt.Sprintf("%s[%d]: hostID %d and size %d go beyond id %d", path, i, m.HostID, m.Size, uint32(idEnd-1))}
		}
		for j, o := range maps {
			if overlap(Range{o.ContainerID, o.Size}, Range{m.ContainerID, m.Size}) {
				return nil, &Refusal{Cause: fmt.Sprintf("%s[%d]: containerID %d with size %d overlaps entry %d", path, i, m.ContainerID, m.Size, j)}
			}
			if overlap(Range{o.HostID, o.Size}, Range{m.HostID, m.Size}) {
				return nil, &Refusal{Cause: fmt.Sprintf("%s[%d]: hostID %d with size %d overlaps entry %d", path, i, m.HostID, m.Size, j)}
			}
		}
		if i >= maxLines {
			return nil, &Refusal{Cause: fmt.Sprintf("%s: %d entries, the kernel takes %d", path, len(list), maxLines)}
		}
		maps = append(maps, Map{m.ContainerID, m.HostID, m.Size})
	}
	return maps, nil
}

func overlap(a, b Range) bool {
	return uint64(a.Start) < uint64(b.Start)+uint64(b.Size) && uint64(b.Start) < uint64(a.Start)+uint64(a.Size)
}

// maxLines is the kernel's UID_GID_MAP_MAX_EXTENTS, since Linux 4.15.
const maxLines = 340

// fit cuts the maps where the surrounding user namespace has its own borders (the kernel wants each
// line within one line of the outer map), and refuses what that one does not have.
func (p *Plan) fit(f Facts) error {
	var err error
	if p.UIDs, err = within("uid", p.UIDs, f.OuterUIDs, f); err != nil {
		return err
	}
	p.GIDs, err = within("gid", p.GIDs, f.OuterGIDs, f)
	return err
}

func within(kind string, maps, outer []Map, f Facts) ([]Map, error) {
	var cut []Map
	for _, m := range maps {
		parts, rest := clip(m, outer)
		if rest != 0 {
			return nil, &Refusal{
				Cause: fmt.Sprintf("linux.%sMappings: host ids %s are not all mapped in the user namespace that mycr itself runs in (/proc/self/%s_map)",
					kind, Range{m.HostID, m.Size}, kind),
				Remedy: "map ids that are there: cat /proc/self/" + kind + "_map",
			}
		}
		cut = append(cut, parts...)
	}
	size := f.PageSize
	if size == 0 {
		size = 4096
	}
	if len(cut) > maxLines || len(text(cut)) >= size {
		return nil, &Refusal{Cause: fmt.Sprintf("linux.%sMappings: %d lines of %d bytes, the kernel takes %d lines and less than %d bytes",
			kind, len(cut), len(text(cut)), maxLines, size)}
	}
	return cut, nil
}

// clip is the parts of a map that the outer map has, in the order of ids, and how many ids are missing.
func clip(m Map, outer []Map) (parts []Map, missing uint32) {
	start, end := uint64(m.HostID), uint64(m.HostID)+uint64(m.Size)
	for start < end {
		var o Map // the line that has start, else the next one above
		for _, c := range outer {
			if uint64(c.ContainerID)+uint64(c.Size) > start && (o.Size == 0 || c.ContainerID < o.ContainerID) {
				o = c
			}
		}
		if o.Size == 0 || uint64(o.ContainerID) >= end {
			missing += uint32(end - start)
			break
		}
		if from := uint64(o.ContainerID); from > start {
			missing += uint32(from - start)
			start = from
		}
		stop := min(end, uint64(o.ContainerID)+uint64(o.Size))
		parts = append(parts, Map{
			ContainerID: m.ContainerID + uint32(start-uint64(m.HostID)),
			HostID:      uint32(start),
			Size:        uint32(stop - start),
		})
		start = stop
	}
	return parts, missing
}

// String is the range as /etc/subuid's readers write it: first-last.
func (r Range) String() string {
	if r.Size == 1 {
		return fmt.Sprint(r.Start)
	}
	return fmt.Sprintf("%d-%d", r.Start, uint64(r.Start)+uint64(r.Size)-1)
}

// check looks whether the ids of the process exist in the container.
func (p Plan) check(user specs.User, f Facts) error {
	if len(p.UIDs) > 0 {
		if _, ok := ToHost(p.UIDs, user.UID); !ok {
			return p.unmapped("process.user.uid", user.UID, p.UIDs, f)
		}
	}
	if len(p.GIDs) == 0 {
		return nil
	}
	if _, ok := ToHost(p.GIDs, user.GID); !ok {
		return p.unmapped("process.user.gid", user.GID, p.GIDs, f)
	}
	for i, g := range user.AdditionalGids {
		path := fmt.Sprintf("process.user.additionalGids[%d]", i)
		if _, ok := ToHost(p.GIDs, g); !ok {
			return p.unmapped(path, g, p.GIDs, f)
		}
		// The own group needs no setgroups: the process has it anyway.
		if p.DenySetgroups && g != user.GID {
			return &Refusal{
				Cause:  fmt.Sprintf("%s: %d cannot be set: setgroups is denied in this user namespace", path, g),
				Remedy: remedy(f),
			}
		}
	}
	return nil
}

func (p Plan) unmapped(path string, id uint32, maps []Map, f Facts) error {
	ranges := ""
	for i, m := range maps {
		if i == 8 {
			ranges += ", …"
			break
		}
		if i > 0 {
			ranges += ", "
		}
		ranges += Range{m.ContainerID, m.Size}.String()
	}
	r := &Refusal{Cause: fmt.Sprintf("%s: %d is not mapped in the container; mapped: %s", path, id, ranges)}
	if p.NewNamespace && len(p.Notes) > 0 {
		r.Remedy = remedy(f)
	}
	return r
}
