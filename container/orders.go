// SPDX-License-Identifier: Apache-2.0

package container

import (
	"encoding/binary"
	"errors"
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/linux"
	"mycr/netns"
	"mycr/process"
	"mycr/rootfs"
	"mycr/seccomp"
)

// ordersVersion changes with the meaning of a field.
const ordersVersion = 1

// Orders are all that the container's init needs; it asks nothing, and reads
// no environment variable. They travel in a sealed memfd.
type Orders struct {
	Version int
	ID      string

	// Descriptors, or -1.
	Status   int // the child's end of the status socket
	Gate     int // listening socket at which `start` connects; -1 starts at once
	Console  int // connected socket that gets the terminal's master
	Listener int // connected socket that gets the seccomp listener

	// The ids that build the container, as its user namespace has them.
	UID, GID uint32
	SetIDs   bool

	Cgroup     CgroupOrders
	Rootfs     rootfs.Plan
	Net        netns.Inside
	Process    process.Plan
	Seccomp    seccomp.Plan
	Hostname   string
	Domainname string
	Sysctls    []Sysctl
	Keyring    string // name of the session keyring; "" keeps the caller's

	RuntimeHooks    bool // the parent runs hooks when it hears "born"
	CreateContainer []specs.Hook
	StartContainer  []specs.Hook
	HookState       specs.State // without pid and status

	PreserveFDs   int
	Terminal      bool
	DieWithParent bool // the container ends with the mycr that started it
}

// CgroupOrders is what init does about its cgroup before it mounts one.
type CgroupOrders struct {
	Wait    bool // the parent says when init is in its cgroup
	Unshare bool // init makes a cgroup namespace with its cgroup as root
}

// Sysctl is one parameter: its key as config.json has it, its path below
// /proc/sys, and its value.
type Sysctl struct{ Key, Path, Value string }

// The words on the status socket, each the first byte of a message.
const (
	wordMapped    = 'm' // parent: ids are mapped; 4 bytes of pid follow
	wordPlaced    = 'g' // parent: init is in its cgroup
	wordBorn      = 'b' // child: all is mounted, nothing pivoted
	wordHooked    = 'h' // parent: its hooks have run
	wordNetwork   = 'n' // child: its network namespace is configured; the TAP device comes with this
	wordReady     = 'r' // child: the container is created
	wordCommitted = 'c' // parent: the state is on disk; child: it lives without its parent
	wordTerminal  = 't' // child: a terminal's master comes with this
	wordFault     = 'F' // child: a Fault follows
)

// Fault is what went wrong in the child.
type Fault struct {
	Text string
	Hint string
	Hook bool // a hook failed
}

// faultError is a Fault as the parent's error.
type faultError struct{ fault Fault }

func (e *faultError) Error() string { return e.fault.Text }

// Hint returns what to type, or "".
func (e *faultError) Hint() string { return e.fault.Hint }

// hookError marks that a hook failed.
type hookError struct{ error }

// Unwrap returns the hook's error.
func (e *hookError) Unwrap() error { return e.error }

// hinted is what errors of the rooms have that know a remedy.
type hinted interface{ Hint() string }

func faultOf(err error) Fault {
	f := Fault{Text: err.Error()}
	var hook *hookError
	f.Hook = errors.As(err, &hook)
	var h hinted
	if errors.As(err, &h) {
		f.Hint = h.Hint()
	}
	return f
}

// seal writes orders to a memfd that nobody can change.
func seal(o *Orders) (int, error) {
	return linux.SealedMemfd("mycr-orders", marshal(o))
}

// unseal reads orders and refuses a descriptor that is not sealed.
func unseal(fd int) (*Orders, error) {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil || seals&unix.F_SEAL_WRITE == 0 {
		return nil, errors.New("init is not for people: it takes sealed orders from mycr")
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	data := make([]byte, st.Size)
	if n, err := unix.Pread(fd, data, 0); err != nil || n != len(data) {
		return nil, fmt.Errorf("read orders: %d of %d bytes: %w", n, len(data), err)
	}
	var o Orders
	if err := unmarshal(data, &o); err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	if o.Version != ordersVersion {
		return nil, fmt.Errorf("orders have version %d, this mycr knows %d", o.Version, ordersVersion)
	}
	return &o, nil
}

// say sends one message and descriptors.
func say(socket int, word byte, rest []byte, rights ...int) error {
	var oob []byte
	if len(rights) > 0 {
		oob = unix.UnixRights(rights...)
	}
	return unix.Sendmsg(socket, append([]byte{word}, rest...), oob, nil, unix.MSG_NOSIGNAL)
}

// message is one that was heard.
type message struct {
	word byte
	rest []byte
	fds  []int // received descriptors
}

// errSilent is the end of the other side without a word.
var errSilent = errors.New("the other side is gone")

// hear waits for one message.
func hear(socket int) (message, error) {
	buf := make([]byte, 16<<10)
	oob := make([]byte, unix.CmsgSpace(4*maxRights))
	for {
		n, oobn, _, _, err := unix.Recvmsg(socket, buf, oob, unix.MSG_CMSG_CLOEXEC)
		// ECONNRESET: the other side has ended without hearing our last word. It is told once, before what that side
		// has said; vfork(2)'s parent goes on before its child's descriptors are closed.
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNRESET) {
			continue
		}
		if err != nil || n == 0 {
			return message{}, errSilent
		}
		return message{word: buf[0], rest: buf[1:n], fds: linux.Rights(oob[:oobn])}, nil
	}
}

// maxRights is the kernel's SCM_MAX_FD.
const maxRights = 253

func pidBytes(pid int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(pid)) }

func pidOf(b []byte) int {
	if len(b) != 4 {
		return 0
	}
	return int(binary.NativeEndian.Uint32(b))
}
