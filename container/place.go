// SPDX-License-Identifier: Apache-2.0

package container

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"mycr/idmap"
	"mycr/linux"
	"mycr/userns"
)

// placeFirst tells whether init has to be in its cgroup before it gets its
// ids: where a manager moves it, it moves a process of our own uid only, and
// where a reaping init is to fork, one process only.
func (m *maker) placeFirst() bool {
	if !m.group.Moves() {
		return false
	}
	if m.reaper >= 0 {
		return true
	}
	if m.plan.userns.User == userns.UserShared {
		return false
	}
	host, mapped := idmap.ToHost(m.plan.ids.UIDs, m.plan.ids.SetupUID)
	return !mapped || host != m.plan.facts.ids.UID
}

// settle waits until init is in its cgroup, and gives that to its owner.
func (m *maker) settle() error {
	m.placed = true
	if err := m.group.Settle(m.process.PID); err != nil {
		return m.preferFault(err)
	}
	if m.plan.cgroup.Give && m.group.Group().Path != "" {
		if err := m.giveCgroup(); err != nil {
			return fmt.Errorf("give the cgroup to process.user: %w", err)
		}
	}
	m.c.record.Cgroup = m.group.Group()
	if m.group.Moves() && m.reaper >= 0 {
		return m.tellReaper()
	}
	return nil
}

// place tells init that it is in its cgroup.
func (m *maker) place() error {
	if !m.placed {
		if err := m.settle(); err != nil {
			return err
		}
	}
	if m.plan.orders.Cgroup.Wait {
		if err := say(m.parent, wordPlaced, nil); err != nil {
			return m.preferFault(errSilent)
		}
	}
	return nil
}

// giveCgroup makes process.user the owner of the cgroup, as runtime-spec says.
// Root of any user namespace may do so itself.
func (m *maker) giveCgroup() error {
	user := m.plan.spec.Process.User
	uid, gid := user.UID, user.GID
	if m.plan.userns.User != userns.UserShared {
		var known [2]bool
		uid, known[0] = idmap.ToHost(m.plan.ids.UIDs, uid)
		gid, known[1] = idmap.ToHost(m.plan.ids.GIDs, gid)
		if !known[0] || !known[1] {
			return fmt.Errorf("process.user %d:%d is not mapped", user.UID, user.GID)
		}
	}
	if uid == uint32(os.Geteuid()) && gid == uint32(os.Getegid()) {
		return m.group.Give(func(int, []string) error { return nil })
	}
	return m.group.Give(func(dir int, names []string) error {
		if os.Geteuid() == 0 {
			for _, name := range names {
				if err := unix.Fchownat(dir, name, int(uid), int(gid), 0); err != nil {
					return fmt.Errorf("%s: give to %d:%d: %w", name, uid, gid, err)
				}
			}
			return nil
		}
		return withAllIDs(m.plan.facts.ids, func(p *linux.Program, ids *idmap.Plan) error {
			inUID, knownUID := idmap.ToContainer(ids.UIDs, uid)
			inGID, knownGID := idmap.ToContainer(ids.GIDs, gid)
			if !knownUID || !knownGID {
				return fmt.Errorf("%d:%d are not subordinate ids of the caller", uid, gid)
			}
			for _, name := range names {
				p.Call(fmt.Sprintf("%s: give to %d:%d", name, uid, gid), unix.SYS_FCHOWNAT, dir, name, inUID, inGID, 0)
			}
			return nil
		})
	})
}
