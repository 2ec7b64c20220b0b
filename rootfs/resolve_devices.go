// SPDX-License-Identifier: Apache-2.0

package rootfs

import (
	"fmt"
	"path"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// devices decides the default nodes and links of /dev (config-linux.md, "Default Devices") and
// linux.devices. A bundle that binds a directory on /dev has its devices in there.
func (r *resolver) devices(list []specs.LinuxDevice) error {
	p := r.plan
	if p.Dev {
		for _, d := range [...]struct {
			path         string
			major, minor uint32
		}{
			{"/dev/null", 1, 3}, {"/dev/zero", 1, 5}, {"/dev/full", 1, 7},
			{"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0},
		} {
			p.Devices = append(p.Devices, Device{
				Index: -1, Path: d.path, Type: unix.S_IFCHR, Major: d.major, Minor: d.minor,
				Mode: 0o666, Bind: r.facts.UserNamespace,
			})
		}
		p.Links = []Link{
			{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
			{"stderr", "/proc/self/fd/2"}, {"ptmx", "pts/ptmx"},
		}
		if r.facts.Kcore {
			p.Links = append(p.Links, Link{"core", "/proc/kcore"})
		}
	}
	for i := range list {
		d, err := r.device(i, &list[i])
		if err != nil {
			return fmt.Errorf("linux.devices[%d]%w", i, err)
		}
		for j := range p.Devices {
			if p.Devices[j].Path == d.Path {
				if p.Devices[j].Index >= 0 {
					return fmt.Errorf("linux.devices[%d].path: %q is linux.devices[%d] already", i, d.Path, p.Devices[j].Index)
				}
				p.Devices = append(p.Devices[:j], p.Devices[j+1:]...)
				break
			}
		}
		p.Devices = append(p.Devices, d)
		if d.Bind && (list[i].FileMode != nil || list[i].UID != nil || list[i].GID != nil) {
			r.note("linux.devices[%d] (%s): bound from the host, with the owner and the mode that it has there", i, clip(d.Path))
		}
	}
	return nil
}

func (r *resolver) device(i int, spec *specs.LinuxDevice) (Device, error) {
	d := Device{Index: i, Mode: 0o666, Bind: r.facts.UserNamespace}
	switch {
	case !path.IsAbs(spec.Path):
		return d, fmt.Errorf(".path: %q is not an absolute path", spec.Path)
	case strings.IndexByte(spec.Path, 0) >= 0:
		return d, fmt.Errorf(".path: %q contains a NUL byte", spec.Path)
	}
	d.Path = path.Clean(spec.Path)
	if d.Path == "/" || d.Path == "/dev" || strings.HasPrefix(d.Path, "/proc/") || strings.HasPrefix(d.Path, "/sys/") {
		return d, fmt.Errorf(".path: %q is no place for a device", spec.Path)
	}
	for j := range r.plan.Links {
		if d.Path == "/dev/"+r.plan.Links[j].Name {
			r.plan.Links = append(r.plan.Links[:j], r.plan.Links[j+1:]...)
			break
		}
	}
	switch spec.Type {
	case "c", "u":
		d.Type = unix.S_IFCHR
	case "b":
		d.Type = unix.S_IFBLK
	case "p":
		d.Type, d.Bind = unix.S_IFIFO, false
	default:
		return d, fmt.Errorf(".type: %q is none of c, b, u, p", spec.Type)
	}
	if d.Type != unix.S_IFIFO {
		// 12 and 20 bits: include/linux/kdev_t.h.
		if spec.Major < 0 || spec.Major >= 1<<12 {
			return d, fmt.Errorf(".major: %d is not within 0 to 4095", spec.Major)
		}
		if spec.Minor < 0 || spec.Minor >= 1<<20 {
			return d, fmt.Errorf(".minor: %d is not within 0 to 1048575", spec.Minor)
		}
		d.Major, d.Minor = uint32(spec.Major), uint32(spec.Minor)
	}
	if spec.FileMode != nil {
		d.Mode = uint32(*spec.FileMode) & 0o7777
	}
	if spec.UID != nil {
		d.UID = *spec.UID
	}
	if spec.GID != nil {
		d.GID = *spec.GID
	}
	inDev := strings.HasPrefix(d.Path, "/dev/")
	d.Verify = inDev && !r.plan.Dev || !inDev && r.plan.HostRoot
	return d, nil
}
