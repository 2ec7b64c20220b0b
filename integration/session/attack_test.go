// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A deed is what an attack has managed, a line of JSON.
type deed struct {
	Where  string // the namespaces and what was done last
	What   string // saw (a mount point, with its file system), opened (for writing), wrote, made (a cgroup)
	Path   string
	Type   string `json:",omitempty"`
	Cgroup uint64 `json:",omitempty"` // its directory's inode, which is the same in all mounts
}

// goals are cgroups that an attack knows beforehand, by their inodes. It does there all the harm that it can; in any
// other cgroup it opens and changes nothing, so that a test that fails leaves the session alive.
type goals struct {
	Victim uint64 // of another container
	Limits uint64 // where the own limits are
	Own    uint64 // where the attacker is
}

// beyond are the namespaces that anybody may make for himself; without ids where they cannot be mapped, which takes
// CAP_SETFCAP for the container's root. The capabilities in them are the same.
var beyond = map[string]uintptr{
	"inside":                    syscall.CLONE_NEWNS,
	"in a user namespace":       syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
	"in a user and a cgroup ns": syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | unix.CLONE_NEWCGROUP,
}

// probe is this program in a container. It attacks, each time in namespaces of its own.
func probe(args []string) int {
	if len(args) == 2 {
		return attack(args[0], args[1])
	}
	for where, flags := range beyond {
		var said []string
		for _, way := range []syscall.SysProcAttr{
			{
				Cloneflags:  flags,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
			},
			// A user that is not root keeps no capability over execve but these; see capabilities(7).
			{Cloneflags: flags, AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_DAC_OVERRIDE}},
			{},
		} {
			if flags&syscall.CLONE_NEWUSER == 0 {
				way.UidMappings, way.GidMappings, way.AmbientCaps = nil, nil, nil
			}
			if way.Cloneflags == 0 && where != "inside" {
				break
			}
			cmd := exec.Command("/proc/self/exe", where, args[0])
			cmd.Args[0] = os.Args[0]
			cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = os.Stdout, os.Stderr, &way
			err := cmd.Start()
			if err == nil {
				said, err = nil, cmd.Wait()
			}
			if err == nil {
				break
			}
			said = append(said, err.Error())
		}
		if said != nil {
			fmt.Fprintf(os.Stderr, "%s: %s\n", where, strings.Join(said, "; "))
			return 1
		}
	}
	return 0
}

const hierarchy = "/sys/fs/cgroup"

// attack tries every way to a writable cgroup, one after the other.
func attack(where, words string) int {
	var g goals
	if err := json.Unmarshal([]byte(words), &g); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	then := func(what string, err error) bool {
		g.look(where + ", " + what)
		return err == nil
	}
	then("as it is", nil)
	if then("cgroup2 mounted", unix.Mount("cgroup2", "/mnt", "cgroup2", 0, "")) {
		unix.Unmount("/mnt", unix.MNT_DETACH)
	}
	for _, from := range []string{hierarchy, "/sys"} {
		for _, flags := range []uintptr{unix.MS_BIND, unix.MS_BIND | unix.MS_REC} {
			err := unix.Mount(from, "/mnt", "", flags, "")
			makeWritable("/mnt")
			if then("bind of "+from, err) {
				unix.Unmount("/mnt", unix.MNT_DETACH)
			}
		}
	}
	makeWritable("/sys")
	makeWritable(hierarchy)
	then("remount", unix.Mount("", hierarchy, "", unix.MS_REMOUNT, ""))
	err := unix.Mount(hierarchy, "/mnt", "", unix.MS_MOVE, "")
	makeWritable(hierarchy)
	then("moved away", err)
	for range 4 {
		if err = unix.Unmount(hierarchy, unix.MNT_DETACH); err != nil {
			break
		}
		makeWritable(hierarchy)
		then("umount", nil)
	}
	err = unix.Unmount("/sys", unix.MNT_DETACH)
	makeWritable("/sys")
	makeWritable(hierarchy)
	then("umount of /sys", err)
	return 0
}

// makeWritable does what mount -o remount,bind,rw does, for what is mounted below, too.
func makeWritable(name string) {
	for _, flags := range []uint{unix.AT_RECURSIVE, 0} {
		unix.MountSetattr(unix.AT_FDCWD, name, flags, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})
	}
}

// look goes through all cgroups that can be seen.
func (g goals) look(where string) {
	places := []string{hierarchy}
	mounts, err := os.Open("/proc/self/mountinfo")
	if err == nil {
		defer mounts.Close()
		for lines := bufio.NewScanner(mounts); lines.Scan(); {
			if fields := strings.Fields(lines.Text()); strings.Contains(lines.Text(), " - cgroup2 ") && !slices.Contains(places, fields[4]) {
				places = append(places, fields[4])
			}
		}
	}
	for _, place := range places {
		var fs unix.Statfs_t
		if err := unix.Statfs(place, &fs); err != nil {
			continue
		}
		kind := map[int64]string{unix.CGROUP2_SUPER_MAGIC: "cgroup2", unix.TMPFS_MAGIC: "tmpfs", unix.SYSFS_MAGIC: "sysfs"}[fs.Type]
		if kind == "" {
			kind = fmt.Sprintf("%#x", fs.Type)
		}
		tell(deed{Where: where, What: "saw", Path: place, Type: kind})
		if kind != "cgroup2" {
			continue
		}
		filepath.WalkDir(place, func(path string, entry os.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				g.harm(where, path)
			}
			return nil
		})
	}
}

func tell(d deed) {
	line, _ := json.Marshal(d)
	fmt.Printf("%s\n", line) // at once: it may be the last
}

// harm does to one cgroup what is to be done.
func (g goals) harm(where, dir string) {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return
	}
	managed := func(what, path string) {
		tell(deed{Where: where, What: what, Path: path, Cgroup: st.Ino})
	}
	files, _ := os.ReadDir(dir)
	// The kill comes last: the manager removes the cgroup when nobody lives in it.
	slices.SortStableFunc(files, func(a, b os.DirEntry) int {
		return strings.Compare(strings.TrimPrefix(a.Name(), "cgroup.kill"), strings.TrimPrefix(b.Name(), "cgroup.kill"))
	})
	slices.Reverse(files)
	for _, file := range files {
		path := filepath.Join(dir, file.Name())
		if file.IsDir() {
			continue
		}
		fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		managed("opened", path)
		if value := g.value(st.Ino, file.Name()); value != "" {
			if _, err := unix.Write(fd, []byte(value)); err == nil {
				managed("wrote", path)
			}
		}
		unix.Close(fd)
	}
	made := filepath.Join(dir, "made-by-an-attack")
	if unix.Mkdir(made, 0o755) == nil {
		managed("made", made)
		unix.Rmdir(made)
	}
}

// value is what is written, "" for nothing.
func (g goals) value(cgroup uint64, file string) string {
	switch file {
	case "memory.max", "memory.high", "memory.swap.max", "cpu.max", "pids.max":
		if cgroup == g.Victim || cgroup == g.Limits || cgroup == g.Own {
			return "max"
		}
	case "cgroup.kill":
		if cgroup == g.Victim {
			return "1"
		}
	}
	return ""
}
