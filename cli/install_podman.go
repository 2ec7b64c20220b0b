// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mycr/container"
)

const podmanMark = "# Written by mycr install --podman, which writes all of it anew.\n"

// podmanGates are lists of runtimes that podman believes to have an ability,
// with the names that it has in them by itself, of any version: who sets such a
// list takes the place of that. containers.conf(5) calls the second one
// runtime_supports_nocgroups, podman reads it without the last letter; a key
// that is not known it passes over.
var podmanGates = [...]struct{ key, also, why, names string }{
	{"runtime_supports_json", "", "errors come as JSON: podman's own exit statuses 126 and 127", "crun runc kata runsc youki krun ocijail"},
	{"runtime_supports_nocgroup", "runtime_supports_nocgroups", "podman run --cgroups=disabled", "crun krun"},
}

// podmanFile is a file of our own beside containers.conf, which podman has
// read since version 4.
func podmanFile(exe string) *engineFile {
	return &engineFile{
		engine: "podman", flag: "--podman", path: "containers/containers.conf.d/mycr.conf",
		says: "engine.runtimes.mycr is " + exe,
		use:  "podman --runtime mycr run --rm IMAGE",
		with: func(old []byte) ([]byte, error) {
			if _, err := podmanOwn(old); err != nil {
				return nil, err
			}
			return podmanText(exe)
		},
		without: podmanOwn,
		notes:   podmanNotes,
	}
}

// podmanOwn returns nil, which removes the file, if it is ours.
func podmanOwn(old []byte) ([]byte, error) {
	if old != nil && !bytes.Contains(old, []byte(podmanMark)) {
		return nil, errors.New("mycr did not write this file, so it leaves it alone")
	}
	return nil, nil
}

func podmanText(exe string) ([]byte, error) {
	var b strings.Builder
	b.WriteString("# mycr as a runtime of podman's: podman --runtime mycr run …\n" + podmanMark +
		"# Undo: mycr install --podman --remove\n\n[engine]\n# A list takes the place of podman's, so its names are here too.\n")
	for _, gate := range podmanGates {
		names := strings.Fields(gate.names)
		err := podmanSettings(gate.key, gate.also, func(_ string, list []string, more bool) {
			if !more {
				names = nil
			}
			names = append(names, list...)
		})
		if err != nil {
			return nil, err
		}
		names = append(names, "mycr")
		var quoted []string
		for i, name := range names {
			if slices.Index(names, name) == i {
				quoted = append(quoted, strconv.Quote(name))
			}
		}
		fmt.Fprintf(&b, "# %s\n", gate.why)
		for _, key := range [...]string{gate.key, gate.also} {
			if key != "" {
				fmt.Fprintf(&b, "%s = [%s]\n", key, strings.Join(quoted, ", "))
			}
		}
	}
	fmt.Fprintf(&b, "\n[engine.runtimes]\nmycr = [%s]\n", strconv.Quote(exe))
	return []byte(b.String()), nil
}

// podmanConfigs are the files that podman reads, in its order, but for ours.
func podmanConfigs() []string {
	list := []string{"/usr/share/containers/containers.conf"}
	dirs := []string{"/etc"}
	if dir, err := configurations(); err == nil && !container.RealRoot() {
		dirs = append(dirs, dir)
	}
	for _, dir := range dirs {
		list = append(list, filepath.Join(dir, "containers/containers.conf"))
		more, err := filepath.Glob(filepath.Join(dir, "containers/containers.conf.d/*.conf"))
		if err != nil { // of the pattern
			continue
		}
		list = append(list, more...)
	}
	return list
}

// podmanSettings goes through all that set a list in engine, by either name.
func podmanSettings(key, also string, found func(path string, list []string, more bool)) error {
	for _, path := range podmanConfigs() {
		text, _, err := readConfiguration(path)
		if err != nil {
			return err
		}
		if bytes.Contains(text, []byte(podmanMark)) {
			continue
		}
		entries, err := scanTOML(string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, e := range entries {
			if e.header || !e.is("engine", key) && !e.is("engine", also) {
				continue
			}
			list, more, err := tomlStrings(e.value)
			if err != nil {
				return fmt.Errorf("%s: line %d: %s: %w", path, e.line, e.path[1], err)
			}
			found(path, list, more)
		}
	}
	return nil
}

// podmanNotes tells of files that podman reads after ours, and that set a list
// without mycr.
func podmanNotes(written string) []string {
	var notes []string
	if dir, usual := os.Getenv("XDG_CONFIG_HOME"), filepath.Join(home(), ".config"); strings.HasPrefix(written, dir+"/") && dir != "" && dir != usual {
		// podman 4.3 hands HOME on to conmon, and no more of what tells where the file is.
		notes = append(notes, "podman cleans up without XDG_CONFIG_HOME, and looks for the runtime in "+usual)
	}
	files := podmanConfigs()
	for _, gate := range podmanGates {
		// What cannot be read was an error before.
		_ = podmanSettings(gate.key, gate.also, func(path string, list []string, more bool) {
			after := slices.Index(files, path) > slices.Index(files, written)
			if after && slices.Contains(files, written) && !more && !slices.Contains(list, "mycr") {
				notes = append(notes, fmt.Sprintf("%s comes later and sets engine.%s without mycr", path, gate.key))
			}
		})
	}
	return notes
}
