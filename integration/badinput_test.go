// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A badCase is a config.json that cannot be run as it is. Each is an error of one line that says what is wrong,
// within a bounded time, and nothing is left.
type badCase struct {
	name  string
	edits []edit
	text  string              // the whole config.json, in place of the base with edits
	file  func(string) error  // makes config.json at that path by itself
	tree  func(rootfs string) // prepares the root file system
	names []string            // what the error names
	only  string              // the situation in which it is wrong
}

func maps(entries ...[3]int64) []any {
	list := []any{}
	for _, e := range entries {
		list = append(list, map[string]any{"containerID": e[0], "hostID": e[1], "size": e[2]})
	}
	return list
}

// TestBadInput holds what 223 malformed inputs showed on other runtimes: several hang there, are taken silently, or
// end in a message that names nothing.
func TestBadInput(t *testing.T) {
	needBinary(t)
	cases := append(append(append(badFiles(), badProcess()...), badMounts()...), badLinux()...)
	names := map[string]bool{}
	for _, c := range cases {
		if names[c.name] {
			t.Fatalf("two cases are named %s", c.name)
		}
		names[c.name] = true
		if c.only != "" && c.only != situation {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t)
			dir := b.bundle("b", c.edits...)
			config := filepath.Join(dir, "config.json")
			if c.text != "" {
				os.WriteFile(config, []byte(c.text), 0o644)
			}
			if c.file != nil {
				os.Remove(config)
				if err := c.file(config); err != nil {
					t.Fatal(err)
				}
			}
			if c.tree != nil {
				c.tree(filepath.Join(dir, "rootfs"))
			}
			b.snapshot()
			r := b.run("run", "-b", dir, "c1")
			if r.status == 0 {
				t.Errorf("accepted: %v", r)
			} else {
				oneErrorLine(t, r, c.names...)
			}
			b.nothingLeft()
		})
	}
}

