// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// An Edit changes a decoded config.json.
type Edit func(config map[string]any)

// Set gives the value at path, whose keys are joined by dots. A number is an index of an array, "-" its end. The
// value is what encoding/json makes of v, so a string that is to be JSON text is given as json.RawMessage.
func Set(path string, v any) Edit {
	return func(config map[string]any) {
		put(config, strings.Split(path, "."), v)
	}
}

// Unset removes what is at path.
func Unset(path string) Edit {
	return Set(path, removed{})
}

type removed struct{}

// Args is the command; Sh a shell's line.
func Args(words ...string) Edit { return Set("process.args", words) }
func Sh(line string) Edit       { return Args("/bin/sh", "-c", line) }

// Mount appends a mount.
func Mount(destination, kind, source string, options ...string) Edit {
	return Set("mounts.-", map[string]any{
		"destination": destination, "type": kind, "source": source, "options": options,
	})
}

// Capabilities are those that the process has, and no other.
func Capabilities(names ...string) Edit {
	return Set("process.capabilities", map[string]any{"bounding": names, "effective": names, "permitted": names})
}

// IDs gives the container a user namespace that maps its ids from 0 on to size ids of the host.
func IDs(uid, gid, size int) Edit {
	mapping := func(id int) []any { return []any{map[string]any{"containerID": 0, "hostID": id, "size": size}} }
	return func(config map[string]any) {
		Namespace("user", "")(config)
		Set("linux.uidMappings", mapping(uid))(config)
		Set("linux.gidMappings", mapping(gid))(config)
	}
}

// Namespace adds a namespace, or gives the one of that type a path.
func Namespace(kind, path string) Edit {
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

// WithoutNamespace removes the namespace of that type.
func WithoutNamespace(kind string) Edit {
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

// WriteConfig writes the config.json of the bundle at dir.
func WriteConfig(dir string, config map[string]any) error {
	text, err := json.MarshalIndent(config, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), append(text, '\n'), 0o644)
}

// EditConfig changes the config.json of the bundle at dir.
func EditConfig(dir string, edits ...Edit) error {
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
	return WriteConfig(dir, config)
}
