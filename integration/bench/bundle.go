// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// A runtime is one of the two.
type runtime struct {
	name string
	argv []string // what comes before a command's own words
}

func (r *runtime) command(words ...string) []string {
	return append(slices.Clip(r.argv), words...)
}

// bundle is the directory of one of the runtime's bundles.
func (b *bench) bundle(r *runtime, name string) string {
	return filepath.Join(b.home, r.name+"-"+name)
}

// bundles are what each runtime gets one of.
var bundles = [...]struct {
	name   string
	single bool // a single id
	args   []string
}{
	{"full", false, []string{"true"}},
	{"single", true, []string{"true"}},
	{"job", false, []string{"sleep", "1000"}},
	{"look-full", false, look},
	{"look-single", true, look},
}

// look shows what a container is made of.
var look = []string{"cat", "/proc/self/uid_map", "/proc/self/mountinfo"}

// prepare makes the bundles: runc's own default config.json, without a terminal
// and with the command of the row.
func (b *bench) prepare(sub string) error {
	first, count, ok := strings.Cut(sub, ":")
	if !ok {
		return fmt.Errorf("-sub %s: not FIRST:COUNT", sub)
	}
	b.sub = [2]string{first, count}
	b.mycr = runtime{name: "mycr", argv: []string{b.at("mycr")}}
	b.crun = runtime{name: "crun", argv: []string{"/usr/bin/crun", "--cgroup-manager=disabled"}}
	if _, err := b.output("/usr/bin/runc", "spec", "--bundle", b.home); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(b.home, "config.json"))
	if err != nil {
		return err
	}
	rootfs, err := b.rootfs()
	if err != nil {
		return err
	}
	for _, r := range []*runtime{&b.mycr, &b.crun} {
		for _, one := range bundles {
			config := new(specs.Spec)
			if err := json.Unmarshal(text, config); err != nil {
				return err
			}
			config.Process.Terminal = false
			config.Process.Args = one.args
			config.Root.Path = rootfs
			if err := b.mapIDs(config, r.name, one.single); err != nil {
				return err
			}
			if err := write(b.bundle(r, one.name), config); err != nil {
				return err
			}
			if b.floorPaths == nil {
				b.floorPaths = pathArguments(config)
			}
		}
	}
	return nil
}

// pathArguments tells the floor which paths to hide.
func pathArguments(config *specs.Spec) []string {
	args := []string{}
	for _, path := range config.Linux.MaskedPaths {
		args = append(args, "-m", path)
	}
	for _, path := range config.Linux.ReadonlyPaths {
		args = append(args, "-r", path)
	}
	return args
}

// floor is the floor's command line.
func (b *bench) floor(single bool, args ...string) []string {
	argv := []string{b.at("floor")}
	if !single {
		argv = append(argv, "-s", fmt.Sprintf("%d:%s:%s", os.Getuid(), b.sub[0], b.sub[1]))
	}
	argv = append(append(argv, b.floorPaths...), filepath.Join(b.home, "rootfs"))
	return append(argv, args...)
}

// mapIDs asks for the map. The full one is automatic in mycr, which reads
// /etc/subuid for it; crun is told.
func (b *bench) mapIDs(config *specs.Spec, name string, single bool) error {
	if !slices.ContainsFunc(config.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.CgroupNamespace }) {
		config.Linux.Namespaces = append(config.Linux.Namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	}
	if name == "mycr" && !single {
		return nil
	}
	uids := []specs.LinuxIDMapping{{ContainerID: 0, HostID: uint32(os.Getuid()), Size: 1}}
	if single {
		// Group 5 is not mapped.
		for i := range config.Mounts {
			config.Mounts[i].Options = slices.DeleteFunc(config.Mounts[i].Options, func(o string) bool { return o == "gid=5" })
		}
	} else {
		rest := specs.LinuxIDMapping{ContainerID: 1}
		if _, err := fmt.Sscan(b.sub[0]+" "+b.sub[1], &rest.HostID, &rest.Size); err != nil {
			return fmt.Errorf("-sub %s:%s: %w", b.sub[0], b.sub[1], err)
		}
		uids = append(uids, rest)
	}
	config.Linux.Namespaces = append(config.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	config.Linux.UIDMappings, config.Linux.GIDMappings = uids, uids
	return nil
}

func write(bundle string, config *specs.Spec) error {
	text, err := json.MarshalIndent(config, "", "\t")
	if err != nil {
		return err
	}
	if err := os.Mkdir(bundle, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(bundle, "config.json"), text, 0o644)
}

// rootfs makes one of busybox, for all bundles.
func (b *bench) rootfs() (string, error) {
	rootfs := filepath.Join(b.home, "rootfs")
	for _, dir := range []string{"bin", "dev", "etc", "proc", "sys", "tmp"} {
		if err := os.MkdirAll(filepath.Join(rootfs, dir), 0o755); err != nil {
			return "", err
		}
	}
	text, err := os.ReadFile("/usr/bin/busybox")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(rootfs, "bin/busybox"), text, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"true", "cat", "sleep"} {
		if err := os.Symlink("busybox", filepath.Join(rootfs, "bin", name)); err != nil {
			return "", err
		}
	}
	return rootfs, nil
}
