// SPDX-License-Identifier: Apache-2.0

// Package rootfs builds what a container sees as its file system: the root, the mounts of
// config.json, device nodes, masked and read-only paths, and the change of root.
//
// Resolve decides everything; the verbs of Tree do it in this order, in a mount namespace
// that nobody else is in: Prepare, Mount, Pivot, Finish. No path inside the root is ever
// acted on as a string: it is opened once, below the root's descriptor, and what was opened
// is what is mounted on (CVE-2021-30465, CVE-2024-45310, CVE-2025-52565, CVE-2026-41579).
// See mount_namespaces(7), open_tree(2), fsopen(2), mount_setattr(2), move_mount(2), openat2(2).
package rootfs

// Plan is all that will be done to make the container's file system. It is plain data.
type Plan struct {
	Root     string // absolute path of the root file system, as the caller sees it
	HostRoot bool   // Root is the host's own "/": nothing is ever created in it
	Readonly bool   // root.readonly

	// NamespacePropagation is what all mounts that came from the host become first; zero leaves
	// them as they are, either because a new user namespace has made them slaves by itself
	// (mount_namespaces(7)) or because a mount is to stay shared with the host.
	NamespacePropagation Propagation
	// ParentPrivate is for a Root that lies on a mount that is still shared with the host:
	// pivot_root(2) refuses that, and ours would appear on the host.
	ParentPrivate bool
	// RootPropagation is what the root and what was mounted below it before become first;
	// TreePropagation what the latter become then; FinalPropagation what the root itself becomes
	// after the change of root, which pivot_root(2) would refuse before. Zero leaves it.
	RootPropagation  Propagation
	TreePropagation  Propagation
	FinalPropagation Propagation

	Mounts []Mount
	// HostCgroups: one of them is a bind of the host's cgroups, which whoever has CAP_SYS_ADMIN makes writable.
	HostCgroups bool
	// InParent counts the mounts with FromParent: those that the container's user namespace has
	// no right to make, or where it may not reach the source.
	InParent int
	IDMaps   []IDMap
	Dev      bool // /dev is ours to fill: devices and links
	OwnDev   bool // and a new tmpfs, so that nobody else has ever had a hand in it
	Devices  []Device
	Links    []Link

	NoPivot  bool // chroot instead of pivot_root(2), for an initramfs
	Terminal bool // Console will be called
	Proc     bool // a procfs is mounted on /proc

	MaskedPaths   []string
	ReadonlyPaths []string

	ProcMasks []string // mounts below the caller's /proc, for the words of an error
	Notes     []string // what was decided otherwise than the bundle's words say
}

// Kinds of Mount.
const (
	KindBind       = "bind"       // a clone of Source
	KindFilesystem = "filesystem" // a new instance of Type
	KindRemount    = "remount"    // attributes of what is mounted already
	KindHostSys    = "host-sys"   // the host's /sys, without what is its user's own
	KindLink       = "symlink"    // copy-symlink: Source is a symbolic link and is made again
)

// Mount is one thing to mount, in order.
type Mount struct {
	Index       int // of mounts in config.json, -1 where mycr adds it
	Kind        string
	Type        string // of the file system
	Source      string // absolute path on the host for a bind, else the word shown in mountinfo
	Destination string // absolute and clean

	Recursive bool     // bind: with what is mounted below Source
	Entries   []string // host-sys: the directories, relative to Source
	Params    []Param  // given to the file system, in order
	Set       Attr     // of the mount itself
	Clear     Attr
	TreeSet   Attr // and of all that is mounted below it
	TreeClear Attr

	Propagation Propagation // zero: as it is

	FromParent     bool // Tree gets it from OpenInParent
	IDMap          int  // 1 + index into Plan.IDMaps; zero for none
	IDMapRecursive bool // ridmap

	// One mount(2) makes a new file system in a third of the calls that fsopen(2) takes, where it
	// can say everything (ByMount), and it alone can say some things (OnlyByMount: iversion,
	// values above 255 bytes). Its flags and its data:
	ByMount, OnlyByMount bool
	MountFlags           uintptr
	Data                 string

	Ordinary                            bool // Destination must be a directory that no symbolic link leads to
	MayCreate                           bool // a missing mount point may be made
	InDev                               bool // Destination is a new name in the plan's own tmpfs on /dev
	InProc                              bool // Destination is one of the few files in /proc that may be covered
	SourceProc                          bool // Source must be a procfs
	CopyUp                              bool // tmpcopyup: the new tmpfs gets what Destination holds
	PointMode                           bool // a tmpfs without mode= gets the mode of its mount point
	Hold                                bool // becomes read-only in Finish, after what is to be made below it
	Implied                             bool // nobody asked: where it fails an empty tmpfs is put there
	NoFollowSource, NoFollowDestination bool
	Label                               string // security.selinux of the root, where the file system takes no context=
}

// Param is one option of a file system: a flag where it has no value.
type Param struct {
	Key, Value string
	Flag       bool
}

// Device is a node to be made.
type Device struct {
	Index        int // of linux.devices, -1 for the default ones
	Path         string
	Type         uint32 // S_IFCHR, S_IFBLK or S_IFIFO
	Major, Minor uint32
	Mode         uint32 // permission bits
	UID, GID     uint32
	Bind         bool // the host's node is bound: a user namespace may not make one (mknod(2))
	Verify       bool // it must be there already: /dev is the host's
}

// Link is a symbolic link below /dev.
type Link struct{ Name, Target string }

// IDMap is the mapping of an id-mapped mount, which the parent has to make: it takes
// CAP_SYS_ADMIN over the file system (mount_setattr(2)).
type IDMap struct {
	UIDs, GIDs []Map
	Container  bool // the mapping of the container's own user namespace
}

// Map is one line of a uid_map.
type Map struct{ ContainerID, HostID, Size uint32 }

// Facts is what Resolve has to know of the host and of the container's namespaces.
type Facts struct {
	UserNamespace    bool // the container lives in a user namespace that is not the first one
	NewUserNamespace bool // and it is made with this container's mount namespace
	Privileged       bool // the caller is root of the first user namespace
	SysAdmin         bool // the process may have CAP_SYS_ADMIN over the container's user namespace
	// OwnsMounts: the caller has root's rights over its own mount namespace, in whichever user namespace it is.
	OwnsMounts bool

	// A namespace is own where it belongs to the container's user namespace: made for this
	// container, or joined together with the user namespace that owns it.
	OwnNetwork, OwnCgroup, OwnIPC, OwnPID, OwnMount bool

	// CallersCgroup: the container stays in the cgroup of the caller, so that the root of its
	// cgroup namespace is that one.
	CallersCgroup bool

	MappedUIDs, MappedGIDs []Map

	Proc      string   // "", "private", "host" or "none": the user's word on /proc
	ProcMasks []string // mounts below the caller's /proc, where known
	NoPivot   bool

	// Found by Gather.
	SysEntries []string // the directories of the host's /sys that a container may see
	Kcore      bool     // /proc/kcore exists
	SELinux    bool
}
