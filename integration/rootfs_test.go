// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// prepareTemplate makes the two files that every root file system links to: busybox and this test binary, which is
// static and acts as probe there (see probe_test.go).
func prepareTemplate() error {
	template = filepath.Join(scratch, "template")
	if err := os.Mkdir(template, 0o755); err != nil {
		return err
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for name, source := range map[string]string{"busybox": busybox, "probe": self} {
		if err := copyFile(source, filepath.Join(template, name), 0o755); err != nil {
			return err
		}
	}
	out, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return fmt.Errorf("busybox --list: %w", err)
	}
	applets = strings.Fields(string(out))
	return nil
}

// makeRootfs makes a small root file system at dir. Every directory that a bundle mounts on is in it, so that no
// mount point has to be made.
func makeRootfs(dir string) error {
	for _, sub := range []string{"bin", "dev", "etc", "mnt", "proc", "root", "run", "sys", "tmp", "usr/bin", "var/tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	for _, name := range []string{"busybox", "probe"} {
		if err := os.Link(filepath.Join(template, name), filepath.Join(dir, "bin", name)); err != nil {
			return err
		}
	}
	for _, applet := range applets {
		if applet == "busybox" {
			continue
		}
		if err := os.Symlink("busybox", filepath.Join(dir, "bin", applet)); err != nil {
			return err
		}
	}
	for name, content := range map[string]string{
		"passwd": "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/sh\nguest:x:1000:1000:guest:/tmp:/bin/sh\n",
		"group":  "root:x:0:\ndaemon:x:1:\nguest:x:1000:\naudio:x:29:guest\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, "etc", name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(source, target string, mode os.FileMode) error {
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