func badFiles() []badCase {
	deep := strings.Repeat("[", 100000)
	return []badCase{
		{name: "file/missing", file: func(string) error { return nil }, names: []string{"config.json"}},
		{name: "file/empty", file: func(p string) error { return os.WriteFile(p, nil, 0o644) }, names: []string{"config.json"}},
		{name: "file/fifo", file: func(p string) error { return unix.Mkfifo(p, 0o644) }, names: []string{"config.json"}},
		{name: "file/directory", file: func(p string) error { return os.Mkdir(p, 0o755) }, names: []string{"config.json"}},
		{name: "file/dangling", file: func(p string) error { return os.Symlink("/nope", p) }, names: []string{"config.json"}},
		{name: "file/dev-zero", file: func(p string) error { return os.Symlink("/dev/zero", p) }, names: []string{"config.json"}},
		{name: "file/unreadable", file: func(p string) error { return os.WriteFile(p, []byte("{}"), 0) }, names: []string{"config.json"}, only: ordinaryUser},
		{name: "file/empty-object", text: `{}`, names: []string{"ociVersion"}},
		{name: "file/null", text: `null`, names: []string{"config.json"}},
		{name: "file/array", text: `[]`, names: []string{"config.json"}},
		{name: "file/truncated", text: `{"ociVersion":"1.0`, names: []string{"config.json"}},
		{name: "file/trailing", text: mustText() + "garbage", names: []string{"config.json"}},
		{name: "file/deep", text: `{"ociVersion":"1.0.2","process":` + deep, names: []string{"config.json"}},
		{name: "ociVersion/missing", edits: []edit{unset("ociVersion")}, names: []string{"ociVersion"}},
		{name: "ociVersion/empty", edits: []edit{set("ociVersion", "")}, names: []string{"ociVersion"}},
		{name: "ociVersion/2", edits: []edit{set("ociVersion", "2.0.0")}, names: []string{"ociVersion", "2.0.0"}},
		{name: "ociVersion/word", edits: []edit{set("ociVersion", "x")}, names: []string{"ociVersion"}},
		{name: "ociVersion/number", edits: []edit{set("ociVersion", 5)}, names: []string{"ociVersion"}},
		{name: "root/missing", edits: []edit{unset("root")}, names: []string{"root"}},
		{name: "root/empty", edits: []edit{set("root.path", "")}, names: []string{"root.path"}},
		{name: "root/nope", edits: []edit{set("root.path", "nope")}, names: []string{"nope"}},
		{name: "root/file", edits: []edit{set("root.path", "config.json")}, names: []string{"config.json"}},
		{name: "root/nul", edits: []edit{set("root.path", "root\x00fs")}, names: []string{"root.path"}},
		{name: "hostname/long", edits: []edit{set("hostname", strings.Repeat("h", 65))}, names: []string{"hostname"}},
		{name: "hostname/no-uts", edits: []edit{withoutNamespace("uts")}, names: []string{"hostname"}},
		{name: "domainname/long", edits: []edit{set("domainname", strings.Repeat("d", 65))}, names: []string{"domainname"}},
		{name: "annotations/number", edits: []edit{set("annotations", map[string]any{"a": 1})}, names: []string{"annotations"}},
		{name: "annotations/empty-key", edits: []edit{set("annotations", map[string]any{"": "x"})}, names: []string{"annotations"}},
		{name: "hooks/relative", edits: []edit{set("hooks.prestart", []any{map[string]any{"path": "true"}})}, names: []string{"hooks.prestart[0]"}},
		{name: "hooks/no-path", edits: []edit{set("hooks.createRuntime", []any{map[string]any{"args": []string{"x"}}})}, names: []string{"hooks.createRuntime[0]"}},
		{name: "hooks/nope", edits: []edit{set("hooks.createContainer", []any{map[string]any{"path": "/nope"}})}, names: []string{"/nope"}},
		{name: "hooks/timeout-negative", edits: []edit{set("hooks.prestart", []any{map[string]any{"path": "/bin/true", "timeout": -1}})}, names: []string{"hooks.prestart[0]", "timeout"}},
		{name: "hooks/timeout-zero", edits: []edit{set("hooks.prestart", []any{map[string]any{"path": "/bin/true", "timeout": 0}})}, names: []string{"hooks.prestart[0]", "timeout"}},
		{name: "hooks/hangs", edits: []edit{set("hooks.prestart", []any{map[string]any{"path": "/bin/sleep", "args": []string{"sleep", "444"}, "timeout": 1}})}, names: []string{"/bin/sleep"}},
		{name: "vm", edits: []edit{set("vm", map[string]any{"kernel": map[string]any{"path": "/k"}})}, names: []string{"vm"}},
		{name: "windows", edits: []edit{set("windows", map[string]any{"layerFolders": []string{"x"}})}, names: []string{"windows"}},
		{name: "solaris", edits: []edit{set("solaris", map[string]any{"milestone": "x"})}, names: []string{"solaris"}},
	}
}

// mustText is the base config.json as text.
func mustText() string {
	text, err := json.Marshal(baseConfig(runtime{name: "mycr"}))
	if err != nil {
		panic(err)
	}
	return string(text)
}

