// SPDX-License-Identifier: Apache-2.0

package idmap

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Write gives the maps to the user namespace of a process: a child of ours that is not reaped yet
// (so that its pid cannot become another's), waits, and is dumpable: else its files in /proc are root's.
// newuidmap and newgidmap run at the same time. Does nothing where the plan has no new namespace.
func (p Plan) Write(pid int) error {
	if !p.NewNamespace {
		return nil
	}
	id := strconv.Itoa(pid)
	var uids, gids tool
	var err error
	if p.Newuidmap != "" {
		if uids, err = start(p.Newuidmap, command("newuidmap", id, p.UIDs)); err != nil {
			return err
		}
	}
	if p.Newgidmap != "" {
		if gids, err = start(p.Newgidmap, command("newgidmap", id, p.GIDs)); err != nil {
			if uids.pid != 0 {
				uids.wait()
			}
			return err
		}
	}
	err = p.writeDirect("/proc/" + id)
	// Both are waited for whatever happened: no process is left behind.
	if uids.pid != 0 {
		if _, _, e := uids.wait(); err == nil {
			err = e
		}
	}
	if gids.pid != 0 {
		if _, _, e := gids.wait(); err == nil {
			err = e
		}
	}
	return err
}

// writeDirect writes those files that need no helper.
func (p Plan) writeDirect(proc string) error {
	if p.Newuidmap == "" {
		if err := writeOnce(proc+"/uid_map", text(p.UIDs)); err != nil {
			return p.explain(err)
		}
	}
	if p.Newgidmap != "" {
		return nil
	}
	if p.DenySetgroups {
		// Without privileges gid_map is closed until this is written (CVE-2014-8989).
		if err := writeOnce(proc+"/setgroups", []byte("deny")); err != nil {
			return err
		}
	}
	return writeOnce(proc+"/gid_map", text(p.GIDs))
}

// explain names the one rule that a bare EPERM hides and that Resolve leaves to the kernel, whose version decides:
// since Linux 5.12 (db2e718a4798) the user id 0 is given away only with CAP_SETFCAP.
func (p Plan) explain(err error) error {
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	for _, m := range p.UIDs {
		if m.HostID == 0 {
			return &Refusal{
				Cause:  fmt.Sprintf("%v: a map of host uid 0 needs CAP_SETUID and CAP_SETFCAP", err),
				Remedy: "start mycr with CAP_SETFCAP, or map other host ids in linux.uidMappings",
				Err:    err,
			}
		}
	}
	return err
}

// writeOnce writes with a single write(2): the kernel takes a map once, and whole.
func writeOnce(path string, b []byte) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	for {
		_, err = unix.Write(fd, b)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("write %q to %s: %w", b, path, err)
	}
	return nil
}

// command is the argument vector of newuidmap(1).
func command(name, pid string, maps []Map) []string {
	argv := make([]string, 0, 2+3*len(maps))
	argv = append(argv, name, pid)
	for _, m := range maps {
		argv = append(argv,
			strconv.FormatUint(uint64(m.ContainerID), 10),
			strconv.FormatUint(uint64(m.HostID), 10),
			strconv.FormatUint(uint64(m.Size), 10))
	}
	return argv
}
