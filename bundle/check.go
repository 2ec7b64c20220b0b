// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Check returns the first thing in spec that is not valid, or that this
// runtime does not do, as `<JSON path>: <what is wrong, with the value>` on
// one line; values are quoted, so that none can write to a terminal. The
// rules are runtime-spec's and the kernel's where they depend on nothing but
// the file; what depends on the host is for the rooms to decide.
func Check(spec *specs.Spec) error {
	if spec == nil {
		return errors.New("the specification is empty")
	}
	if err := checkVersion(spec.Version); err != nil {
		return err
	}
	if err := checkOtherPlatforms(spec); err != nil {
		return err
	}
	// The first two texts are runc's: tools look for them.
	if spec.Process == nil {
		return errors.New("process property must not be empty")
	}
	if err := CheckProcess(spec.Process); err != nil {
		return err
	}
	if spec.Root == nil {
		return errors.New("root must be specified")
	}
	if err := checkFilePath("root.path", spec.Root.Path); err != nil {
		return err
	}
	linux := spec.Linux
	if linux == nil {
		linux = &specs.Linux{}
	}
	if err := checkNamespaces(linux.Namespaces); err != nil {
		return err
	}
	if err := checkNames(spec, linux.Namespaces); err != nil {
		return err
	}
	if err := checkMounts(spec.Mounts); err != nil {
		return err
	}
	if spec.Hooks != nil {
		if err := checkHooks(spec.Hooks); err != nil {
			return err
		}
	}
	if _, empty := spec.Annotations[""]; empty {
		return errors.New("annotations: a key is empty")
	}
	return checkLinux(spec, linux)
}

// checkVersion takes every 1.x: within a major version a later runtime takes
// what was written for an earlier one, and unknown properties are ignored.
func checkVersion(version string) error {
	if version == "" {
		return errors.New("ociVersion: missing or empty")
	}
	core, build, hasBuild := strings.Cut(version, "+")
	core, pre, hasPre := strings.Cut(core, "-")
	numbers := strings.Split(core, ".")
	valid := len(numbers) == 3 && (!hasPre || identifiers(pre, true)) && (!hasBuild || identifiers(build, false))
	for _, n := range numbers {
		valid = valid && isNumber(n)
	}
	if !valid {
		return fmt.Errorf("ociVersion: %q is not a semantic version such as \"1.3.0\"", version)
	}
	if numbers[0] != "1" {
		return fmt.Errorf("ociVersion: %q is not supported, 1.0.0 to %s are", version, specs.Version)
	}
	return nil
}

// isNumber is semver's numeric identifier: digits without leading zeroes.
func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == "" && (len(s) == 1 || s[0] != '0')
}

// identifiers is semver's dotted list after '-' or '+'.
func identifiers(list string, pre bool) bool {
	for s := range strings.SplitSeq(list, ".") {
		if !plainKey(strings.ReplaceAll(s, "-", "a")) || strings.Contains(s, "_") {
			return false
		}
		if pre && strings.Trim(s, "0123456789") == "" && !isNumber(s) {
			return false
		}
	}
	return true
}

// checkOtherPlatforms refuses what is not for Linux, and what this runtime
// does not do, before anything else: the rest of such a file means nothing.
func checkOtherPlatforms(spec *specs.Spec) error {
	switch {
	case spec.Windows != nil:
		return notDone("windows", "this runtime is for Linux")
	case spec.Solaris != nil:
		return notDone("solaris", "this runtime is for Linux")
	case spec.ZOS != nil:
		return notDone("zos", "this runtime is for Linux")
	case spec.FreeBSD != nil:
		return notDone("freebsd", "this runtime is for Linux")
	case spec.VM != nil:
		return notDone("vm", "this runtime has no virtual machines")
	}
	return nil
}

func notDone(where, why string) error {
	return fmt.Errorf("%s: not supported: %s", where, why)
}

// maxHostName is __NEW_UTS_LEN of <linux/utsname.h>, in bytes.
const maxHostName = 64

