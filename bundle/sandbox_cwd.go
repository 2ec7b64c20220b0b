// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// workingDirectory makes the working directory writable, unless so much lies
// beneath it that the sandbox would hold nothing back; and it sets where the
// command starts. A flag that mounts on it has the say.
func (o *SandboxOptions) workingDirectory(spec *specs.Spec, mounts []specs.Mount) ([]specs.Mount, []string, error) {
	var notes []string
	explicit := slices.ContainsFunc(mounts, func(m specs.Mount) bool { return m.Destination == o.Cwd })
	why := o.tooMuch()
	start := o.Cwd
	uid, gid := o.ids()
	closed := o.closed(uid, gid)
	switch {
	case closed != "" && explicit:
		return nil, nil, fmt.Errorf("the command runs as user %d, who may not go through %s to the working directory", uid, printable(closed))
	case closed != "":
		start = "/"
		notes = append(notes, fmt.Sprintf("the command runs as user %d, who may not go through %s, so it starts in /: it writes only where everybody can",
			uid, printable(closed)))
	case explicit:
	case below(o.Cwd, "/proc") || below(o.Cwd, "/dev") || o.Cwd == "/tmp" || o.Cwd == "/run":
		// The private one takes its place, and has nothing of the host's in it.
		if o.Cwd != "/tmp" && o.Cwd != "/run" && o.Cwd != "/dev" && o.Cwd != "/dev/shm" {
			start = "/"
		}
		notes = append(notes, fmt.Sprintf("the working directory %s is the sandbox's own, not the host's: --bind . for the host's", printable(o.Cwd)))
	case why != "":
		notes = append(notes, fmt.Sprintf("the working directory %s is read-only, since it is %s: --bind . to write there", printable(o.Cwd), why))
		if below(o.Cwd, "/tmp") || below(o.Cwd, "/run") {
			mounts = append(mounts, bindMount(o.Cwd, o.Cwd, "rro"))
		}
	default:
		mounts = append(mounts, bindMount(o.Cwd, o.Cwd, "rw"))
	}
	if closed == "" && o.RealRoot && o.CwdUID == 0 {
		notes = append(notes, fmt.Sprintf("the command runs as user %d, since the working directory %s is root's: it writes only where everybody can",
			uid, printable(o.Cwd)))
	}
	spec.Process.Cwd = start
	if o.Chdir != "" {
		spec.Process.Cwd = o.absolute(o.Chdir)
	}
	spec.Process.Env = setEnv(spec.Process.Env, "PWD="+spec.Process.Cwd)
	return mounts, notes, nil
}

// tooMuch says what the working directory is, where it is too much to be
// writable without a word.
func (o *SandboxOptions) tooMuch() string {
	switch {
	case o.Cwd == "/":
		return "the root of the host"
	case o.Home != "" && o.Home != "/" && o.Cwd == o.Home:
		return "your home directory"
	case o.Home != "" && o.Home != "/" && below(o.Home, o.Cwd):
		return "above your home directory"
	}
	// Programs and their configuration, however deep.
	for _, dir := range []string{
		"/usr", "/etc", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/boot", "/sys", "/nix", "/gnu",
	} {
		if below(o.Cwd, dir) {
			return "a system directory"
		}
	}
	// These hold projects and workspaces, and are none themselves.
	switch o.Cwd {
	case "/home", "/root", "/opt", "/srv", "/mnt", "/media", "/var", "/var/lib", "/var/log", "/var/cache",
		"/var/spool", "/var/tmp", "/run/user":
		return "a system directory"
	}
	return ""
}
