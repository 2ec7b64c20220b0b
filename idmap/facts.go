// SPDX-License-Identifier: Apache-2.0

package idmap

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"mycr/linux"
)

// Facts is what Resolve needs to know of the host and of the caller.
type Facts struct {
	UID, GID             uint32 // effective, as the user namespace that mycr runs in sees them
	User                 string // name in the user database, "" where there is none
	UserUnknown          bool   // no database of the host can name the user: newuidmap would refuse
	SubUIDs, SubGIDs     []Range
	SubSource            string // "" for /etc/subuid and /etc/subgid, else the service of nsswitch.conf
	Newuidmap, Newgidmap Helper
	NoNewPrivs           bool // no_new_privs is set: the helpers gain nothing
	Privileged           bool // CAP_SETUID and CAP_SETGID: the maps are written directly
	SetgroupsDenied      bool // /proc/self/setgroups says deny, and a new namespace inherits it
	OuterUIDs, OuterGIDs []Map
	PageSize             int // the kernel takes a map shorter than one page

	// For remedies; gathered only where something is missing.
	FreeSubID uint32 // start of 65536 ids that are nobody's, 0 where unknown
	Usermod   bool   // usermod(8) is there
	Distro    string // ID and ID_LIKE of os-release(5)
}

// Gather reads the facts. exeDir is the directory of the real executable; helpers are looked up there first.
func Gather(exeDir string) (Facts, error) {
	f := Facts{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	if n, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err == nil {
		f.NoNewPrivs = n == 1
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		return f, fmt.Errorf("read own capabilities: %w", err)
	}
	has := func(c uint) bool { return caps[c/32].Effective&(1<<(c%32)) != 0 }
	f.Privileged = has(unix.CAP_SETUID) && has(unix.CAP_SETGID)
	err := f.gather("/", exeDir)
	return f, err
}

// gather reads the files; root is "/" but in tests.
func (f *Facts) gather(root, exeDir string) error {
	f.PageSize = os.Getpagesize()
	var err error
	if f.OuterUIDs, err = readMaps(root + "proc/self/uid_map"); err != nil {
		return err
	}
	if f.OuterGIDs, err = readMaps(root + "proc/self/gid_map"); err != nil {
		return err
	}
	if !Identity(f.OuterGIDs) {
		b, err := linux.ReadFile(root + "proc/self/setgroups")
		f.SetgroupsDenied = err == nil && bytes.HasPrefix(b, []byte("deny"))
	}
	if f.Privileged && f.UID == 0 {
		return nil // it is as the bundle says, and no helper is needed
	}

	passwd, err := readOptional(root + "etc/passwd")
	if err != nil {
		return err
	}
	f.User = userName(passwd, f.UID)
	nsswitch, err := readOptional(root + "etc/nsswitch.conf")
	if err != nil {
		return err
	}
	if f.User == "" {
		sources, ok := nsswitchSources(nsswitch, "passwd")
		f.UserUnknown = !ok || len(sources) == 0 || (len(sources) == 1 && sources[0] == "files")
	}
	if err := f.gatherSubordinate(root, nsswitch); err != nil {
		return err
	}
	f.Newuidmap = findHelper(root, exeDir, "newuidmap", unix.CAP_SETUID, f.GID)
	f.Newgidmap = findHelper(root, exeDir, "newgidmap", unix.CAP_SETGID, f.GID)
	if f.Newuidmap.Path == "" || f.Newgidmap.Path == "" || len(f.SubUIDs) == 0 || len(f.SubGIDs) == 0 {
		b, _ := linux.ReadFile(root + "etc/os-release")
		f.Distro = distro(b)
	}
	return nil
}

// gatherSubordinate reads the subordinate ids: from the files, or by asking getsubids(1)
// where the host keeps them elsewhere (the first source counts: libsubid takes one).
func (f *Facts) gatherSubordinate(root string, nsswitch []byte) error {
	if sources, ok := nsswitchSources(nsswitch, "subid"); ok && len(sources) > 0 && sources[0] != "files" {
		f.SubSource = sources[0]
		return f.askGetsubids(root)
	}
	subuid, err := readOptional(root + "etc/subuid")
	if err != nil {
		return err
	}
	subgid, err := readOptional(root + "etc/subgid")
	if err != nil {
		return err
	}
	// The owner in /etc/subgid is a user, too: the group id does not count there.
	f.SubUIDs = subordinate(subuid, f.User, f.UID)
	f.SubGIDs = subordinate(subgid, f.User, f.UID)
	if len(f.SubUIDs) == 0 || len(f.SubGIDs) == 0 {
		f.FreeSubID = freeRange(subuid, subgid)
		for _, dir := range [...]string{"usr/sbin/", "sbin/", "usr/bin/"} {
			if unix.Access(root+dir+"usermod", unix.F_OK) == nil {
				f.Usermod = true
				break
			}
		}
	}
	return nil
}

func readMaps(path string) ([]Map, error) {
	b, err := linux.ReadFile(path)
	if err != nil {
		return nil, err
	}
	maps, err := ParseMaps(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return maps, nil
}

// readOptional is a file's content, nothing where it is missing or not for us to read.
func readOptional(path string) ([]byte, error) {
	b, err := linux.ReadFile(path)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	return b, err
}