func badProcess() []badCase {
	rlimit := func(kind string, soft, hard any) edit {
		return set("process.rlimits", []any{map[string]any{"type": kind, "soft": soft, "hard": hard}})
	}
	caps := func(sets map[string][]string) edit { return set("process.capabilities", sets) }
	return []badCase{
		{name: "process/missing", edits: []edit{unset("process")}, names: []string{"process"}},
		{name: "args/missing", edits: []edit{unset("process.args")}, names: []string{"process.args"}},
		{name: "args/empty", edits: []edit{args()}, names: []string{"process.args"}},
		{name: "args/empty-word", edits: []edit{args("")}, names: []string{"process.args[0]"}},
		{name: "args/nul", edits: []edit{args("/bin/true", "a\x00b")}, names: []string{"process.args[1]"}},
		{name: "args/nope", edits: []edit{args("/nope")}, names: []string{`exec: "/nope"`, "no such file or directory"}},
		{name: "args/not-in-path", edits: []edit{args("nosuch")}, names: []string{`exec: "nosuch": executable file not found in $PATH`}},
		{name: "args/directory", edits: []edit{args("/tmp")}, names: []string{`exec: "/tmp"`}},
		{name: "args/not-executable", edits: []edit{args("/etc/passwd")}, names: []string{`exec: "/etc/passwd": permission denied`}},
		{name: "args/number", edits: []edit{set("process.args", []any{5})}, names: []string{"process.args"}},
		{name: "args/string", edits: []edit{set("process.args", "true")}, names: []string{"process.args"}},
		{name: "args/too-long", edits: []edit{args("/bin/true", strings.Repeat("x", 200000))}, names: []string{"/bin/true", "argument list too long"}},
		{name: "cwd/missing", edits: []edit{unset("process.cwd")}, names: []string{"process.cwd"}},
		{name: "cwd/empty", edits: []edit{set("process.cwd", "")}, names: []string{"process.cwd"}},
		{name: "cwd/relative", edits: []edit{set("process.cwd", "tmp")}, names: []string{"process.cwd", "tmp"}},
		{name: "cwd/file", edits: []edit{set("process.cwd", "/etc/passwd")}, names: []string{"process.cwd", "/etc/passwd"}},
		{name: "cwd/nul", edits: []edit{set("process.cwd", "/a\x00b")}, names: []string{"process.cwd"}},
		{name: "env/no-equals", edits: []edit{set("process.env", []string{"FOO"})}, names: []string{"process.env[0]", "FOO"}},
		{name: "env/no-name", edits: []edit{set("process.env", []string{"=x"})}, names: []string{"process.env[0]"}},
		{name: "env/nul", edits: []edit{set("process.env", []string{"A=b\x00c"})}, names: []string{"process.env[0]"}},
		{name: "uid/negative", edits: []edit{set("process.user.uid", -1)}, names: []string{"process.user.uid"}},
		{name: "uid/highest", edits: []edit{set("process.user.uid", 4294967295)}, names: []string{"process.user.uid", "4294967295"}},
		{name: "uid/beyond", edits: []edit{set("process.user.uid", 4294967296)}, names: []string{"process.user.uid"}},
		{name: "uid/unmapped", edits: []edit{set("process.user.uid", 3000000000)}, names: []string{"process.user.uid", "3000000000"}, only: ordinaryUser},
		{name: "uid/string", edits: []edit{set("process.user.uid", "0")}, names: []string{"process.user.uid"}},
		{name: "uid/fraction", edits: []edit{set("process.user.uid", 1.5)}, names: []string{"process.user.uid"}},
		{name: "umask/beyond", edits: []edit{set("process.user.umask", 0o1000000)}, names: []string{"process.user.umask"}},
		{name: "caps/effective-above-permitted", edits: []edit{caps(map[string][]string{"bounding": {"CAP_KILL"}, "effective": {"CAP_KILL"}})}, names: []string{"process.capabilities", "CAP_KILL"}},
		{name: "rlimit/unknown", edits: []edit{rlimit("RLIMIT_NOPE", 1, 1)}, names: []string{"process.rlimits[0]", "RLIMIT_NOPE"}},
		{name: "rlimit/soft-above-hard", edits: []edit{rlimit("RLIMIT_NOFILE", 10, 5)}, names: []string{"process.rlimits[0]", "10", "5"}},
		{name: "rlimit/above-own-hard", edits: []edit{rlimit("RLIMIT_NOFILE", 4000000000, 4000000000)}, names: []string{"process.rlimits[0]", "4000000000"}},
		{name: "rlimit/twice", edits: []edit{rlimit("RLIMIT_NOFILE", 5, 5), set("process.rlimits.-", map[string]any{"type": "RLIMIT_NOFILE", "soft": 6, "hard": 6})}, names: []string{"process.rlimits[1]", "RLIMIT_NOFILE"}},
		{name: "rlimit/negative", edits: []edit{rlimit("RLIMIT_NOFILE", -1, 5)}, names: []string{"process.rlimits"}},
		{name: "oom/beyond", edits: []edit{set("process.oomScoreAdj", 1001)}, names: []string{"process.oomScoreAdj", "1001"}},
		{name: "oom/below-own", edits: []edit{set("process.oomScoreAdj", -1000)}, names: []string{"process.oomScoreAdj", "-1000"}, only: ordinaryUser},
		{name: "consoleSize/negative", edits: []edit{set("process.consoleSize", map[string]any{"height": -1, "width": 1})}, names: []string{"process.consoleSize"}},
		{name: "apparmor/nope", edits: []edit{set("process.apparmorProfile", "nope")}, names: []string{"process.apparmorProfile", "nope"}},
		{name: "selinux/nope", edits: []edit{set("process.selinuxLabel", "nope")}, names: []string{"process.selinuxLabel", "nope"}},
		{name: "scheduler/unknown", edits: []edit{set("process.scheduler", map[string]any{"policy": "SCHED_NOPE"})}, names: []string{"process.scheduler", "SCHED_NOPE"}},
		{name: "ioPriority/unknown", edits: []edit{set("process.ioPriority", map[string]any{"class": "NOPE", "priority": 1})}, names: []string{"process.ioPriority", "NOPE"}},
		{name: "affinity/words", edits: []edit{set("process.execCPUAffinity", map[string]any{"initial": "x"})}, names: []string{"process.execCPUAffinity"}},
	}
}

