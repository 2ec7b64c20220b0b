// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mycr/linux"
)

// Host is what the ladder of Resolve needs to know about where mycr runs.
type Host struct {
	// Layout of MountPoint: Unified, or Legacy (cgroup v1 and hybrid), or Absent.
	Layout string
	// Root: euid 0 in the initial user namespace.
	Root bool
	// Own is the caller's cgroup, as /proc/self/cgroup has it.
	Own string
	// Delegated is the cgroup that is delegated to the caller and has it, "" for none, with its
	// controllers; see rung 1 of the ladder.
	Delegated            string
	DelegatedControllers []string
	// Foreign are processes in Delegated that mycr may not move.
	Foreign []int

	// Manager is the systemd that is to be asked; where there is none, NoManager says why, and
	// what to type.
	Manager   manager
	NoManager *Refusal
	// ManagerCgroup is the manager's own cgroup where it can be known, with its controllers.
	ManagerCgroup      string
	ManagerControllers []string

	// For a path of cgroupfs: the deepest cgroup of it that exists, what it has, and whether
	// the caller can make one in it.
	Nearest            string
	NearestControllers []string
	NearestWritable    bool
}

// The layouts of a Host.
const (
	Unified = "unified"
	Legacy  = "legacy"
	Absent  = "absent"
)

// supervisor is the cgroup in a delegated one for mycr and the processes that
// were there before, since one with controllers for its children has no
// processes of its own (the no internal process constraint of cgroups(7)).
const supervisor = "supervisor"

// layout asks what MountPoint is. Legacy and Absent are told apart only where it matters.
func layout(matters bool) string {
	var fs unix.Statfs_t
	if unix.Statfs(MountPoint, &fs) != nil {
		return Absent
	}
	switch fs.Type {
	case unix.CGROUP2_SUPER_MAGIC:
		return Unified
	case unix.TMPFS_MAGIC: // in which v1's hierarchies are mounted
		if !matters {
			return Legacy
		}
		if entries, err := os.ReadDir(MountPoint); err == nil && len(entries) > 0 {
			return Legacy
		}
	case unix.CGROUP_SUPER_MAGIC:
		return Legacy
	}
	return Absent
}

// gatherHost looks at as much as a ladder for this request needs.
func gatherHost(r *request, root bool) (h Host, err error) {
	h.Root = root
	if r.manager == Disabled || r.manager == None {
		return h, nil
	}
	if h.Layout = layout(r.asks() != "" || r.manager != ""); h.Layout != Unified {
		return h, nil
	}
	if h.Own, err = OfProcess("self"); err != nil {
		return h, err
	}
	if r.tries(Delegated) {
		if err := h.gatherDelegated(); err != nil {
			return h, err
		}
	}
	if r.tries(Systemd) && h.Manager.Addresses == nil && h.NoManager == nil && (h.Delegated == "" || len(h.Foreign) > 0 || r.manager == Systemd || r.missing(h.DelegatedControllers) != "") {
		h.gatherManager()
	}
	if r.tries(Cgroupfs) {
		h.gatherNearest(r.cgroupfsPath())
	}
	return h, nil
}

// OfProcess returns the cgroup of a process ("self" or a pid) in cgroup2's
// hierarchy, as our cgroup namespace shows it.
func OfProcess(pid string) (string, error) {
	name := "/proc/" + pid + "/cgroup"
	b, err := linux.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	for line := range bytes.SplitSeq(b, []byte{'\n'}) {
		if own, ok := bytes.CutPrefix(line, []byte("0::")); ok {
			return strings.TrimSuffix(string(own), " (deleted)"), nil
		}
	}
	return "", fmt.Errorf("%s has no line of cgroup2", name)
}

// gatherDelegated finds out whether our cgroup is delegated to us: being
// writable is not being delegated.
func (h *Host) gatherDelegated() error {
	if strings.HasPrefix(h.Own, "/..") {
		return nil // above the root of our cgroup namespace
	}
	candidate := h.Own
	if path.Base(candidate) == supervisor {
		candidate = path.Dir(candidate)
	}
	dir := path.Join(MountPoint, candidate)
	for _, file := range []string{dir, dir + "/cgroup.procs", dir + "/cgroup.subtree_control"} {
		if unix.Faccessat(unix.AT_FDCWD, file, unix.W_OK, unix.AT_EACCESS) != nil {
			return nil
		}
	}
	if !h.marked(candidate) {
		return nil
	}
	c, err := Open(candidate)
	if errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer c.Close()
	h.Delegated = candidate
	if h.DelegatedControllers, err = c.controllers(); err != nil {
		return err
	}
	_, h.Foreign, err = residents(c)
	return err
}

