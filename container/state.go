// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/cgroupdelegate"
	"mycr/coldjson"
	"mycr/linux"
	"mycr/netns"
	"mycr/userns"
)

// recordVersion is that of state.json. A record of another version can only be
// deleted with force.
const recordVersion = 1

// The files in a container's state directory.
const (
	recordName = "state.json"
	specName   = "config.json" // the bundle's, as it was read at create
	execName   = "exec"        // what exec needs of it, in the form of orders
	gateName   = "gate"        // the socket at which a created container waits for start
)

// Record is a container's truth on disk.
type Record struct {
	Version     int                  `json:"version"`
	ID          string               `json:"id"`
	Created     string               `json:"created"` // RFC 3339 with nanoseconds, UTC
	Creating    bool                 `json:"creating,omitempty"`
	PID         int                  `json:"pid"`
	StartTime   uint64               `json:"startTime"` // field 22 of /proc/PID/stat, in clock ticks after boot
	BootID      string               `json:"bootID"`
	OCIVersion  string               `json:"ociVersion"`
	Bundle      string               `json:"bundle"`
	Rootfs      string               `json:"rootfs"`
	Annotations map[string]string    `json:"annotations,omitempty"`
	Namespaces  map[string]uint64    `json:"namespaces,omitempty"` // inodes, by the words of /proc/PID/ns
	Made        map[string]uint64    `json:"made,omitempty"`       // those of them that were created for this container
	Cgroup      cgroupdelegate.Group `json:"cgroup"`
	Network     *netns.Record        `json:"network,omitempty"`
	Notes       []string             `json:"notes,omitempty"`
	Poststart   bool                 `json:"poststart,omitempty"` // hooks that start or delete run
	Poststop    bool                 `json:"poststop,omitempty"`
	SharedPID   bool                 `json:"sharedPID,omitempty"` // init's death does not end the others
	Reaper      bool                 `json:"reaper,omitempty"`    // init hands signals on to the process, and waits
	// MountNamespaceID tells survivors of a dead init where nothing else does; see survivors.go.
	MountNamespaceID uint64 `json:"mountNamespaceID,omitempty"`
}

// State is what `state` and `list` print: specs.State with what runc adds.
type State struct {
	OCIVersion  string               `json:"ociVersion"`
	ID          string               `json:"id"`
	PID         int                  `json:"pid"` // 0 when stopped
	Status      specs.ContainerState `json:"status"`
	Bundle      string               `json:"bundle"`
	Rootfs      string               `json:"rootfs"`
	Created     string               `json:"created"`
	Annotations map[string]string    `json:"annotations,omitempty"`
	Owner       string               `json:"owner"`
	Cgroup      string               `json:"cgroup"` // none, or who made it and its path
	Network     *NetworkState        `json:"network,omitempty"`
	Notes       []string             `json:"notes,omitempty"`
}

// Container is one container that the state directory knows.
type Container struct {
	root   *Root
	dir    *dir
	record Record
	text   []byte // of the record, as it was read or written last

	forExec   *execBase // see base
	destroyed bool
	warnings  []string // poststop hooks that failed
}