func badMounts() []badCase {
	m := func(v map[string]any) []edit { return []edit{set("mounts.-", v)} }
	tmpfs := func(destination string, options ...string) []edit {
		return []edit{mount(destination, "tmpfs", "t", options...)}
	}
	bind := func(source, destination string) []edit {
		return []edit{mount(destination, "bind", source, "bind")}
	}
	many := func(n int, destination func(i int) string) edit {
		return func(config map[string]any) {
			for i := range n {
				mount(destination(i), "nope", "t")(config)
			}
		}
	}
	return []badCase{
		{name: "mount/no-destination", edits: m(map[string]any{"type": "tmpfs"}), names: []string{"mounts[2]", "destination"}},
		{name: "mount/root", edits: tmpfs("/"), names: []string{"mounts[2]"}},
		{name: "mount/type", edits: []edit{mount("/tmp", "nope", "t")}, names: []string{"mounts[2]", "nope"}},
		{name: "mount/option", edits: tmpfs("/tmp", "nope"), names: []string{"mounts[2]", "nope"}},
		{name: "mount/nul", edits: tmpfs("/tmp\x00x"), names: []string{"mounts[2]"}},
		{name: "mount/component-300", edits: tmpfs("/" + strings.Repeat("d", 300)), names: []string{"mounts[2]", "300"}},
		{name: "mount/path-5000", edits: tmpfs(strings.Repeat("/d", 2500)), names: []string{"mounts[2]"}},
		{name: "mount/options-8k", edits: tmpfs("/tmp", "size="+strings.Repeat("1", 8192)), names: []string{"mounts[2]"}},
		{name: "mount/10000-bad", edits: []edit{many(10000, func(i int) string { return "/mnt" })}, names: []string{"mounts[2]", "nope"}},
		{name: "bind/nope", edits: bind("/nope", "/tmp"), names: []string{"mounts[2]", "/nope"}},
		{name: "bind/no-source", edits: m(map[string]any{"destination": "/tmp", "type": "bind", "options": []string{"bind"}}), names: []string{"mounts[2]"}},
		{name: "bind/file-on-directory", edits: bind("/etc/passwd", "/tmp"), names: []string{"mounts[2]"}},
		{name: "bind/directory-on-file", edits: bind("/tmp", "/etc/passwd"), names: []string{"mounts[2]"}},
		{name: "bind/into-proc", edits: bind("/tmp", "/proc/sys"), names: []string{"mounts[2]", "/proc/sys"}},
		{name: "mount/symlink-loop", edits: tmpfs("/loop/x"), names: []string{"mounts[2]", "loop"},
			tree: func(rootfs string) { os.Symlink("loop", filepath.Join(rootfs, "loop")) }},
		{name: "mount/below-a-file", edits: tmpfs("/etc/passwd/x"), names: []string{"mounts[2]"}},
		{name: "mount/idmap-half", edits: m(map[string]any{"destination": "/tmp", "type": "bind", "source": "/tmp", "options": []string{"bind"}, "uidMappings": maps([3]int64{0, 0, 1})}), names: []string{"mounts[2]"}},
	}
}

