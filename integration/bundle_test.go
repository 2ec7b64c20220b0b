// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// An edit changes a decoded config.json.
type edit func(config map[string]any)

// set gives the value at path, whose keys are joined by dots. A number is an index of an array, "-" its end. The
// value is what encoding/json makes of v, so a string that is to be JSON text is given as json.RawMessage.
func set(path string, v any) edit {
	return func(config map[string]any) {
		put(config, strings.Split(path, "."), v)
	}
}

// unset removes what is at path.
func unset(path string) edit {
	return set(path, removed{})
}

type removed struct{}

// args is the command, split at blanks; sh a shell's line.
func args(words ...string) edit { return set("process.args", words) }
func sh(line string) edit       { return args("/bin/sh", "-c", line) }

// mount appends a mount.
func mount(destination, kind, source string, options ...string) edit {
	return set("mounts.-", map[string]any{
		"destination": destination, "type": kind, "source": source, "options": options,
	})
}

// namespace adds a namespace, or gives the one of that type a path.
func namespace(kind, path string) edit {
	return func(config map[string]any) {
		entry := map[string]any{"type": kind}
		if path != "" {
			entry["path"] = path
		}
		linux := config["linux"].(map[string]any)
		list, _ := linux["namespaces"].([]any)
		for i, have := range list {
			if have.(map[string]any)["type"] == kind {
				list[i] = entry
				return
			}
		}
		linux["namespaces"] = append(list, entry)
	}
}

// withoutNamespace removes the namespace of that type.
func withoutNamespace(kind string) edit {
	return func(config map[string]any) {
		linux := config["linux"].(map[string]any)
		var kept []any
		for _, have := range linux["namespaces"].([]any) {
			if have.(map[string]any)["type"] != kind {
				kept = append(kept, have)
			}
		}
		linux["namespaces"] = kept
	}
}

func put(node any, keys []string, v any) any {
	if len(keys) == 0 {
		return v
	}
	key := keys[0]
	if list, ok := node.([]any); ok || key == "-" {
		if key == "-" {
			return append(list, put(nil, keys[1:], v))
		}
		i, err := strconv.Atoi(key)
		if err != nil || i >= len(list) {
			panic(fmt.Sprintf("no index %s in a list of %d", key, len(list)))
		}
		list[i] = put(list[i], keys[1:], v)
		return list
	}
	object, ok := node.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	child := put(object[key], keys[1:], v)
	if _, gone := child.(removed); gone {
		delete(object, key)
	} else {
		object[key] = child
	}
	return object
}

// baseConfig is a small config.json that every runtime can run in the present situation: mycr finds the mappings by
// itself, the others are told them.
func baseConfig(r runtime) map[string]any {
	text := `{
	"ociVersion": "1.0.2",
	"process": {
		"terminal": false,
		"user": {"uid": 0, "gid": 0},
		"args": ["true"],
		"env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
		"cwd": "/"
	},
	"root": {"path": "rootfs"},
	"hostname": "box",
	"mounts": [
		{"destination": "/proc", "type": "proc", "source": "proc"},
		{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]}
	],
	"linux": {"namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}]}
}`
	var config map[string]any
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		panic(err)
	}
	if r.name != "mycr" && situation == ordinaryUser {
		namespace("user", "")(config)
		one := func(id int) []any {
			return []any{map[string]any{"containerID": 0, "hostID": id, "size": 1}}
		}
		set("linux.uidMappings", one(os.Getuid()))(config)
		set("linux.gidMappings", one(os.Getgid()))(config)
	}
	return config
}

// makeBundle makes a bundle at dir: a root file system and the base config.json with edits.
func makeBundle(r runtime, dir string, edits ...edit) error {
	if err := makeRootfs(filepath.Join(dir, "rootfs")); err != nil {
		return err
	}
	config := baseConfig(r)
	for _, e := range edits {
		e(config)
	}
	return writeConfig(dir, config)
}

func writeConfig(dir string, config map[string]any) error {
	text, err := json.MarshalIndent(config, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), append(text, '\n'), 0o644)
}

func editConfig(dir string, edits ...edit) error {
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return err
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		return err
	}
	for _, e := range edits {
		e(config)
	}
	return writeConfig(dir, config)
}
