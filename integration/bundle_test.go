// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
)

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
	if err := template.Rootfs(filepath.Join(dir, "rootfs")); err != nil {
		return err
	}
	config := baseConfig(r)
	for _, e := range edits {
		e(config)
	}
	return writeConfig(dir, config)
}