func badLinux() []badCase {
	seccomp := func(v map[string]any) []edit { return []edit{set("linux.seccomp", v)} }
	rule := func(v map[string]any) []edit {
		v["names"] = []string{"read"}
		return seccomp(map[string]any{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []any{v}})
	}
	uids := func(entries ...[3]int64) []edit {
		return []edit{namespace("user", ""), set("linux.uidMappings", maps(entries...)), set("linux.gidMappings", maps(entries...))}
	}
	own := int64(os.Getuid())
	sysctl := func(key, value string) []edit {
		return []edit{namespace("network", ""), set("linux.sysctl", map[string]any{key: value})}
	}
	device := func(v map[string]any) []edit { return []edit{set("linux.devices", []any{v})} }
	resources := func(path string, v any) []edit { return []edit{set("linux.resources."+path, v)} }
	return []badCase{
		{name: "namespace/unknown", edits: []edit{namespace("nope", "")}, names: []string{"linux.namespaces[4]", "nope"}},
		{name: "namespace/twice", edits: []edit{set("linux.namespaces.-", map[string]any{"type": "pid"})}, names: []string{"linux.namespaces[4]", "pid"}},
		{name: "namespace/path-nope", edits: []edit{namespace("network", "/nope")}, names: []string{"linux.namespaces[4]", "/nope"}},
		{name: "namespace/path-of-another-kind", edits: []edit{namespace("network", "/proc/self/ns/uts")}, names: []string{"linux.namespaces[4]", "/proc/self/ns/uts"}},
		{name: "namespace/path-of-a-file", edits: []edit{namespace("network", "/etc/passwd")}, names: []string{"linux.namespaces[4]", "/etc/passwd"}},
		{name: "namespace/path-relative", edits: []edit{namespace("network", "x")}, names: []string{"linux.namespaces[4]"}},
		{name: "namespace/path-fifo", edits: []edit{namespace("network", "/dev/null")}, names: []string{"linux.namespaces[4]", "/dev/null"}},
		{name: "namespace/no-mount", edits: []edit{withoutNamespace("mount")}, names: []string{"mount"}},
		{name: "maps/without-user-namespace", edits: []edit{set("linux.uidMappings", maps([3]int64{0, own, 1})), set("linux.gidMappings", maps([3]int64{0, own, 1}))}, names: []string{"linux.uidMappings"}, only: realRoot},
		{name: "maps/foreign", edits: uids([3]int64{0, 4000000, 1}), names: []string{"linux.uidMappings[0]", "4000000"}, only: ordinaryUser},
		{name: "maps/size-0", edits: uids([3]int64{0, own, 0}), names: []string{"linux.uidMappings[0]"}},
		{name: "maps/overlap-inside", edits: uids([3]int64{0, own, 1}, [3]int64{0, own + 1, 1}), names: []string{"linux.uidMappings[1]"}},
		{name: "maps/overlap-outside", edits: uids([3]int64{0, own, 1}, [3]int64{1, own, 1}), names: []string{"linux.uidMappings[1]"}},
		{name: "maps/beyond-subordinate", edits: uids([3]int64{0, own, 1}, [3]int64{1, 4000000, 70000}), names: []string{"linux.uidMappings[1]"}, only: ordinaryUser},
		{name: "maps/wrap", edits: uids([3]int64{0, 4294967000, 1000}), names: []string{"linux.uidMappings[0]"}},
		{name: "maps/no-root", edits: append(uids([3]int64{5, own, 1}), set("process.user.uid", 6)), names: []string{"process.user.uid"}},
		{name: "sysctl/host", edits: sysctl("kernel.panic", "1"), names: []string{"linux.sysctl", "kernel.panic"}},
		{name: "sysctl/dots", edits: sysctl("net/../kernel/panic", "1"), names: []string{"linux.sysctl", "net/../kernel/panic"}},
		{name: "sysctl/dots-inside", edits: sysctl("net.x/../../kernel.core_pattern", "x"), names: []string{"linux.sysctl"}},
		{name: "sysctl/plus", edits: sysctl("kernel.shm_rmid_forced=1+kernel.core_pattern", "x"), names: []string{"linux.sysctl"}},
		{name: "sysctl/newline", edits: sysctl("kernel.shm_rmid_forced", "1\n2"), names: []string{"linux.sysctl", "kernel.shm_rmid_forced"}},
		{name: "sysctl/hostname", edits: sysctl("kernel.hostname", "x"), names: []string{"kernel.hostname"}},
		{name: "sysctl/nope", edits: sysctl("net.nope", "1"), names: []string{"net.nope"}},
		{name: "sysctl/number", edits: []edit{set("linux.sysctl", map[string]any{"kernel.shmmax": 1})}, names: []string{"linux.sysctl"}},
		{name: "sysctl/no-network-namespace", edits: []edit{set("linux.sysctl", map[string]any{"net.ipv4.ip_forward": "1"})}, names: []string{"net.ipv4.ip_forward"}},
		{name: "device/type", edits: device(map[string]any{"path": "/dev/x", "type": "z"}), names: []string{"linux.devices[0]"}},
		{name: "device/relative", edits: device(map[string]any{"path": "x", "type": "c", "major": 1, "minor": 3}), names: []string{"linux.devices[0]"}},
		{name: "device/negative", edits: device(map[string]any{"path": "/dev/x", "type": "c", "major": -1, "minor": 3}), names: []string{"linux.devices[0]"}},
		{name: "device/mem", edits: device(map[string]any{"path": "/dev/mem", "type": "c", "major": 1, "minor": 200}), names: []string{"linux.devices[0]"}, only: ordinaryUser},
		{name: "memory/limit", edits: resources("memory.limit", 1000000), names: []string{"linux.resources.memory.limit"}},
		{name: "memory/negative", edits: resources("memory.limit", -2), names: []string{"linux.resources.memory.limit"}},
		{name: "memory/swap", edits: append(resources("memory.limit", 2000000), set("linux.resources.memory.swap", 1000000)), names: []string{"linux.resources.memory"}},
		{name: "memory/string", edits: resources("memory.limit", "1"), names: []string{"linux.resources.memory.limit"}},
		{name: "memory/beyond", edits: resources("memory.limit", json.RawMessage("9223372036854775808")), names: []string{"linux.resources.memory.limit"}},
		{name: "pids/limit", edits: resources("pids.limit", 5), names: []string{"linux.resources.pids.limit"}},
		{name: "cpu/quota", edits: resources("cpu.quota", 1), names: []string{"linux.resources.cpu"}},
		{name: "cpuset/words", edits: resources("cpu.cpus", "x"), names: []string{"linux.resources.cpu"}},
		{name: "unified/dots", edits: resources("unified", map[string]any{"../cgroup.procs": "1"}), names: []string{"linux.resources.unified"}},
		{name: "intelRdt", edits: []edit{set("linux.intelRdt", map[string]any{"closID": "../x"})}, names: []string{"linux.intelRdt"}},
		{name: "netDevices", edits: []edit{set("linux.netDevices", map[string]any{"eth0": map[string]any{}})}, names: []string{"linux.netDevices"}},
		{name: "seccomp/no-default", edits: seccomp(map[string]any{"syscalls": []any{}}), names: []string{"linux.seccomp.defaultAction"}},
		{name: "seccomp/action", edits: seccomp(map[string]any{"defaultAction": "SCMP_ACT_X"}), names: []string{"linux.seccomp", "SCMP_ACT_X"}},
		{name: "seccomp/architecture", edits: seccomp(map[string]any{"defaultAction": "SCMP_ACT_ALLOW", "architectures": []string{"SCMP_ARCH_X"}}), names: []string{"linux.seccomp", "SCMP_ARCH_X"}},
		{name: "seccomp/operator", edits: rule(map[string]any{"action": "SCMP_ACT_ERRNO", "args": []any{map[string]any{"index": 0, "value": 1, "op": "SCMP_CMP_X"}}}), names: []string{"linux.seccomp", "SCMP_CMP_X"}},
		{name: "seccomp/index", edits: rule(map[string]any{"action": "SCMP_ACT_ERRNO", "args": []any{map[string]any{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}}}), names: []string{"linux.seccomp", "6"}},
		{name: "seccomp/errno-of-allow", edits: rule(map[string]any{"action": "SCMP_ACT_ALLOW", "errnoRet": 1}), names: []string{"linux.seccomp", "errnoRet"}},
		{name: "seccomp/no-names", edits: seccomp(map[string]any{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []any{map[string]any{"names": []string{}, "action": "SCMP_ACT_ERRNO"}}}), names: []string{"linux.seccomp"}},
		{name: "seccomp/notify-no-listener", edits: rule(map[string]any{"action": "SCMP_ACT_NOTIFY"}), names: []string{"linux.seccomp.listenerPath"}},
		{name: "seccomp/notify-nobody-listens", edits: append(rule(map[string]any{"action": "SCMP_ACT_NOTIFY"}), set("linux.seccomp.listenerPath", "/nope")), names: []string{"/nope"}},
		{name: "seccomp/flag", edits: seccomp(map[string]any{"defaultAction": "SCMP_ACT_ALLOW", "flags": []string{"NOPE"}}), names: []string{"linux.seccomp", "NOPE"}},
		{name: "propagation", edits: []edit{set("linux.rootfsPropagation", "x")}, names: []string{"linux.rootfsPropagation", "x"}},
		{name: "masked/relative", edits: []edit{set("linux.maskedPaths", []string{"x"})}, names: []string{"linux.maskedPaths[0]"}},
		{name: "masked/root", edits: []edit{set("linux.maskedPaths", []string{"/"})}, names: []string{"linux.maskedPaths[0]"}},
		{name: "readonly/relative", edits: []edit{set("linux.readonlyPaths", []string{"x"})}, names: []string{"linux.readonlyPaths[0]"}},
		{name: "personality", edits: []edit{set("linux.personality", map[string]any{"domain": "X"})}, names: []string{"linux.personality", "X"}},
		{name: "memoryPolicy", edits: []edit{set("linux.memoryPolicy", map[string]any{"mode": "X"})}, names: []string{"linux.memoryPolicy", "X"}},
		{name: "timeOffsets/no-namespace", edits: []edit{set("linux.timeOffsets", map[string]any{"boottime": map[string]any{"secs": 1}})}, names: []string{"linux.timeOffsets"}},
		{name: "timeOffsets/clock", edits: []edit{namespace("time", ""), set("linux.timeOffsets", map[string]any{"nope": map[string]any{"secs": 1}})}, names: []string{"linux.timeOffsets", "nope"}},
		{name: "cgroupsPath/dots", edits: []edit{set("linux.cgroupsPath", "/../../x")}, names: []string{"linux.cgroupsPath"}},
	}
}

