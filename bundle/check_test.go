// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// good is a small valid configuration as JSON text values, by path.
const good = `{"ociVersion":"1.0.2","process":{"user":{"uid":0,"gid":0},"args":["/bin/true"],"cwd":"/",
"env":["PATH=/bin"]},"root":{"path":"rootfs"},"hostname":"h","mounts":[{"destination":"/proc","type":"proc","source":"proc"}],
"linux":{"namespaces":[{"type":"pid"},{"type":"ipc"},{"type":"uts"},{"type":"mount"},{"type":"network"},{"type":"user"},{"type":"time"}],
"resources":{"devices":[{"allow":false,"access":"rwm"}]}}}`

// with is good with the value at a dotted path replaced; no value takes the
// property away.
func with(t *testing.T, path, value string) []byte {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal([]byte(good), &root); err != nil {
		t.Fatal(err)
	}
	if path != "" {
		at, parts := root, strings.Split(path, "/")
		for _, p := range parts[:len(parts)-1] {
			if _, ok := at[p].(map[string]any); !ok {
				at[p] = map[string]any{}
			}
			at = at[p].(map[string]any)
		}
		last := parts[len(parts)-1]
		if value == "" {
			delete(at, last)
		} else {
			at[last] = json.RawMessage(value)
		}
	}
	data, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func namespaces(kinds ...string) string {
	var b strings.Builder
	for i, k := range kinds {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"type":%q}`, k)
	}
	return "[" + b.String() + "]"
}

func TestCheckRefuses(t *testing.T) {
	long := strings.Repeat("d", 300)
	deep := strings.Repeat("/d", 2500)
	tests := []struct{ path, value, want string }{
		{"ociVersion", ``, "ociVersion: missing or empty"},
		{"ociVersion", `""`, "ociVersion: missing or empty"},
		{"ociVersion", `"2.0.0"`, `ociVersion: "2.0.0" is not supported`},
		{"ociVersion", `"0.9.0"`, `ociVersion: "0.9.0" is not supported`},
		{"ociVersion", `"1.0"`, `ociVersion: "1.0" is not a semantic version`},
		{"ociVersion", `"x"`, `ociVersion: "x" is not a semantic version`},
		{"ociVersion", `"1.0.2-"`, "is not a semantic version"},
		{"ociVersion", `"1.0.02"`, "is not a semantic version"},
		{"ociVersion", `"1.0.2-rc_1"`, "is not a semantic version"},

		{"process", ``, "process property must not be empty"},
		{"process/args", ``, "args must not be empty"},
		{"process/args", `[]`, "args must not be empty"},
		{"process/args", `[""]`, "process.args[0]: the program's name is empty"},
		{"process/commandLine", `"x"`, "process.commandLine: not supported"},
		{"process/cwd", ``, "process.cwd: missing or empty"},
		{"process/cwd", `""`, "process.cwd: missing or empty"},
		{"process/cwd", `"tmp"`, `process.cwd: "tmp" is not an absolute path`},
		{"process/env", `["FOO"]`, `process.env[0]: "FOO" is not NAME=value`},
		{"process/env", `["A=b","=x"]`, `process.env[1]: "=x" has no name`},
		{"process/env", `["A=b\u0000c"]`, `process.env[0]: holds the character \u0000`},
		{"process/user/uid", `4294967295`, "process.user.uid: 4294967295 is no user id"},
		{"process/user/gid", `4294967295`, "process.user.gid: 4294967295 is no group id"},
		{"process/user/additionalGids", `[1,4294967295]`, "process.user.additionalGids[1]: 4294967295"},
		{"process/user/umask", `262144`, "process.user.umask: 262144 is above 511"},
		{"process/user/username", `"root"`, "process.user.username: not supported"},
		{"process/capabilities", `{"effective":["CAP_KILL"]}`, `process.capabilities.effective[0]: "CAP_KILL" is not in process.capabilities.permitted`},
		{"process/rlimits", `[{"type":"RLIMIT_NOPE"}]`, `process.rlimits[0].type: "RLIMIT_NOPE" is not known`},
		{"process/rlimits", `[{"type":"RLIMIT_NOFILE","soft":10,"hard":5}]`, "process.rlimits[0]: RLIMIT_NOFILE: soft 10 is above hard 5"},
		{"process/rlimits", `[{"type":"RLIMIT_CPU"},{"type":"RLIMIT_CPU"}]`, `process.rlimits[1].type: "RLIMIT_CPU" is given twice`},
		{"process/oomScoreAdj", `1001`, "process.oomScoreAdj: 1001 is not from -1000 to 1000"},
		{"process/oomScoreAdj", `-1001`, "process.oomScoreAdj: -1001"},
		{"process/apparmorProfile", `"a\nb"`, `process.apparmorProfile: "a\nb"`},
		{"process/selinuxLabel", `"a\u001b[31m"`, `process.selinuxLabel: "a\x1b[31m"`},
		{"process/scheduler", `{"policy":"SCHED_X"}`, `process.scheduler.policy: "SCHED_X" is not known`},
		{"process/scheduler", `{}`, `process.scheduler.policy: "" is not known`},
		{"process/scheduler", `{"policy":"SCHED_ISO"}`, `process.scheduler.policy: "SCHED_ISO": not supported`},
		{"process/scheduler", `{"policy":"SCHED_OTHER","nice":20}`, "process.scheduler.nice: 20 is not from -20 to 19"},
		{"process/scheduler", `{"policy":"SCHED_OTHER","priority":1}`, "process.scheduler.priority: 1 is not 0"},
		{"process/scheduler", `{"policy":"SCHED_FIFO"}`, "process.scheduler.priority: 0 is not from 1 to 99"},
		{"process/scheduler", `{"policy":"SCHED_RR","priority":100}`, "process.scheduler.priority: 100 is not from 1 to 99"},
		{"process/scheduler", `{"policy":"SCHED_OTHER","runtime":5000}`, "process.scheduler: runtime 5000"},
		{"process/scheduler", `{"policy":"SCHED_DEADLINE","runtime":5000,"deadline":4000}`, "process.scheduler: runtime 5000, deadline 4000"},
		{"process/scheduler", `{"policy":"SCHED_DEADLINE"}`, "process.scheduler: runtime 0"},
		{"process/scheduler", `{"policy":"SCHED_OTHER","flags":["X"]}`, `process.scheduler.flags[0]: "X" is not known`},
		{"process/ioPriority", `{"class":"IOPRIO_CLASS_X"}`, `process.ioPriority.class: "IOPRIO_CLASS_X" is not known`},
		{"process/ioPriority", `{"class":"IOPRIO_CLASS_BE","priority":8}`, "process.ioPriority.priority: 8 is not from 0 to 7"},
		{"process/ioPriority", `{"class":"IOPRIO_CLASS_BE","priority":-1}`, "process.ioPriority.priority: -1"},
		{"process/execCPUAffinity", `{"initial":"3-1"}`, `process.execCPUAffinity.initial: "3-1"`},
		{"process/execCPUAffinity", `{"final":"x"}`, `process.execCPUAffinity.final: "x"`},
		{"process/execCPUAffinity", `{"final":"0,"}`, `process.execCPUAffinity.final: ""`},

		{"root", ``, "root must be specified"},
		{"root/path", `""`, "root.path: missing or empty"},
		{"root/path", `"a\u0000b"`, `root.path: holds the character \u0000`},
		{"root/path", `"` + long + `"`, "root.path: the name"},
		{"hostname", `"` + strings.Repeat("x", 65) + `"`, "is 65 bytes long, the kernel takes 64"},
		{"domainname", `"` + strings.Repeat("x", 65) + `"`, "domainname: "},
		{"hostname", `"a\nb"`, `hostname: "a\nb" holds a control character`},
		{"linux/namespaces", namespaces("mount"), `hostname: "h" needs a uts namespace in linux.namespaces`},
		{"annotations", `{"":"x"}`, "annotations: a key is empty"},

		{"mounts", `[{"type":"tmpfs"}]`, "mounts[0].destination: missing or empty"},
		{"mounts", `[{"destination":"/","type":"tmpfs"}]`, `mounts[0].destination: "/" is the root filesystem itself`},
		{"mounts", `[{"destination":"/a/..","type":"tmpfs"}]`, `mounts[0].destination: "/a/.." is the root filesystem`},
		{"mounts", `[{"destination":"` + deep + `","type":"tmpfs"}]`, "is 5000 bytes long"},
		{"mounts", `[{"destination":"/` + long + `","type":"tmpfs"}]`, "is 300 bytes long, the kernel takes 255"},
		{"mounts", `[{"destination":"/t\u0000","type":"tmpfs"}]`, `mounts[0].destination: holds the character \u0000`},
		{"mounts", `[{"destination":"/t","options":["rbind"]}]`, "mounts[0].source: missing or empty"},
		{"mounts", `[{"destination":"/proc/sys","options":["rbind"],"source":"/x"}]`, `mounts[0].destination: "/proc/sys" cannot be mounted because it is inside /proc`},
		{"mounts", `[{"destination":"proc/../proc/self/attr","type":"tmpfs"}]`, "is inside /proc"},
		{"mounts", `[{"destination":"//proc//kcore","type":"tmpfs"}]`, "is inside /proc"},
		{"mounts", `[{"destination":"/proc","type":"tmpfs"}]`, `mounts[0]: type "tmpfs" on "/proc"`},
		{"mounts", `[{"destination":"/t","options":["bind","idmap"],"source":"/x","uidMappings":[{"size":1}]}]`, "mounts[0].gidMappings: empty"},
		{"mounts", `[{"destination":"/t","options":["bind","idmap"],"source":"/x","gidMappings":[{"size":1}]}]`, "mounts[0].uidMappings: empty"},
		{"mounts", `[{"destination":"/t","options":["bind","idmap"],"source":"/x","uidMappings":[{"size":0}],"gidMappings":[{"size":1}]}]`, "mounts[0].uidMappings[0].size: 0 maps nothing"},

		{"linux", ``, "linux.namespaces: no mount namespace"},
		{"linux/namespaces", `[]`, "linux.namespaces: no mount namespace"},
		{"linux/namespaces", namespaces("uts", "pid"), "linux.namespaces: no mount namespace"},
		{"linux/namespaces", namespaces("mount", "nope"), `linux.namespaces[1].type: "nope" is not known`},
		{"linux/namespaces", namespaces("mount", "pid", "pid"), `linux.namespaces[2].type: "pid" is given twice`},
		{"linux/namespaces", `[{"type":"mount"},{"type":"uts","path":"x"}]`, `linux.namespaces[1].path: "x" is not an absolute path`},
		{"linux/uidMappings", `[{"size":1}]`, "linux.gidMappings: empty, but linux.uidMappings is not"},
		{"linux/gidMappings", `[{"size":1}]`, "linux.uidMappings: empty, but linux.gidMappings is not"},
		{"linux", `{"namespaces":` + namespaces("mount", "uts") + `,"uidMappings":[{"size":1}],"gidMappings":[{"size":1}]}`, "linux.uidMappings: needs a user namespace"},
		{"linux", `{"namespaces":` + namespaces("mount", "uts") + `,"gidMappings":[{"size":1}]}`, "linux.gidMappings: needs a user namespace"},
		{"linux", mapped(`{"size":0}`), "linux.uidMappings[0].size: 0 maps nothing"},
		{"linux", mapped(`{"size":10},{"containerID":5,"hostID":100,"size":10}`), "linux.uidMappings[1]: containerID 5 with size 10 overlaps with [0]"},
		{"linux", mapped(`{"size":10},{"containerID":50,"hostID":9,"size":10}`), "linux.uidMappings[1]: hostID 9 with size 10 overlaps with [0]"},
		{"linux", mapped(`{"containerID":4294967290,"size":10}`), "linux.uidMappings[0]: containerID 4294967290 with size 10 goes beyond the last id"},
		{"linux", mapped(`{"hostID":4294967295,"size":1}`), "linux.uidMappings[0]: hostID 4294967295 with size 1 goes beyond"},
		{"linux", mapped(lines(341)), "linux.uidMappings: 341 lines are too many, the kernel takes 340"},

		{"linux/sysctl", `{"kernel.panic":"1"}`, `linux.sysctl["kernel.panic"]: not in a separate kernel namespace`},
		{"linux/sysctl", `{"net/../kernel/panic":"1"}`, `linux.sysctl["net/../kernel/panic"]: not a name`},
		{"linux/sysctl", `{"net.//.kernel.panic":"1"}`, "not a name"},
		{"linux/sysctl", `{"net..kernel":"1"}`, "not a name"},
		{"linux/sysctl", `{"net":"1"}`, "not a name"},
		{"linux/sysctl", `{"net.ipv4.conf.eth0/100.forwarding":"1"}`, "not a name"},
		{"linux/sysctl", `{"net.ipv4.ip_forward=1\nx":"1"}`, "not a name"},
		{"linux/sysctl", `{"+net.ipv4.ip_forward":"1"}`, "not a name"},
		{"linux/sysctl", `{"/net/ipv4/ip_forward":"1"}`, "not a name"},
		{"linux/sysctl", `{"net.ipv4.ip_forward":"1\n2"}`, `the value "1\n2" holds a control character`},
		{"linux/sysctl", `{"net.ipv4.ip_forward":"1","net/ipv4/ip_forward":"0"}`, "given twice"},
		{"linux/sysctl", `{"kernel.hostname":"x"}`, `conflicts with the OCI "hostname" field`},
		{"linux", `{"namespaces":` + namespaces("mount", "uts") + `,"sysctl":{"net.ipv4.ip_forward":"1"}}`, "needs a network namespace"},
		{"linux", `{"namespaces":` + namespaces("mount", "uts") + `,"sysctl":{"kernel.shmmax":"1"}}`, "needs a ipc namespace"},
		{"linux", `{"namespaces":` + namespaces("mount", "uts") + `,"sysctl":{"fs.mqueue.msg_max":"1"}}`, "needs a ipc namespace"},
		{"linux/sysctl", `{"fs.file-max":"1"}`, "not in a separate kernel namespace"},
		{"linux/sysctl", `{"kernel.shm":"1"}`, "not in a separate kernel namespace"},
		{"linux/sysctl", `{"user.max_user_namespaces":"1"}`, "not in a separate kernel namespace"},

		{"linux/devices", `[{"path":"/dev/x","type":"z"}]`, `linux.devices[0].type: "z" is none of c, b, u, p`},
		{"linux/devices", `[{"path":"/dev/x"}]`, `linux.devices[0].type: ""`},
		{"linux/devices", `[{"path":"dev/x","type":"c"}]`, `linux.devices[0].path: "dev/x" is not an absolute path`},
		{"linux/devices", `[{"path":"/dev/../etc/dv","type":"c"}]`, `linux.devices[0].path: "/dev/../etc/dv" is not the plain path`},
		{"linux/devices", `[{"path":"/","type":"c"}]`, `linux.devices[0].path: "/" is not the plain path`},
		{"linux/devices", `[{"type":"c"}]`, `linux.devices[0].path: missing or empty`},
		{"linux/devices", `[{"path":"/dev/x","type":"c","major":-1}]`, "linux.devices[0].major: -1 is not from 0 to 4095"},
		{"linux/devices", `[{"path":"/dev/x","type":"b","minor":1048576}]`, "linux.devices[0].minor: 1048576"},
		{"linux/devices", `[{"path":"/dev/x","type":"c","fileMode":25008}]`, "linux.devices[0].fileMode: 25008 (octal 60660)"},
		{"linux/devices", `[{"path":"/dev/x","type":"c","uid":4294967295}]`, "linux.devices[0].uid"},
		{"linux/devices", `[{"path":"/dev/x","type":"c","gid":4294967295}]`, "linux.devices[0].gid"},
		{"linux/netDevices", `{"eth0":{}}`, "linux.netDevices: not supported"},
		{"linux/maskedPaths", `["proc/kcore"]`, `linux.maskedPaths[0]: "proc/kcore" is not an absolute path`},
		{"linux/maskedPaths", `["/a/../b"]`, `linux.maskedPaths[0]: "/a/../b" holds ".."`},
		{"linux/maskedPaths", `["/"]`, "would mask the whole container"},
		{"linux/maskedPaths", `["//."]`, "would mask the whole container"},
		{"linux/maskedPaths", `[""]`, "linux.maskedPaths[0]: missing or empty"},
		{"linux/readonlyPaths", `["sys"]`, `linux.readonlyPaths[0]: "sys" is not an absolute path`},
		{"linux/readonlyPaths", `["/sys/.."]`, `linux.readonlyPaths[0]: "/sys/.." holds ".."`},
		{"linux/rootfsPropagation", `"x"`, `linux.rootfsPropagation: "x" is not known`},
		{"linux/mountLabel", `"a\tb"`, "linux.mountLabel"},
		{"linux/intelRdt", `{"closID":"../x"}`, "linux.intelRdt: not supported"},
		{"linux/personality", `{"domain":"X"}`, `linux.personality.domain: "X"`},
		{"linux/personality", `{"domain":"LINUX","flags":["ADDR_NO_RANDOMIZE"]}`, "linux.personality.flags: not supported"},
		{"linux/memoryPolicy", `{"mode":"MPOL_X"}`, `linux.memoryPolicy.mode: "MPOL_X" is not known`},
		{"linux/memoryPolicy", `{"mode":"MPOL_BIND"}`, "linux.memoryPolicy.nodes: missing or empty"},
		{"linux/memoryPolicy", `{"mode":"MPOL_LOCAL","nodes":"0"}`, `linux.memoryPolicy.nodes: "0": MPOL_LOCAL takes no nodes`},
		{"linux/memoryPolicy", `{"mode":"MPOL_BIND","nodes":"0-"}`, `linux.memoryPolicy.nodes: "0-"`},
		{"linux/memoryPolicy", `{"mode":"MPOL_BIND","nodes":"0","flags":["X"]}`, `linux.memoryPolicy.flags[0]: "X" is not known`},
		{"linux/memoryPolicy", `{"mode":"MPOL_INTERLEAVE","nodes":"0","flags":["MPOL_F_NUMA_BALANCING"]}`, "is not for MPOL_INTERLEAVE"},
		{"linux/memoryPolicy", `{"mode":"MPOL_BIND","nodes":"0","flags":["MPOL_F_STATIC_NODES","MPOL_F_RELATIVE_NODES"]}`, "exclude each other"},
		{"linux/timeOffsets", `{"realtime":{"secs":1}}`, `linux.timeOffsets["realtime"]: neither monotonic nor boottime`},
		{"linux/timeOffsets", `{"boottime":{"nanosecs":1000000000}}`, "nanosecs: 1000000000 is above"},
		{"linux", `{"namespaces":` + namespaces("mount", "uts") + `,"timeOffsets":{"monotonic":{"secs":1}}}`, "linux.timeOffsets: needs a time namespace"},
		{"linux", `{"namespaces":[{"type":"mount"},{"type":"uts"},{"type":"time","path":"/x"}],"timeOffsets":{"monotonic":{"secs":1}}}`, `the joined time namespace "/x"`},
		{"linux/cgroupsPath", `"../x"`, `linux.cgroupsPath: "../x" holds ".."`},
		{"linux/cgroupsPath", `"/a/../../b"`, `holds ".."`},
		{"linux/cgroupsPath", `"/` + long + `"`, "linux.cgroupsPath: the name"},
		{"linux/cgroupsPath", `"a\nb"`, `linux.cgroupsPath: "a\nb"`},

		{"linux/resources/memory", `{"limit":-2}`, "linux.resources.memory.limit: -2 is neither"},
		{"linux/resources/memory", `{"reservation":-2}`, "linux.resources.memory.reservation: -2"},
		{"linux/resources/memory", `{"limit":200,"swap":100}`, "linux.resources.memory.swap: 100 is memory and swap together, but below limit 200"},
		{"linux/resources/memory", `{"swap":100}`, "linux.resources.memory.swap: 100 is memory and swap together, and needs"},
		{"linux/resources/memory", `{"kernel":4096}`, "linux.resources.memory.kernel: 4096 is for cgroup v1"},
		{"linux/resources/memory", `{"kernelTCP":4096}`, "linux.resources.memory.kernelTCP: 4096"},
		{"linux/resources/memory", `{"swappiness":60}`, "linux.resources.memory.swappiness: 60 is for cgroup v1"},
		{"linux/resources/memory", `{"disableOOMKiller":true}`, "linux.resources.memory.disableOOMKiller: true"},
		{"linux/resources/pids", `{"limit":-5}`, "linux.resources.pids.limit: -5 is neither"},
		{"linux/resources/cpu", `{"quota":1}`, "linux.resources.cpu.quota: 1 is neither"},
		{"linux/resources/cpu", `{"quota":-2}`, "linux.resources.cpu.quota: -2 is neither"},
		{"linux/resources/cpu", `{"period":999}`, "linux.resources.cpu.period: 999 is not from 1000"},
		{"linux/resources/cpu", `{"period":1000001}`, "linux.resources.cpu.period: 1000001"},
		{"linux/resources/cpu", `{"quota":1000,"burst":2000}`, "linux.resources.cpu.burst: 2000 is above quota 1000"},
		{"linux/resources/cpu", `{"cpus":"a-b"}`, `linux.resources.cpu.cpus: "a-b"`},
		{"linux/resources/cpu", `{"mems":"0-99999"}`, `linux.resources.cpu.mems: "0-99999"`},
		{"linux/resources/cpu", `{"idle":2}`, "linux.resources.cpu.idle: 2 is neither 0 nor 1"},
		{"linux/resources/cpu", `{"realtimePeriod":1}`, "linux.resources.cpu.realtimePeriod"},
		{"linux/resources/blockIO", `{"weight":9}`, "linux.resources.blockIO.weight: 9 is not from 10 to 1000"},
		{"linux/resources/blockIO", `{"weight":1001}`, "linux.resources.blockIO.weight: 1001"},
		{"linux/resources/blockIO", `{"weightDevice":[{"major":8}]}`, "linux.resources.blockIO.weightDevice[0]: neither weight nor leafWeight"},
		{"linux/resources/blockIO", `{"throttleReadBpsDevice":[{"major":-1}]}`, "linux.resources.blockIO.throttleReadBpsDevice[0].major: -1"},
		{"linux/resources/hugepageLimits", `[{"pageSize":"2mb"}]`, `linux.resources.hugepageLimits[0].pageSize: "2mb"`},
		{"linux/resources/hugepageLimits", `[{"pageSize":"../2MB"}]`, `pageSize: "../2MB"`},
		{"linux/resources/rdma", `{"a b":{"hcaHandles":1}}`, `linux.resources.rdma["a b"]: not a device's name`},
		{"linux/resources/rdma", `{"mlx":{}}`, `linux.resources.rdma["mlx"]: neither hcaHandles nor hcaObjects`},
		{"linux/resources/unified", `{"../cgroup.procs":"1"}`, `linux.resources.unified["../cgroup.procs"]: not the name`},
		{"linux/resources/unified", `{"..":"1"}`, `linux.resources.unified[".."]: not the name`},
		{"linux/resources/unified", `{"":"1"}`, `linux.resources.unified[""]: not the name`},
		{"linux/resources/devices", `[{"access":"rwx"}]`, `linux.resources.devices[0].access: "rwx"`},
		{"linux/resources/devices", `[{"type":"z"}]`, `linux.resources.devices[0].type: "z"`},
		{"linux/resources/devices", `[{"major":-2}]`, "linux.resources.devices[0].major: -2"},

		{"hooks", `{"prestart":[{"path":"true"}]}`, `hooks.prestart[0].path: "true" is not an absolute path`},
		{"hooks", `{"poststop":[{}]}`, "hooks.poststop[0].path: missing or empty"},
		{"hooks", `{"createRuntime":[{"path":"/x"},{"path":"/x","timeout":-1}]}`, "hooks.createRuntime[1].timeout: -1 is not greater than zero"},
		{"hooks", `{"startContainer":[{"path":"/x","timeout":0}]}`, "hooks.startContainer[0].timeout: 0 is not greater"},
		{"hooks", `{"poststart":[{"path":"/x","env":["A"]}]}`, `hooks.poststart[0].env[0]: "A" is not NAME=value`},
		{"vm", `{}`, "vm: not supported"},
		{"windows", `{}`, "windows: not supported"},
		{"solaris", `{}`, "solaris: not supported"},
		{"zos", `{}`, "zos: not supported"},
		{"freebsd", `{}`, "freebsd: not supported"},
	}
	for _, test := range tests {
		t.Run(test.path+" "+shorten(test.value), func(t *testing.T) {
			spec, err := Decode(with(t, test.path, test.value))
			if err == nil {
				err = Check(spec)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got  %v\nwant %s", err, test.want)
			}
			oneLine(t, err)
		})
	}
}

