// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// noID is (uid_t)-1, which setresuid(2) takes for "leave it".
const noID = 1<<32 - 1

func resolveIDs(plan *Plan, p *specs.Process, _ *specs.Linux, f Facts) error {
	u := p.User
	if err := checkID("process.user.uid", u.UID, f.UserNamespace, f.UIDs); err != nil {
		return err
	}
	if err := checkID("process.user.gid", u.GID, f.UserNamespace, f.GIDs); err != nil {
		return err
	}
	for i, g := range u.AdditionalGids {
		if err := checkID(fmt.Sprintf("process.user.additionalGids[%d]", i), g, f.UserNamespace, f.GIDs); err != nil {
			return err
		}
	}
	if len(u.AdditionalGids) > 65536 {
		return fmt.Errorf("process.user.additionalGids: %d groups are above the kernel's 65536", len(u.AdditionalGids))
	}
	plan.UID, plan.GID = u.UID, u.GID
	switch {
	case f.KeepGroups && len(u.AdditionalGids) > 0:
		return fmt.Errorf("process.user.additionalGids: %s cannot be added to the caller's groups that are to be kept", gids(u.AdditionalGids))
	case f.SetgroupsDenied && others(u.AdditionalGids, u.GID):
		return fmt.Errorf("process.user.additionalGids: %s cannot be set, since with a single id the kernel denies setgroups(2)", gids(u.AdditionalGids))
	case !f.KeepGroups && !f.SetgroupsDenied:
		plan.SetGroups, plan.Groups = true, u.AdditionalGids
	}
	if u.Umask != nil {
		if *u.Umask > 0o777 {
			return fmt.Errorf("process.user.umask: %d (0%o) is above 511 (0777)", *u.Umask, *u.Umask)
		}
		umask := *u.Umask
		plan.Umask = &umask
	}
	return nil
}

// others tells whether a list has another group than gid, for which alone the
// kernel need not be asked: docker and buildah always list it.
func others(list []uint32, gid uint32) bool {
	for _, g := range list {
		if g != gid {
			return true
		}
	}
	return false
}

func checkID(path string, id uint32, userNamespace bool, mapped []IDRange) error {
	if id == noID {
		return fmt.Errorf("%s: %d is not an id", path, id)
	}
	if !userNamespace || len(mapped) == 0 {
		return nil
	}
	for _, r := range mapped {
		if id >= r.First && id-r.First < r.Size {
			return nil
		}
	}
	return fmt.Errorf("%s: %d is not mapped in the container's user namespace, which has %s", path, id, ranges(mapped))
}

func ranges(mapped []IDRange) string {
	words := make([]string, 0, len(mapped))
	for _, r := range mapped {
		word := strconv.FormatUint(uint64(r.First), 10)
		if r.Size > 1 {
			word += "-" + strconv.FormatUint(uint64(r.First)+uint64(r.Size)-1, 10)
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func gids(list []uint32) string {
	words := make([]string, 0, len(list))
	for _, g := range list {
		words = append(words, strconv.FormatUint(uint64(g), 10))
	}
	return strings.Join(words, ", ")
}
