// SPDX-License-Identifier: Apache-2.0

package container

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mycr/linux"
)

// The kernel gives the inode of a namespace that is gone to the next one that is made, in another container
// perhaps. While init lives it keeps its own; when it has ended in a pid namespace that is not the container's, what
// has the inode is the container's only if something else tells so.

// mountNamespaceID is a mount namespace's number that is never used again, 0 where the kernel (before 6.11) or
// this process may not tell; see NS_GET_MNTNS_ID in ioctl_nsfs(2).
func mountNamespaceID(pid int) uint64 {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	var id uint64
	if linux.Ioctl(fd, unix.NS_GET_MNTNS_ID, &id) != nil {
		return 0
	}
	return id
}

// ours returns those of the processes with the container's inode that are its survivors: all of them, since one that
// certainly is keeps the inode from being used again, or none.
func (c *Container) ours(pids []int) []int {
	r := &c.record
	for _, pid := range pids {
		if r.MountNamespaceID != 0 {
			if mountNamespaceID(pid) == r.MountNamespaceID {
				return pids
			}
		} else if r.sameNamespaces(pid) && !c.root.claimed(r) {
			return pids
		}
	}
	return nil
}

// sameNamespaces tells whether a process is in all namespaces that were made for the container.
func (r *Record) sameNamespaces(pid int) bool {
	for kind, inode := range r.Made {
		if namespaceInode(pid, kind) != inode {
			return false
		}
	}
	return true
}

// claimed tells whether a container that lives has the inode that tells the members of a dead one.
func (root *Root) claimed(dead *Record) bool {
	kind, inode := dead.mark()
	names, err := readNames(root.fd)
	if err != nil {
		return true // nobody is killed on a guess
	}
	for _, id := range names {
		if id == dead.ID || CheckID(id) != nil {
			continue
		}
		other, err := root.Load(id)
		if err != nil {
			continue
		}
		same := other.record.Namespaces[kind] == inode && other.record.alive()
		other.Close()
		if same {
			return true
		}
	}
	return false
}