// checkNames holds hostname and domainname to a UTS namespace: without one
// they would be the host's.
func checkNames(spec *specs.Spec, namespaces []specs.LinuxNamespace) error {
	for _, name := range []struct{ where, value string }{
		{"hostname", spec.Hostname},
		{"domainname", spec.Domainname},
	} {
		switch {
		case name.value == "":
		case len(name.value) > maxHostName:
			return fmt.Errorf("%s: %q is %d bytes long, the kernel takes %d",
				name.where, shorten(name.value), len(name.value), maxHostName)
		case !plainText(name.value):
			return fmt.Errorf("%s: %q holds a control character", name.where, name.value)
		case namespaceOf(namespaces, specs.UTSNamespace) == nil:
			return fmt.Errorf("%s: %q needs a uts namespace in linux.namespaces", name.where, name.value)
		}
	}
	return nil
}

func checkHooks(h *specs.Hooks) error {
	for _, kind := range []struct {
		name string
		list []specs.Hook
	}{
		//lint:ignore SA1019 engines still send it, and it must run
		{"prestart", h.Prestart},
		{"createRuntime", h.CreateRuntime},
		{"createContainer", h.CreateContainer},
		{"startContainer", h.StartContainer},
		{"poststart", h.Poststart},
		{"poststop", h.Poststop},
	} {
		for i, hook := range kind.list {
			where := fmt.Sprintf("hooks.%s[%d]", kind.name, i)
			if err := checkAbsolute(where+".path", hook.Path); err != nil {
				return err
			}
			if err := checkNUL(where+".args", hook.Args); err != nil {
				return err
			}
			if err := checkEnv(where+".env", hook.Env); err != nil {
				return err
			}
			if hook.Timeout != nil && *hook.Timeout <= 0 {
				return fmt.Errorf("%s.timeout: %d is not greater than zero", where, *hook.Timeout)
			}
		}
	}
	return nil
}

// plainText says whether s is free of control characters, which no name or
// label of the kernel's has, and which could forge lines where it is printed.
func plainText(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

func checkNUL(where string, list []string) error {
	for i, s := range list {
		if strings.IndexByte(s, 0) >= 0 {
			return fmt.Errorf("%s[%d]: %q holds a NUL", where, i, shorten(s))
		}
	}
	return nil
}

// checkFilePath holds for every path: not empty, no NUL, and within the
// kernel's PATH_MAX and NAME_MAX, past which every use answers ENAMETOOLONG.
func checkFilePath(where, p string) error {
	switch {
	case p == "":
		return fmt.Errorf("%s: missing or empty", where)
	case strings.IndexByte(p, 0) >= 0:
		return fmt.Errorf("%s: %q holds a NUL", where, shorten(p))
	case len(p) > 4095:
		return fmt.Errorf("%s: %q is %d bytes long, the kernel takes 4095", where, shorten(p), len(p))
	}
	for len(p) > 255 {
		i := strings.IndexByte(p, '/')
		if i < 0 {
			i = len(p)
		}
		if i > 255 {
			return fmt.Errorf("%s: the name %q in it is %d bytes long, the kernel takes 255", where, shorten(p), i)
		}
		if i == len(p) {
			break
		}
		p = p[i+1:]
	}
	return nil
}

// checkAbsolute is checkFilePath for a path that must begin with a slash.
func checkAbsolute(where, p string) error {
	if err := checkFilePath(where, p); err != nil {
		return err
	}
	if !path.IsAbs(p) {
		return fmt.Errorf("%s: %q is not an absolute path", where, p)
	}
	return nil
}

// hasDotDot says whether a path climbs: where no symbolic link has been
// looked at, it may mean two places.
func hasDotDot(p string) bool {
	for part := range strings.SplitSeq(p, "/") {
		if part == ".." {
			return true
		}
	}
	return false
}

// namespaceOf is the namespace of a kind, or nil.
func namespaceOf(list []specs.LinuxNamespace, kind specs.LinuxNamespaceType) *specs.LinuxNamespace {
	for i := range list {
		if list[i].Type == kind {
			return &list[i]
		}
	}
	return nil
}