func mapped(list string) string {
	return `{"namespaces":` + namespaces("mount", "uts", "user") + `,"uidMappings":[` + list + `],"gidMappings":[{"size":1}]}`
}

func lines(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"containerID":%d,"hostID":%d,"size":1}`, i, i)
	}
	return b.String()
}

func TestCheckAccepts(t *testing.T) {
	tests := []struct{ path, value string }{
		{"", ""},
		{"ociVersion", `"1.0.0"`},
		{"ociVersion", `"1.0.2-dev"`},
		{"ociVersion", `"1.99.3-rc.1+x-1.y"`},
		{"process/cwd", `"/a/../b"`},
		{"process/args", `["true"]`},
		{"process/env", `["A=","A=b=c"]`},
		{"process/user/uid", `4294967294`},
		{"process/user/umask", `511`},
		// capabilities that cannot be granted are warnings
		{"process/capabilities", `{"effective":["CAP_NOPE","cap_kill"]}`},
		{"process/capabilities", `{"permitted":["CAP_KILL"],"ambient":["CAP_KILL"]}`},
		{"process/consoleSize", `{"height":99999,"width":1}`}, // without terminal
		{"process/scheduler", `{"policy":"SCHED_DEADLINE","runtime":2000,"deadline":3000}`},
		{"process/scheduler", `{"policy":"SCHED_RR","priority":1,"flags":["SCHED_FLAG_RESET_ON_FORK"]}`},
		{"process/execCPUAffinity", `{"initial":"0-3,7"}`},
		{"hostname", `"` + strings.Repeat("x", 64) + `"`},
		{"mounts", `[{"destination":"tmp","type":"tmpfs"}]`}, // relative to "/"
		{"mounts", `[{"destination":"/tmp/../var","type":"tmpfs","options":["nope"]}]`},
		{"mounts", `[{"destination":"/proc","options":["rbind"],"source":"/proc"},{"destination":"/proc/cpuinfo","options":["bind"],"source":"/x"}]`},
		{"mounts", `[{"destination":"/x","options":["remount","bind","ro"]}]`},
		{"linux", mapped(lines(340))},
		{"linux", mapped(`{"hostID":4294967294,"size":1}`)},
		{"linux/sysctl", `{"net.ipv4.ping_group_range":"0\t0","net/ipv6/conf/all/forwarding":"1","kernel.domainname":"d","fs.mqueue.msg_max":"1"}`},
		{"linux/devices", `[{"path":"/dev/fuse","type":"c","major":10,"minor":229,"fileMode":438},{"path":"/x","type":"p"},{"path":"/y","type":"c","fileMode":8630}]`},
		{"linux/maskedPaths", `["/proc/acpi/"]`},
		{"linux/cgroupsPath", `"user.slice:docker:abc"`},
		{"linux/netDevices", `{}`},
		{"linux/memoryPolicy", `{"mode":"MPOL_PREFERRED"}`},
		{"linux/timeOffsets", `{"monotonic":{"secs":-5}}`},
		{"linux/resources/memory", `{"limit":0,"swap":0,"kernel":-1,"kernelTCP":0,"swappiness":0,"disableOOMKiller":false,"useHierarchy":true}`},
		{"linux/resources/memory", `{"limit":100,"swap":100,"reservation":200}`},
		{"linux/resources/memory", `{"limit":-1,"swap":-1}`},
		{"linux/resources/pids", `{"limit":0}`},
		{"linux/resources/cpu", `{"shares":0,"quota":-1,"period":100000,"realtimeRuntime":0,"cpus":"0","idle":1}`},
		{"linux/resources/blockIO", `{"weight":0,"leafWeight":0}`},
		{"linux/resources/hugepageLimits", `[{"pageSize":"2MB","limit":0},{"pageSize":"64KB","limit":0}]`},
		{"linux/resources/unified", `{"io.max":"259:0 rbps=1\n253:0 rbps=2"}`},
		{"linux/resources/devices", `[{"allow":true,"type":"c","major":-1,"minor":-1,"access":"m"}]`},
		{"annotations", `{"a":""}`},
		{"x", `{"unknown":[1]}`},
	}
	for _, test := range tests {
		spec, err := Decode(with(t, test.path, test.value))
		if err == nil {
			err = Check(spec)
		}
		if err != nil {
			t.Errorf("%s %s: %v", test.path, test.value, err)
		}
	}
}

func TestCheckAcceptsWhatEnginesWrite(t *testing.T) {
	files, _ := filepath.Glob("testdata/config/*.json")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := Decode(data)
		if err == nil {
			err = Check(spec)
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestCheckIsDeterministic: of several errors in a map the same is told
// whatever the order of the map.
func TestCheckIsDeterministic(t *testing.T) {
	texts := map[string]bool{}
	for range 50 {
		spec, err := Decode(with(t, "linux/sysctl", `{"kernel.b":"1","kernel.a":"1","kernel.c":"1"}`))
		if err != nil {
			t.Fatal(err)
		}
		texts[Check(spec).Error()] = true
	}
	if len(texts) != 1 {
		t.Errorf("%v", maps.Keys(texts))
	}
}