// Load reads the state of a container. ErrNotExist is wrapped where there is none.
func (r *Root) Load(id string) (*Container, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	d, err := r.openDir(id)
	if err != nil {
		return nil, err
	}
	c := &Container{root: r, dir: d, record: Record{ID: id}}
	err = c.readRecord()
	if errors.Is(err, unix.ENOENT) { // somebody has made the directory just now, or is removing it
		if err = d.lock(); err == nil {
			err = c.readRecord()
			d.unlock()
		}
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return c, nil
}

// loadLocked is Load under the container's lock.
func (r *Root) loadLocked(id string) (*Container, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	d, err := r.openDir(id)
	if err != nil {
		return nil, err
	}
	c := &Container{root: r, dir: d, record: Record{ID: id}}
	if err = d.lock(); err == nil {
		err = c.readRecord()
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return c, nil
}

func (c *Container) readRecord() error {
	b, err := c.dir.read(recordName)
	if err != nil {
		return err
	}
	if c.text != nil && bytes.Equal(b, c.text) {
		return nil
	}
	var record Record
	if err := coldjson.Unmarshal(b, &record); err != nil {
		return fmt.Errorf("%s/%s: %w", c.dir.path, recordName, err)
	}
	if record.Version != recordVersion {
		return fmt.Errorf("%s/%s has version %d, this mycr knows %d", c.dir.path, recordName, record.Version, recordVersion)
	}
	if record.ID != c.record.ID {
		return fmt.Errorf("%s/%s is the state of container %q", c.dir.path, recordName, record.ID)
	}
	c.record, c.text = record, b
	return nil
}

func (c *Container) writeRecord() error {
	b, err := coldjson.MarshalIndent(&c.record, "  ")
	if err != nil {
		return err
	}
	if err := c.dir.write(recordName, b); err != nil {
		return err
	}
	c.text = b
	return nil
}

// Close gives back the container's descriptor and lock.
func (c *Container) Close() { c.dir.close() }

// ID returns the container's id.
func (c *Container) ID() string { return c.record.ID }

// Bundle returns the absolute path of the container's bundle.
func (c *Container) Bundle() string { return c.record.Bundle }

// Notes returns what was not as asked, one line each.
func (c *Container) Notes() []string { return c.record.Notes }

// Status derives the container's status from the record and the kernel.
func (c *Container) Status() specs.ContainerState {
	if c.record.Creating {
		if c.dir.locked() {
			return specs.StateCreating
		}
		return specs.StateStopped // its maker died
	}
	if !c.record.alive() {
		return specs.StateStopped
	}
	if c.frozen() {
		return StatePaused
	}
	if c.dir.has(gateName) {
		return specs.StateCreated
	}
	return specs.StateRunning
}

// State returns what `state` prints.
func (c *Container) State() State {
	s := c.record.state(c.Status())
	if n := c.record.Network; n != nil && n.Egress && s.Network.PID != 0 {
		s.Network.Refused = c.refusedUntilNow()
	}
	s.Owner = ownerName()
	return s
}

func (r *Record) state(status specs.ContainerState) State {
	s := State{
		OCIVersion: r.OCIVersion, ID: r.ID, PID: r.PID, Status: status, Bundle: r.Bundle, Rootfs: r.Rootfs,
		Created: r.Created, Annotations: r.Annotations, Cgroup: r.Cgroup.String(), Notes: r.Notes,
	}
	if status == specs.StateStopped {
		s.PID = 0
	}
	s.Network = r.network()
	return s
}

// hookState is what a hook reads on its standard input: specs.State only.
func (r *Record) hookState(status specs.ContainerState) ([]byte, error) {
	s := specs.State{Version: r.OCIVersion, ID: r.ID, Status: status, Pid: r.PID, Bundle: r.Bundle, Annotations: r.Annotations}
	return coldjson.Marshal(s)
}

// alive tells whether the recorded process still is that process: of this
// boot, with this start time, and not a zombie.
func (r *Record) alive() bool {
	if r.PID <= 0 || r.BootID != bootID() {
		return false
	}
	return linux.Alive(r.PID, r.StartTime)
}

// open returns a pidfd of the container's init, or ErrNotRunning. The start
// time is checked after the descriptor pins the process, so that a pid that
// was used again is never taken for it.
func (r *Record) open() (int, error) {
	if r.PID <= 0 {
		return -1, ErrNotRunning
	}
	pidfd, err := unix.PidfdOpen(r.PID, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return -1, ErrNotRunning
	}
	if err != nil {
		return -1, fmt.Errorf("open process %d: %w", r.PID, err)
	}
	if !r.alive() {
		unix.Close(pidfd)
		return -1, ErrNotRunning
	}
	return pidfd, nil
}

// ErrNotRunning has runc's text, which engines look for.
var ErrNotRunning = errors.New("container not running")

// bootID changes at every boot; start times count from it.
func bootID() string {
	b, err := linux.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b))
}

// namespaceInodes returns the namespaces of a process, by the words of /proc/PID/ns.
func namespaceInodes(pid int) map[string]uint64 {
	m := make(map[string]uint64, 8)
	for _, k := range userns.Kinds() {
		if inode := namespaceInode(pid, userns.Name(k)); inode != 0 {
			m[userns.Name(k)] = inode
		}
	}
	return m
}

// namespaceInode is 0 for a kind that this kernel does not have, and for a
// process that is gone.
func namespaceInode(pid int, name string) uint64 {
	var st unix.Stat_t
	if unix.Stat(fmt.Sprintf("/proc/%d/ns/%s", pid, name), &st) != nil {
		return 0
	}
	return st.Ino
}

func now() string { return time.Now().UTC().Format(time.RFC3339Nano) }

// ownerName is the user's name, or the uid where /etc/passwd has none.
func ownerName() string {
	uid := strconv.Itoa(os.Geteuid())
	b, err := linux.ReadFile("/etc/passwd")
	if err != nil {
		return uid
	}
	for line := range bytes.SplitSeq(b, []byte{'\n'}) {
		f := bytes.SplitN(line, []byte{':'}, 4)
		if len(f) == 4 && string(f[2]) == uid {
			return string(f[0])
		}
	}
	return uid
}

// List returns the states of all containers, in the order of their ids, and an
// error for each whose state cannot be read.
func (r *Root) List() ([]State, []error) {
	names, err := readNames(r.fd)
	if err != nil {
		return nil, []error{fmt.Errorf("read %s: %w", r.path, err)}
	}
	var states []State
	var errs []error
	slices.Sort(names)
	for _, id := range names {
		if CheckID(id) != nil {
			continue
		}
		c, err := r.Load(id)
		if errors.Is(err, ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", id, err))
			continue
		}
		states = append(states, c.State())
		c.Close()
	}
	return states, errs
}