// marked tells whether a cgroup has the mark of what is delegated, which the
// system's manager and mycr leave on it (user.delegate). A user's manager leaves
// none, and has to be asked about its units; one that does not answer will not
// make a scope either, and the error is told there.
func (h *Host) marked(name string) bool {
	mark := make([]byte, 8)
	n, err := unix.Getxattr(path.Join(MountPoint, name), "user.delegate", mark)
	if err == nil {
		return string(mark[:n]) == "1"
	}
	unit := path.Base(name)
	if h.Root || !strings.HasSuffix(unit, ".scope") && !strings.HasSuffix(unit, ".service") {
		return false
	}
	h.gatherManager()
	if h.NoManager != nil || !strings.HasPrefix(name, h.ManagerCgroup+"/") {
		return false
	}
	delegated, err := h.Manager.delegates(unit)
	return err == nil && delegated
}

// controllers are those that the cgroup can give to its children.
func (c *Cgroup) controllers() ([]string, error) {
	text, err := c.Read("cgroup.controllers")
	return strings.Fields(text), err
}

// procs are the processes in the cgroup itself; 0 is one that our pid namespace
// does not have.
func (c *Cgroup) procs() ([]int, error) {
	text, err := c.Read("cgroup.procs")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, word := range strings.Fields(text) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			return nil, fmt.Errorf("cgroup.procs of cgroup %s: %q is no pid", c.Path, word)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// residents sorts the processes in a delegated cgroup into those that mycr
// moves aside (itself, other mycrs, and its ancestors) and foreign ones.
func residents(c *Cgroup) (ours, foreign []int, err error) {
	pids, err := c.procs()
	if err != nil || len(pids) == 0 {
		return nil, nil, err
	}
	own := []int{os.Getpid()}
	for pid := os.Getppid(); pid > 0 && len(own) < 1000; pid = parentOf(pid) {
		own = append(own, pid)
	}
	for _, pid := range pids {
		if slices.Contains(own, pid) || pid > 0 && runsUs(pid) {
			ours = append(ours, pid)
		} else {
			foreign = append(foreign, pid)
		}
	}
	return ours, foreign, nil
}

// parentOf returns a process's parent, 0 where it cannot be known.
func parentOf(pid int) int {
	b, err := linux.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(string(fields[1]))
	return parent
}

// runsUs tells whether a process is another mycr.
func runsUs(pid int) bool {
	var ours, theirs unix.Stat_t
	return unix.Stat("/proc/self/exe", &ours) == nil && unix.Stat("/proc/"+strconv.Itoa(pid)+"/exe", &theirs) == nil &&
		ours.Dev == theirs.Dev && ours.Ino == theirs.Ino
}

// gatherManager finds the systemd to ask.
func (h *Host) gatherManager() {
	facts, err := gatherBus()
	if err == nil {
		h.Manager, err = findManager(facts)
	}
	if err != nil {
		if !errors.As(err, &h.NoManager) {
			h.NoManager = &Refusal{Cause: err.Error()}
		}
		return
	}
	if h.ManagerCgroup = managerCgroup(h.Own, &h.Manager); h.ManagerCgroup == "" {
		return
	}
	if b, err := linux.ReadFile(path.Join(MountPoint, h.ManagerCgroup, "cgroup.controllers")); err == nil {
		h.ManagerControllers = strings.Fields(string(b))
	} else {
		h.ManagerCgroup = ""
	}
}

// managerCgroup is where the manager's units are: the root, or user@UID.service,
// which is in our own path, or else where logind puts it (user-UID.slice).
func managerCgroup(own string, m *manager) string {
	if m.System {
		return "/"
	}
	service := fmt.Sprintf("user@%d.service", m.UID)
	if before, _, found := strings.Cut(own+"/", "/"+service+"/"); found {
		return before + "/" + service
	}
	return fmt.Sprintf("/user.slice/user-%d.slice/%s", m.UID, service)
}

// gatherNearest looks at the cgroups that are there of a path.
func (h *Host) gatherNearest(name string) {
	for name = path.Clean("/" + name); ; name = path.Dir(name) {
		c, err := Open(name)
		if err != nil && name != "/" {
			continue
		}
		if err != nil {
			return
		}
		defer c.Close()
		h.Nearest = name
		h.NearestControllers, _ = c.controllers()
		h.NearestWritable = unix.Faccessat(c.fd, ".", unix.W_OK, unix.AT_EACCESS) == nil &&
			unix.Faccessat(c.fd, "cgroup.procs", unix.W_OK, unix.AT_EACCESS) == nil
		return
	}
}
