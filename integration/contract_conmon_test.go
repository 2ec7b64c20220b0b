// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// conmonAnswer is what conmon says of a create or an exec.
type conmonAnswer struct {
	Data    int    `json:"data"` // the pid, or less than 1
	Message string `json:"message"`
}

// conmon starts conmon as podman does, with mycr as its runtime, and returns what it says. The names are those of files
// in the box, each of its own for create and for exec.
func conmon(t *testing.T, b *box, name string, words ...string) conmonAnswer {
	t.Helper()
	path, err := exec.LookPath("conmon")
	if err != nil {
		t.Skip("needs conmon")
	}
	answer, say, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()
	begin, start, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer start.Close()
	if err := os.MkdirAll(b.path("exits", name), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{
		"--api-version", "1", "-c", "c1", "-u", "c1", "-n", "name", "-r", mycr.path,
		"--runtime-arg", "--root=" + b.path("run", "mycr"), "--runtime-arg", "--log-format=json", "--runtime-arg", "--log", "--runtime-arg", b.path(name + ".oci-log"),
		"-p", b.path(name + ".pid"), "--conmon-pidfile", b.path(name + ".conmon"), "--exit-dir", b.path("exits", name), "--full-attach",
		"-l", "k8s-file:" + b.path(name+".log"), "--log-level", "error",
	}, words...)...)
	cmd.Dir, cmd.ExtraFiles = b.dir, []*os.File{say, begin}
	cmd.Env = append(b.env, "_OCI_SYNCPIPE=3", "_OCI_STARTPIPE=4")
	if _, err := start.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	// Its descendant goes on and has our descriptors, so its output is a file.
	if r := b.wait(cmd); r.status != 0 {
		t.Fatalf("conmon: %v", r)
	}
	say.Close()
	begin.Close()
	answer.SetReadDeadline(time.Now().Add(hang))
	var said conmonAnswer
	if err := json.NewDecoder(answer).Decode(&said); err != nil {
		t.Fatalf("conmon says nothing: %v", err)
	}
	return said
}

// awaitText waits until a file has that in it, and returns it all.
func awaitText(t *testing.T, path, text string) string {
	t.Helper()
	for deadline := time.Now().Add(hang); ; time.Sleep(10 * time.Millisecond) {
		have, err := os.ReadFile(path)
		if err == nil && len(have) > 0 && strings.Contains(string(have), text) {
			return string(have)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s has no %q: %q, %v", path, text, have, err)
		}
	}
}

// The life of a container under conmon, which podman and cri-o have between them and the runtime.
func TestContractConmon(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		t.Run(map[bool]string{false: "pipes", true: "terminal"}[terminal], func(t *testing.T) {
			b := newBox(t)
			dir := b.bundle("b", set("process.terminal", terminal), pts,
				sh(`trap "exit 42" TERM; test -t 1 && echo on a terminal; echo hello; while :; do sleep 0.05; done`))
			flags, process := []string{"-b", dir}, `{"terminal":false,"cwd":"/","env":["PATH=/bin"],"user":{"uid":0,"gid":0},"args":["sh","-c","echo inside; exit 9"]}`
			if terminal {
				flags, process = append(flags, "-t"), strings.Replace(process, "false", "true", 1)
			}
			said := conmon(t, b, "create", flags...)
			pid, err := os.ReadFile(b.path("create.pid"))
			if err != nil || strconv.Itoa(said.Data) != string(pid) {
				t.Fatalf("conmon says %+v, the pid file %q: %v", said, pid, err)
			}
			status, _ := os.ReadFile("/proc/" + string(pid) + "/status")
			monitor := awaitText(t, b.path("create.conmon"), "")
			if !strings.Contains(string(status), "\nPPid:\t"+monitor+"\n") {
				t.Errorf("init is not conmon's (%s):\n%s", monitor, status)
			}
			b.must("start", "c1")
			log := awaitText(t, b.path("create.log"), "hello")
			if strings.Contains(log, "on a terminal") != terminal {
				t.Errorf("the log: %q", log)
			}
			writeFile(t, b.path("process.json"), process)
			joined := conmon(t, b, "exec", append(flags, "-e", "--exec-process-spec", b.path("process.json"))...)
			if joined.Data <= 0 {
				t.Fatalf("exec: %+v", joined)
			}
			if code := awaitText(t, b.path("exits/exec/c1"), ""); code != "9" {
				t.Errorf("exec's exit file: %q", code)
			}
			if log := awaitText(t, b.path("exec.log"), "inside"); !strings.Contains(log, " stdout F inside") {
				t.Errorf("exec's log: %q", log)
			}
			writeFile(t, b.path("process.json"), strings.Replace(process, `"sh","-c","echo inside; exit 9"`, `"nosuch"`, 1))
			failed := conmon(t, b, "failed", append(flags, "-e", "--exec-process-spec", b.path("process.json"))...)
			if _, err := os.Stat(b.path("failed.pid")); failed.Data > 0 || err == nil {
				t.Errorf("an exec of nothing: %+v, %v", failed, err)
			}
			if msg := oneLogObject(t, b.path("failed.oci-log")); !strings.Contains(msg, "executable file not found in $PATH") {
				t.Errorf("its log: %q", msg)
			}
			b.must("kill", "c1", "15")
			if code := awaitText(t, b.path("exits/create/c1"), ""); code != "42" {
				t.Errorf("the exit file: %q", code)
			}
			b.must("delete", "--force", "c1")
			if text, err := os.ReadFile(b.path("create.oci-log")); err == nil && len(text) > 0 {
				t.Errorf("there is a log of no error: %q", text)
			}
		})
	}
}

// What create says goes by conmon to the engine, and delete --force follows.
func TestContractConmonCreateFails(t *testing.T) {
	b := newBox(t)
	said := conmon(t, b, "create", "-b", b.bundle("b", args("nosuch")))
	if said.Data > 0 || !strings.Contains(said.Message, `exec: "nosuch": executable file not found in $PATH`) {
		t.Errorf("conmon says %+v", said)
	}
	if msg := oneLogObject(t, b.path("create.oci-log")); !strings.Contains(msg, "executable file not found in $PATH") {
		t.Errorf("the log: %q", msg)
	}
	if _, err := os.Stat(b.path("create.pid")); err == nil {
		t.Error("there is a pid file")
	}
	b.must("delete", "--force", "c1")
}
