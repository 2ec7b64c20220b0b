// SPDX-License-Identifier: Apache-2.0

package idmap

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"mycr/linux"
)

// Helper is newuidmap or newgidmap as it was found.
type Helper struct {
	Path    string // absolute; "" where it is missing
	Problem string // why it would not work, "" where it would
}

// findHelper looks a helper up in directories that no other user can write, and not in PATH:
// what runs there is trusted with ids. One that has its powers is taken before one that has not.
func findHelper(root, exeDir, name string, capability uint, gid uint32) Helper {
	// /run/wrappers/bin is NixOS's only place for files with powers.
	dirs := [...]string{exeDir, linux.Libexec, "/run/wrappers/bin", "/usr/bin", "/usr/local/bin", "/usr/sbin", "/bin"}
	var found Helper
	for _, dir := range dirs {
		if !strings.HasPrefix(dir, "/") {
			continue
		}
		path := strings.TrimSuffix(root, "/") + dir + "/" + name
		var st unix.Stat_t
		if unix.Stat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o111 == 0 {
			continue
		}
		if !linux.SafeDirectory(strings.TrimSuffix(root, "/")+dir, gid) {
			continue
		}
		problem := powerless(path, &st, capability)
		if problem == "" {
			return Helper{Path: path}
		}
		if found.Path == "" {
			found = Helper{path, problem}
		}
	}
	return found
}

// powerless says why executing the file would not give the capability: "" where it does.
func powerless(path string, st *unix.Stat_t, capability uint) string {
	if st.Mode&0o001 == 0 && unix.Access(path, unix.X_OK) != nil {
		return "is not executable for this user"
	}
	var fs unix.Statfs_t
	if unix.Statfs(path, &fs) == nil && fs.Flags&unix.ST_NOSUID != 0 {
		return "lies on a file system that is mounted nosuid"
	}
	if st.Mode&unix.S_ISUID != 0 {
		// A setuid bit of an owner that is not mapped here is not honoured; it shows as the overflow id.
		if st.Uid == 0 {
			return ""
		}
		return fmt.Sprintf("is setuid, but its owner is %d here, not root", st.Uid)
	}
	var buf [24]byte
	n, err := unix.Getxattr(path, "security.capability", buf[:])
	if err == nil && filePermits(buf[:n], capability) {
		return ""
	}
	return "has neither the setuid bit nor file capabilities"
}

// filePermits reads a vfs_cap_data (linux/capability.h) of version 2 or 3.
func filePermits(b []byte, capability uint) bool {
	if len(b) < 20 {
		return false
	}
	word := binary.LittleEndian.Uint32(b[4+8*(capability/32):])
	return word&(1<<(capability%32)) != 0
}

// askGetsubids runs getsubids(1) for both kinds of id: only it can ask the service that nsswitch.conf names.
func (f *Facts) askGetsubids(root string) error {
	var path string
	for _, dir := range [...]string{"/usr/bin/", "/usr/local/bin/", "/bin/", "/run/current-system/sw/bin/"} {
		p := strings.TrimSuffix(root, "/") + dir + "getsubids"
		if unix.Access(p, unix.X_OK) == nil {
			path = p
			break
		}
	}
	if path == "" {
		return nil // Resolve says so: no ranges, and SubSource is set
	}
	name := f.User
	if name == "" { // such a host keeps its users elsewhere, too
		out, _, err := run("/usr/bin/getent", []string{"getent", "passwd", fmt.Sprint(f.UID)})
		if err != nil {
			return nil
		}
		first, _, _ := bytes.Cut(out, []byte{':'})
		if name = string(first); name == "" {
			return nil
		}
		f.User, f.UserUnknown = name, false
	}
	// A user without ranges makes getsubids fail, which is not an error here.
	if out, _, err := run(path, []string{"getsubids", name}); err == nil {
		f.SubUIDs = getsubidsOutput(out)
	}
	if out, _, err := run(path, []string{"getsubids", "-g", name}); err == nil {
		f.SubGIDs = getsubidsOutput(out)
	}
	return nil
}

// run gives what a program writes on stdout and stderr, with an empty environment and nothing to read.
func run(path string, argv []string) (stdout, stderr []byte, err error) {
	t, err := start(path, argv)
	if err != nil {
		return nil, nil, err
	}
	return t.wait()
}

// distro is the words of ID and ID_LIKE.
func distro(osRelease []byte) string {
	var words []string
	for len(osRelease) > 0 {
		var line []byte
		line, osRelease = nextLine(osRelease)
		key, value, ok := strings.Cut(string(line), "=")
		if ok && (key == "ID" || key == "ID_LIKE") {
			words = append(words, strings.Trim(value, `"'`))
		}
	}
	return strings.Join(words, " ")
}

// tool is a helper that runs.
type tool struct {
	path     string
	pid      int
	out, err int // read ends
}

// start executes a program and does not wait for it.
func start(path string, argv []string) (tool, error) {
	t := tool{path: path}
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return t, fmt.Errorf("open /dev/null: %w", err)
	}
	defer unix.Close(null)
	var out, errs [2]int
	if err := unix.Pipe2(out[:], unix.O_CLOEXEC); err != nil {
		return t, fmt.Errorf("pipe for %s: %w", path, err)
	}
	defer unix.Close(out[1])
	if err := unix.Pipe2(errs[:], unix.O_CLOEXEC); err != nil {
		unix.Close(out[0])
		return t, fmt.Errorf("pipe for %s: %w", path, err)
	}
	defer unix.Close(errs[1])
	t.out, t.err = out[0], errs[0]
	t.pid, err = linux.ForkExec(path, argv, &syscall.ProcAttr{
		Dir:   "/",
		Env:   []string{}, // nil would be ours
		Files: []uintptr{uintptr(null), uintptr(out[1]), uintptr(errs[1])},
	})
	if err != nil {
		unix.Close(t.out)
		unix.Close(t.err)
		return t, fmt.Errorf("run %s: %w", path, err)
	}
	return t, nil
}

// wait reads what the program says until it ends.
func (t tool) wait() (stdout, stderr []byte, err error) {
	stdout = readAll(t.out)
	stderr = readAll(t.err)
	var status syscall.WaitStatus
	for {
		_, err = syscall.Wait4(t.pid, &status, 0, nil)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		return stdout, stderr, fmt.Errorf("wait for %s: %w", t.path, err)
	}
	if status.Signaled() {
		return stdout, stderr, fmt.Errorf("%s: killed by signal %d", t.path, status.Signal())
	}
	if status.ExitStatus() != 0 {
		return stdout, stderr, fmt.Errorf("%s: exit status %d%s", t.path, status.ExitStatus(), oneLine(stderr))
	}
	return stdout, stderr, nil
}

// readAll reads to the end and keeps the first 64 KiB.
func readAll(fd int) []byte {
	defer unix.Close(fd)
	var all []byte
	var buf [4096]byte
	for {
		n, err := unix.Read(fd, buf[:])
		if err == syscall.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			return all
		}
		if len(all) < 64<<10 {
			all = append(all, buf[:n]...)
		}
	}
}

// oneLine is ": " and the words of a text, "" for an empty one.
func oneLine(b []byte) string {
	words := strings.Join(strings.Fields(string(b)), " ")
	if words == "" {
		return ""
	}
	return ": " + words
}
