// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// A contractLine is a command line as an engine types it, and what the engine reads of the answer.
type contractLine struct {
	engine, means string
	// line: globals that the tests need (--root) stand before it, unless it has one itself. ROOT is the directory of
	// states, BUNDLE the bundle, DIR the box.
	line  string
	stdin string
	// bare: with XDG_RUNTIME_DIR alone in the environment, where there is one.
	bare   bool
	status int
	stdout string // a regular expression, "" is nothing
	stderr string // likewise
	log    string // the msg in DIR/log.json, likewise; the file is removed then
	// until is what the container is to be afterwards.
	until string
}

// check runs the line.
func (c *contractLine) check(t *testing.T, b *box) {
	t.Helper()
	replacer := strings.NewReplacer("ROOT", b.path("run", "mycr"), "BUNDLE", b.path("b"), "DIR", b.dir)
	cmd := b.command(strings.Fields(replacer.Replace(c.line))...)
	if strings.Contains(c.line, "ROOT") && os.Geteuid() == 0 {
		cmd.Args = slices.Delete(cmd.Args, 1, 3) // the tests' own --root
	}
	if c.bare {
		cmd.Env = []string{"XDG_RUNTIME_DIR=" + b.path("run")}
	}
	if c.stdin != "" {
		cmd.Stdin = strings.NewReader(c.stdin)
	}
	r := b.wait(cmd)
	if r.status != c.status {
		t.Errorf("%s: %s: %s: status %d is wanted of %v", c.engine, c.means, c.line, c.status, r)
	}
	for _, text := range []struct{ name, got, want string }{{"stdout", r.stdout, c.stdout}, {"stderr", r.stderr, c.stderr}} {
		if text.want == "" && text.got != "" || !regexp.MustCompile(text.want).MatchString(text.got) {
			t.Errorf("%s: %s: %s: %s is to match %q: %q", c.engine, c.means, c.line, text.name, text.want, text.got)
		}
	}
	if c.log != "" {
		if msg := oneLogObject(t, b.path("log.json")); !regexp.MustCompile(c.log).MatchString(msg) {
			t.Errorf("%s: %s: %s: the log says %q", c.engine, c.means, c.line, msg)
		}
		os.Remove(b.path("log.json"))
	}
	if c.until == "" {
		return
	}
	for deadline := time.Now().Add(hang); b.state("c1").Status != c.until; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s: c1 is not %s", c.engine, c.line, c.until)
		}
	}
}

// oneLogObject reads a log as podman does, which takes the file for one JSON object, and checks its keys as containerd
// does, which parses the time. It returns the message.
func oneLogObject(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return ""
	}
	var line struct {
		Level string    `json:"level"`
		Msg   string    `json:"msg"`
		Time  time.Time `json:"time"`
	}
	if err := json.Unmarshal(text, &line); err != nil || line.Level != "error" || line.Time.IsZero() {
		t.Errorf("not one error object: %v: %q", err, text)
	}
	return line.Msg
}

const (
	noContainer = `^mycr: container does not exist\n$`
	notRunning  = `^mycr: container not running\n$`
)

