// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"mycr/container"
)

// What stands around our part of config.toml.
const (
	containerdBegin = "# mycr install --containerd: from here\n"
	containerdEnd   = "# mycr install --containerd: to here\n"
)

// containerdFile is config.toml. Our tables are put at its end, where they
// change nothing that stands before. A file of its own for `imports` would not
// do: containerd before 2.0 lets it take the place of all that config.toml says
// of the same plugin.
func containerdFile(exe string) *engineFile {
	e := &engineFile{
		engine: "containerd", flag: "--containerd", path: "containerd/config.toml",
		says:   "the runtime mycr is " + exe,
		notice: "systemctl restart containerd",
		use:    "crictl runp --runtime=mycr POD.json; or a RuntimeClass with handler: mycr",
		with:   func(old []byte) ([]byte, error) { return containerdWith(old, exe) }, without: containerdWithout,
	}
	if !container.RealRoot() {
		e.notice = "systemctl --user restart containerd"
	}
	return e
}

// containerdPlugin is the plugin with the runtimes, by the version of config.toml.
func containerdPlugin(version string) (string, error) {
	switch version {
	case "2": // containerd 1.3 and later; 2.0 reads it too
		return "io.containerd.grpc.v1.cri", nil
	case "3": // containerd 2.0 and later
		return "io.containerd.cri.v1.runtime", nil
	case "", "1":
		return "", &usageError{errors.New("a configuration of version 1, which is none of 2 and 3"), "containerd config migrate"}
	}
	return "", fmt.Errorf("version = %s is none of 2 and 3", version)
}

func containerdWith(old []byte, exe string) ([]byte, error) {
	text, err := containerdWithout(old)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		text = append(text, "version = 2\n"...)
	}
	entries, err := scanTOML(string(text))
	if err != nil {
		return nil, err
	}
	version := ""
	for _, e := range entries {
		if !e.header && e.is("version") {
			version = e.value
		}
	}
	plugin, err := containerdPlugin(version)
	if err != nil {
		return nil, err
	}
	path := []string{"plugins", plugin, "containerd", "runtimes", "mycr"}
	ours := tomlEntry{path: path}
	for _, e := range entries {
		switch {
		case ours.within(e.path) && (e.header || len(e.path) > len(path)):
			return nil, fmt.Errorf("line %d: the runtime mycr is there already, by another hand", e.line)
		case !e.header && e.within(path):
			return nil, fmt.Errorf("line %d: %s is written in one piece, to which no table can be added", e.line, strings.Join(e.path, "."))
		}
	}
	table := fmt.Sprintf("plugins.%s.containerd.runtimes.mycr", strconv.Quote(plugin))
	if !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, '\n')
	}
	return fmt.Appendf(text, "%s[%s]\nruntime_type = \"io.containerd.runc.v2\"\n[%s.options]\nBinaryName = %s\n%s",
		containerdBegin, table, table, strconv.Quote(exe), containerdEnd), nil
}

func containerdWithout(old []byte) ([]byte, error) {
	from := bytes.Index(old, []byte(containerdBegin))
	if from < 0 {
		return old, nil
	}
	length := bytes.Index(old[from:], []byte(containerdEnd))
	if length < 0 {
		return nil, fmt.Errorf("line %d begins mycr's part, and no line %q ends it", 1+bytes.Count(old[:from], []byte("\n")), strings.TrimSpace(containerdEnd))
	}
	text := splice(old, from, from+length+len(containerdEnd), "")
	if string(text) == "version = 2\n" { // as where there was no file
		return nil, nil
	}
	return text, nil
}
