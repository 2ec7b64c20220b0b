// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"mycr/container"
)

// install makes mycr a runtime of an engine: it writes what the engine reads.
type install struct {
	podman, docker, containerd bool
	print, remove              bool
	file                       string
}

func (*install) about() about {
	return about{
		usage: "--podman|--docker|--containerd [--remove] [--print] [--file FILE]",
		does:  "make mycr a runtime of an engine",
		more: "It writes the engine's configuration: root's in /etc, a user's in $XDG_CONFIG_HOME or ~/.config.\n" +
			"What the file says already stays; where it says that already, nothing is written. --remove undoes it.\n" +
			"The default runtime stays what it is.",
	}
}

func (i *install) flags(f *pflag.FlagSet) {
	f.BoolVar(&i.podman, "podman", false, "containers.conf.d/mycr.conf, a file of its own")
	f.BoolVar(&i.docker, "docker", false, "daemon.json; a user's is rootless docker's")
	f.BoolVar(&i.containerd, "containerd", false, "containerd's config.toml; Kubernetes' RuntimeClass names mycr as handler")
	f.BoolVar(&i.print, "print", false, "print what the file would be, and write nothing")
	f.BoolVar(&i.remove, "remove", false, "take mycr out again")
	f.StringVar(&i.file, "file", "", "`FILE` to change instead of the usual one")
}

// engineFile is an engine's configuration, of which mycr writes a part.
type engineFile struct {
	engine, flag string
	path         string // the usual one, below the directory of configurations
	// with returns the text with mycr in it, from that of the file, nil where
	// there is none; without, the text without it, nil where nothing is left.
	with, without func(old []byte) ([]byte, error)
	says          string // what it says of mycr, after with
	notice        string // how the engine takes notice of a change; "" where it does by itself
	use           string
	notes         func(written string) []string // what keeps the engine from using it
}

func (i *install) run(s *session, _ []string) (int, error) {
	exe, err := i.executable()
	if err != nil {
		return 1, err
	}
	e, err := i.engine(exe)
	if err != nil {
		return 1, err
	}
	path := i.file
	if path == "" {
		dir, err := configurations()
		if err != nil {
			return 1, err
		}
		path = filepath.Join(dir, e.path)
	}
	if path, err = filepath.Abs(path); err != nil {
		return 1, fmt.Errorf("--file: %w", err)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // what a link leads to is replaced, not the link
	}
	old, info, err := readConfiguration(path)
	if err != nil {
		return 1, err
	}
	change := e.with
	if i.remove {
		change = e.without
	}
	text, err := change(old)
	if err != nil {
		return 1, fmt.Errorf("%s: %w", printable(path), err)
	}
	if i.print {
		return 0, output(text)
	}
	if err := writeConfiguration(path, text, info, bytes.Equal(text, old)); err != nil {
		return 1, err
	}
	if e.notes != nil && !i.remove {
		s.tellNotes(e.notes(path))
	}
	return 0, output([]byte(i.told(e, path, old, text)))
}

// told is what was done, and what there is to do now.
func (i *install) told(e *engineFile, path string, old, text []byte) string {
	undo := "mycr install " + e.flag + " --remove"
	if i.file != "" {
		undo += " --file " + path
	}
	switch {
	case bytes.Equal(old, text) && i.remove:
		return fmt.Sprintf("nothing to do: %s does not name mycr\n", path)
	case bytes.Equal(old, text):
		return fmt.Sprintf("nothing to do: %s says it already\nuse: %s\nundo: %s\n", path, e.use, undo)
	}
	var b strings.Builder
	switch {
	case text == nil:
		fmt.Fprintf(&b, "removed %s, which said no more than this\n", path)
	case i.remove:
		fmt.Fprintf(&b, "wrote %s: mycr is no runtime of %s any more\n", path, e.engine)
	default:
		fmt.Fprintf(&b, "wrote %s: %s\n", path, e.says)
	}
	if e.notice != "" {
		fmt.Fprintf(&b, "%s takes notice by: %s\n", e.engine, e.notice)
	}
	if !i.remove {
		fmt.Fprintf(&b, "use: %s\nundo: %s\n", e.use, undo)
	}
	return b.String()
}

// engine is the one that was named.
func (i *install) engine(exe string) (*engineFile, error) {
	var list []*engineFile
	if i.podman {
		list = append(list, podmanFile(exe))
	}
	if i.docker {
		list = append(list, dockerFile(exe))
	}
	if i.containerd {
		list = append(list, containerdFile(exe))
	}
	if len(list) != 1 {
		return nil, wrongUsage(errors.New("install takes one of --podman, --docker and --containerd"), "mycr install --help")
	}
	return list[0], nil
}

// executable is what the engine will start. One that other users can replace
// would be theirs to run as root.
func (i *install) executable() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find mycr's own executable: %w", err)
	}
	if _, err := os.Stat(exe); err != nil || strings.Contains(exe, "/go-build") {
		return "", &usageError{fmt.Errorf("%s does not stay where it is", printable(exe)), "make install"}
	}
	if printable(exe) != exe {
		return "", fmt.Errorf("%s has letters that a configuration cannot hold", printable(exe))
	}
	if i.remove || !container.RealRoot() {
		return exe, nil
	}
	for dir := exe; ; dir = filepath.Dir(dir) {
		var st unix.Stat_t
		if err := unix.Stat(dir, &st); err != nil {
			return "", fmt.Errorf("%s: %w", dir, err)
		}
		if st.Uid != 0 || st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0 {
			return "", &usageError{fmt.Errorf("%s can be written by others than root, for whom the engine would run it", dir), "make install"}
		}
		if dir == "/" {
			return exe, nil
		}
	}
}

// configurations is the directory below which engines have theirs.
func configurations() (string, error) {
	if container.RealRoot() {
		return "/etc", nil
	}
	if dir := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return dir, nil
	}
	if dir := home(); filepath.IsAbs(dir) {
		return filepath.Join(dir, ".config"), nil
	}
	return "", &usageError{errors.New("neither HOME nor /etc/passwd tells a home directory"), "--file FILE"}
}