// A container's life, in the words of each engine. The lines of one engine are in the order in which it has them.
func TestContractLives(t *testing.T) {
	const (
		withLog    = "--root ROOT --log DIR/log.json --log-format json "                      // containerd, on every call
		podmanLog  = "--log-format=json --log DIR/log.json "                                  // of create and exec
		conmonRs   = "--root=ROOT --systemd-cgroup=false --root=ROOT --systemd-cgroup=false " // its defaults and the call's own
		criO       = "--root=ROOT "
		criODirect = "--root ROOT "
	)
	for engine, lines := range map[string][]contractLine{
		"podman": {
			{means: "create with --cgroups=disabled, the manager as two words", line: podmanLog + "--cgroup-manager disabled create --bundle BUNDLE --pid-file DIR/pid --no-pivot=false --no-new-keyring --preserve-fds 0 c1", until: "created"},
			{means: "start", line: "start c1", bare: true, until: "running"},
			{means: "exec, all of it from the file", line: podmanLog + "exec --pid-file DIR/epid --process DIR/process.json --detach c1"},
			{means: "exec of what is not there", line: podmanLog + "exec --pid-file DIR/nopid --process DIR/nosuch.json --detach c1", status: 255,
				stderr: `^mycr: exec: "nosuch": executable file not found in \$PATH`, log: `executable file not found in \$PATH`},
			{means: "a limit of something without a cgroup: named", line: "update --resources=DIR/resources.json c1", bare: true, status: 1, stderr: "^mycr: cannot update container c1: .*cgroup"},
			{means: "pause without a cgroup: named", line: "pause c1", bare: true, status: 1, stderr: "^mycr: cannot pause container c1: .*cgroup"},
			{means: "resume of what is not paused", line: "resume c1", bare: true, status: 1, stderr: `^mycr: container not paused\n$`},
			{means: "kill --all by number", line: "kill --all c1 9", bare: true, until: "stopped"},
			{means: "kill of what has ended", line: "kill c1 15", bare: true, status: 1, stderr: notRunning},
			{means: "rm", line: "delete --force c1", bare: true},
			{means: "rm of what create has not made", line: "delete --force c1", bare: true},
		},
		"buildah": {
			{means: "create", line: "create --bundle BUNDLE --pid-file DIR/pid --no-new-keyring c1", until: "created"},
			{means: "start", line: "start c1", until: "running"},
			{means: "state", line: "state c1", stdout: `"status": "running"`},
			{means: "stop", line: "kill c1 SIGKILL", until: "stopped"},
			{means: "delete without --force", line: "delete c1"},
			{means: "state, polled once too often", line: "state c1", status: 1, stderr: noContainer},
		},
		"containerd": {
			{means: "create", line: withLog + "create --bundle BUNDLE --pid-file DIR/pid --no-pivot=false c1", until: "created"},
			{means: "start", line: withLog + "start c1", until: "running"},
			{means: "exec", line: withLog + "exec --process DIR/process.json --detach --pid-file DIR/epid c1"},
			{means: "exec into a wrong directory", line: withLog + "exec --process DIR/badcwd.json --detach --pid-file DIR/nopid c1", status: 255, stderr: "^mycr: .*/nowhere", log: "/nowhere"},
			{means: "pids", line: withLog + "ps --format json c1", stdout: `^\[[0-9]+(,[0-9]+)*\]\n$`},
			{means: "processes", line: withLog + "ps --format table c1 -o pid,args", stdout: `PID +COMMAND\n`},
			{means: "update from standard input", line: withLog + "update --resources=- c1", stdin: `{"pids":{"limit":100}}`, status: 1, stderr: "cannot update container c1", log: "cannot update"},
			{means: "delete of what runs", line: withLog + "delete c1", status: 1, stderr: "^mycr: cannot delete container c1 that is not stopped: running", log: "is not stopped: running"},
			{means: "kill --all", line: withLog + "kill --all c1 9", until: "stopped"},
			{means: "kill of all that has ended", line: withLog + "kill --all c1 9"},
			{means: "kill of what has ended", line: withLog + "kill c1 9", status: 1, stderr: notRunning, log: "^container not running$"},
			{means: "delete", line: withLog + "delete c1"},
			{means: "delete of what is not there", line: withLog + "delete c1", status: 1, stderr: noContainer, log: "^container does not exist$"},
			{means: "its Stop of a dead shim", line: withLog + "delete --force c1"},
			{means: "list", line: withLog + "list --format=json", stdout: `^(null|\[\])\n$`},
		},
		"cri-o": {
			{means: "create", line: criO + "create --bundle BUNDLE --pid-file DIR/pid c1", until: "created"},
			{means: "start", line: criODirect + "start c1", bare: true, until: "running"},
			{means: "ExecSync", line: criO + "exec --pid-file DIR/epid --process DIR/process.json --detach c1"},
			{means: "exec, attached; its status is the process's", line: criODirect + "exec --process DIR/seven.json c1", bare: true, status: 7, stdout: "^seven\n$"},
			{means: "state", line: criODirect + "state c1", bare: true, stdout: `"created": "[0-9]{4}-[0-9-]+T[0-9:.]+Z"`},
			{means: "update, two words", line: criODirect + "update --resources - c1", stdin: `{"pids":{"limit":100}}`, bare: true, status: 1, stderr: "cannot update container c1"},
			{means: "stop by number", line: criODirect + "kill c1 15", bare: true},
			{means: "kill of all in the node's pid namespace", line: criODirect + "kill -a c1 9", bare: true, until: "stopped"},
			{means: "kill of what has ended", line: criODirect + "kill c1 KILL", bare: true, status: 1, stderr: notRunning},
			{means: "delete", line: criODirect + "delete --force c1", bare: true},
		},
		"conmon-rs": {
			{means: "create, all globals twice", line: conmonRs + "create --bundle BUNDLE --pid-file DIR/pid c1", until: "created"},
			{means: "start", line: conmonRs + "start c1", until: "running"},
			{means: "exec from the command line", line: conmonRs + "exec -d --pid-file=DIR/epid c1 sleep 300"},
			{means: "exec, the command's own flags", line: conmonRs + "exec -d --pid-file=DIR/epid c1 true --pid-file=x --detach=no"},
			{means: "delete", line: conmonRs + "delete --force c1"},
		},
		"buildkit": {
			{means: "run, which it waits for", line: "--log DIR/log.json --log-format json run --bundle DIR/short --keep c1", status: 3, until: "stopped"},
			{means: "delete of what run kept", line: "delete c1"},
			{means: "run, while it goes on", line: "--log DIR/log.json --log-format json run --bundle BUNDLE --detach --keep c1", until: "running"},
			{means: "state: bundle and rootfs", line: "state c1", stdout: `"rootfs": "/`},
			{means: "exec, attached", line: "--log DIR/log.json --log-format json exec --process DIR/seven.json --pid-file DIR/epid c1", status: 7, stdout: "^seven\n$"},
			{means: "kill", line: "kill c1 9", until: "stopped"},
			{means: "delete of what run kept", line: "delete c1"},
		},
		"a person, with single dashes": {
			{means: "globals behind the command", line: "create -root ROOT -log-format=json -log DIR/log.json -bundle BUNDLE -pid-file=DIR/pid -no-new-keyring c1", until: "created"},
			{means: "delete", line: "delete -force c1"},
		},
	} {
		t.Run(engine, func(t *testing.T) {
			b := newBox(t)
			b.bundle("b", args("sleep", "300"))
			b.bundle("short", sh("exit 3"))
			for name, process := range map[string]string{
				"process": `"args":["sleep","300"]`, "nosuch": `"args":["nosuch"]`,
				"seven": `"args":["sh","-c","echo seven; exit 7"]`,
			} {
				writeFile(t, b.path(name+".json"), `{"cwd":"/","env":["PATH=/bin"],"user":{"uid":0,"gid":0},`+process+`}`)
			}
			writeFile(t, b.path("badcwd.json"), `{"cwd":"/nowhere","env":["PATH=/bin"],"user":{"uid":0,"gid":0},"args":["sleep","300"]}`)
			writeFile(t, b.path("resources.json"), `{"pids":{"limit":100}}`)
			b.snapshot()
			for _, line := range lines {
				line.engine = engine
				line.check(t, b)
			}
			if pid, err := os.ReadFile(b.path("pid")); err == nil && !regexp.MustCompile(`^[0-9]+$`).Match(pid) {
				t.Errorf("the pid file is %q", pid)
			}
			if _, err := os.Stat(b.path("nopid")); err == nil {
				t.Error("there is a pid file of an exec that failed")
			}
			for _, name := range []string{"pid", "epid", "log.json"} {
				os.Remove(b.path(name))
			}
			b.nothingLeft()
			left, _ := filepath.Glob(b.path(".*"))
			if len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// What engines ask of a runtime before they use it, with no environment at all.
func TestContractQuestions(t *testing.T) {
	b := newBox(t)
	for _, c := range []contractLine{
		{engine: "podman", means: "criu?", line: "checkpoint --help", status: 1, stderr: "^mycr: checkpoint: "},
		{engine: "podman", means: "labels of mounts?", line: "restore --lsm-mount-context", status: 1, stderr: "flag needs an argument"},
		{engine: "containerd", means: "restore, a single dash", line: "restore --detach --pid-file p -no-subreaper --bundle b c1", status: 1, stderr: "^mycr: restore: "},
		{engine: "podman", means: "restore", line: "restore --bundle b --pid-file p --no-pivot --no-new-keyring --detach --image-path p --work-path w --tcp-established --lsm-mount-context=l c1", status: 1, stderr: "^mycr: restore: "},
		{engine: "podman", means: "checkpoint", line: "checkpoint --image-path p --work-path w --leave-running --leave-running --file-locks c1", status: 1, stderr: "^mycr: checkpoint: "},
		{engine: "conmon-rs", means: "all globals twice", line: "--systemd-cgroup --root=ROOT --systemd-cgroup --root=ROOT state c1", status: 1, stderr: noContainer},
		{engine: "podman", means: "a number for a signal, and no container", line: "kill c1 15", bare: true, status: 1, stderr: noContainer},
		{engine: "docker", means: "version", line: "--version", stdout: `^mycr version [^ \n]+\ncommit: [^\n]+\nspec: [0-9.]+\n$`},
		{engine: "a person", means: "version", line: "-v", stdout: "^mycr version "},
		{engine: "a person", means: "version", line: "-version", stdout: "^mycr version "},
		{engine: "docker with runtimeArgs", means: "version", line: "--debug --version", stdout: "^mycr version "},
		{engine: "docker with runtimeArgs", means: "features", line: "--debug features", stdout: `^\{`},
	} {
		c.check(t, b)
	}
}

// features: one JSON object on stdout and stderr together, with every key that an engine looks at.
func TestContractFeatures(t *testing.T) {
	b := newBox(t)
	cmd := b.command("features")
	cmd.Env = nil
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	var all any
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, path := range strings.Fields(`ociVersionMin ociVersionMax hooks mountOptions linux.namespaces linux.capabilities
		linux.cgroup.v1 linux.cgroup.v2 linux.cgroup.systemd linux.cgroup.systemdUser linux.cgroup.rdma
		linux.seccomp.enabled linux.seccomp.actions linux.seccomp.operators linux.seccomp.archs linux.seccomp.knownFlags linux.seccomp.supportedFlags
		linux.apparmor.enabled linux.selinux.enabled linux.intelRdt.enabled linux.intelRdt.schemata linux.intelRdt.monitoring
		linux.memoryPolicy.modes linux.memoryPolicy.flags linux.mountExtensions.idmap.enabled linux.netDevices.enabled
		annotations potentiallyUnsafeConfigAnnotations`) {
		value := all
		for _, key := range strings.Split(path, ".") {
			object, _ := value.(map[string]any)
			value = object[key]
		}
		list, isList := value.([]any)
		if value == nil || isList && len(list) == 0 {
			t.Errorf("no %s", path)
		}
		sorted := slices.IsSortedFunc(list, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
		if isList && !sorted && path != "hooks" && path != "linux.capabilities" {
			t.Errorf("%s is not in order: %v", path, list)
		}
	}
	annotations, _ := all.(map[string]any)["annotations"].(map[string]any)
	if annotations["org.opencontainers.runc.checkpoint.enabled"] != "false" {
		t.Errorf("an engine cannot see that there is no checkpoint: %v", annotations)
	}
	for _, words := range [][2]string{{"mountOptions", "rro"}, {"mountOptions", "tmpcopyup"}, {"hooks", "createContainer"}} {
		list, _ := all.(map[string]any)[words[0]].([]any)
		if !slices.Contains(list, any(words[1])) {
			t.Errorf("%s does not name %s", words[0], words[1])
		}
	}
}
