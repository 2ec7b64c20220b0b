// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// idmap decides the mapping of an id-mapped mount.
func (r *resolver) idmap(m *Mount, o *options, spec *specs.Mount) error {
	fields := len(spec.UIDMappings) != 0 || len(spec.GIDMappings) != 0
	if !o.idmap && !fields {
		return nil
	}
	if m.Kind != KindBind {
		return errors.New("only a bind mount can be id-mapped")
	}
	if fields && o.idmapText != "" {
		return errors.New("options: idmap= and uidMappings name two mappings")
	}
	want := IDMap{}
	switch {
	case fields:
		if len(spec.UIDMappings) == 0 || len(spec.GIDMappings) == 0 {
			return errors.New("uidMappings and gidMappings must be given together")
		}
		want.UIDs, want.GIDs = specMaps(spec.UIDMappings), specMaps(spec.GIDMappings)
	case o.idmapText != "":
		if err := r.parseIDMap(o.idmapText, &want); err != nil {
			return fmt.Errorf("options: idmap=%s: %w", o.idmapText, err)
		}
	case !r.facts.NewUserNamespace:
		return errors.New("options: idmap names no mapping, and the container has no user namespace of its own whose mapping it could mean")
	default:
		want.UIDs, want.GIDs = r.facts.MappedUIDs, r.facts.MappedGIDs
	}
	if !r.facts.Privileged {
		return refuse("drop the idmap option, or let the engine run as root",
			"an id-mapped mount takes CAP_SYS_ADMIN over the file system, which only real root has (mount_setattr(2))")
	}
	want.Container = r.facts.NewUserNamespace && slices.Equal(want.UIDs, r.facts.MappedUIDs) && slices.Equal(want.GIDs, r.facts.MappedGIDs)
	m.IDMapRecursive, m.FromParent = o.idmapRecursive, true
	for i, have := range r.plan.IDMaps {
		if slices.Equal(have.UIDs, want.UIDs) && slices.Equal(have.GIDs, want.GIDs) {
			m.IDMap = i + 1
			return nil
		}
	}
	r.plan.IDMaps = append(r.plan.IDMaps, want)
	m.IDMap = len(r.plan.IDMaps)
	return nil
}

func specMaps(list []specs.LinuxIDMapping) []Map {
	maps := make([]Map, len(list))
	for i, m := range list {
		maps[i] = Map{m.ContainerID, m.HostID, m.Size}
	}
	return maps
}

// parseIDMap reads crun's form: uids=CONTAINER-HOST-SIZE#…;gids=…, where @ before a mapping
// says that HOST is an id of the container (crun(1), "idmap mount options").
func (r *resolver) parseIDMap(text string, to *IDMap) error {
	for _, part := range strings.Split(text, ";") {
		key, list, _ := strings.Cut(part, "=")
		var maps *[]Map
		within := r.facts.MappedUIDs
		switch key {
		case "uids":
			maps = &to.UIDs
		case "gids":
			maps, within = &to.GIDs, r.facts.MappedGIDs
		default:
			return fmt.Errorf("%q is neither uids nor gids", key)
		}
		for _, one := range strings.Split(list, "#") {
			one, relative := strings.CutPrefix(one, "@")
			m, err := parseMap(one)
			if err != nil {
				return err
			}
			if relative {
				if m.HostID, err = toHost(within, m); err != nil {
					return err
				}
			}
			*maps = append(*maps, m)
		}
	}
	if len(to.UIDs) == 0 || len(to.GIDs) == 0 {
		return errors.New("uids and gids must be given together")
	}
	return nil
}

func parseMap(text string) (Map, error) {
	fields := strings.Split(text, "-")
	if len(fields) != 3 {
		return Map{}, fmt.Errorf("%q is not CONTAINER-HOST-SIZE", text)
	}
	var n [3]uint32
	for i, f := range fields {
		v, err := strconv.ParseUint(f, 10, 32)
		if err != nil {
			return Map{}, fmt.Errorf("%q is not a number below 2^32", f)
		}
		n[i] = uint32(v)
	}
	if n[2] == 0 {
		return Map{}, fmt.Errorf("%q has size 0", text)
	}
	return Map{n[0], n[1], n[2]}, nil
}

// toHost turns a range of the container's ids into the caller's.
func toHost(maps []Map, want Map) (uint32, error) {
	for _, m := range maps {
		if want.HostID >= m.ContainerID && uint64(want.HostID)+uint64(want.Size) <= uint64(m.ContainerID)+uint64(m.Size) {
			return m.HostID + want.HostID - m.ContainerID, nil
		}
	}
	return 0, fmt.Errorf("@%d-%d-%d is not within one mapping of the container", want.ContainerID, want.HostID, want.Size)
}
