// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// applets are those of busybox that the tests use.
const applets = `[ ash awk cat chmod chown chroot cp cut date dd df du echo env false find grep head hostname id ip kill ln ls
mkdir mkfifo mknod mount mv nproc pgrep pivot_root printf ps pwd readlink rm sed seq setsid sh sleep sort stat stty sync
tail tee test touch tr true tty umount uname uniq wc which whoami xargs yes`

// A Template is a directory with the files that every root file system links to.
type Template string

// MakeTemplate makes it at dir: busybox, and as probe the test binary itself, which is static.
func MakeTemplate(dir string) (Template, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	for name, source := range map[string]string{"busybox": busybox, "probe": self} {
		if err := CopyFile(source, filepath.Join(dir, name), 0o755); err != nil {
			return "", err
		}
	}
	return Template(dir), nil
}

// Rootfs makes a small root file system at dir. Everything that a bundle mounts on is in it, also where the host has
// a network for it, so that no mount point has to be made.
func (t Template) Rootfs(dir string) error {
	for _, sub := range []string{"bin", "dev", "etc", "mnt", "proc", "root", "run", "sys", "tmp", "usr/bin", "var/tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	for _, name := range []string{"busybox", "probe"} {
		if err := os.Link(filepath.Join(string(t), name), filepath.Join(dir, "bin", name)); err != nil {
			return err
		}
	}
	for _, applet := range strings.Fields(applets) {
		if err := os.Symlink("busybox", filepath.Join(dir, "bin", applet)); err != nil {
			return err
		}
	}
	for name, content := range map[string]string{
		"passwd": "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/sh\nguest:x:1000:1000:guest:/tmp:/bin/sh\n",
		"group":  "root:x:0:\ndaemon:x:1:\nguest:x:1000:\naudio:x:29:guest\n",
		"hosts":  "", "resolv.conf": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, "etc", name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// CopyFile copies to a file that must not be there.
func CopyFile(source, target string, mode os.FileMode) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