// TestGoodInput holds what looks odd and is to be taken: unknown properties are ignored, as the specification says.
func TestGoodInput(t *testing.T) {
	cases := []badCase{
		{name: "plain"},
		{name: "unknown-property", edits: []edit{set("nope", 1), set("root.nope", 1), set("linux.nope", map[string]any{})}},
		{name: "big-annotation", edits: []edit{set("annotations", map[string]any{"a": strings.Repeat("x", 1<<20)})}},
		{name: "config-symlink", file: func(p string) error {
			if err := os.WriteFile(p+".real", []byte(mustText()), 0o644); err != nil {
				return err
			}
			return os.Symlink("config.json.real", p)
		}},
		{name: "ociVersion-1.3", edits: []edit{set("ociVersion", "1.3.0")}},
		{name: "ociVersion-dev", edits: []edit{set("ociVersion", "1.0.2-dev")}},
		{name: "masked-missing", edits: []edit{set("linux.maskedPaths", []string{"/proc/nope"}), set("linux.readonlyPaths", []string{"/nope"})}},
		{name: "seccomp-unknown-syscall", edits: []edit{set("linux.seccomp", map[string]any{"defaultAction": "SCMP_ACT_ALLOW",
			"syscalls": []any{map[string]any{"names": []string{"frobnicate", "chmod"}, "action": "SCMP_ACT_ERRNO"}}})}},
		{name: "300-mounts", edits: []edit{func(config map[string]any) {
			for i := range 300 {
				mount(fmt.Sprintf("/tmp/%d", i), "tmpfs", "t")(config)
			}
		}, mount("/tmp", "tmpfs", "t")}},
		{name: "relative-destination", edits: []edit{mount("tmp", "tmpfs", "t"), sh("grep ' /tmp ' /proc/self/mountinfo")}},
		{name: "ambient-not-inheritable", edits: []edit{set("process.capabilities", map[string][]string{"bounding": {"CAP_KILL"}, "permitted": {"CAP_KILL"}, "ambient": {"CAP_KILL"}})}},
		{name: "nested-mounts", edits: []edit{mount("/tmp", "tmpfs", "t"), func(config map[string]any) {
			for i := range 100 {
				mount("/tmp"+strings.Repeat("/d", i+1), "tmpfs", "t")(config)
			}
		}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t)
			dir := b.bundle("b", c.edits...)
			if c.file != nil {
				os.Remove(filepath.Join(dir, "config.json"))
				if err := c.file(filepath.Join(dir, "config.json")); err != nil {
					t.Fatal(err)
				}
			}
			b.before = takeSnapshot(b.path("run"))
			if r := b.run("run", "-b", dir, "c1"); r.status != 0 {
				t.Errorf("refused: %v", r)
			}
			b.nothingLeft()
		})
	}
}
