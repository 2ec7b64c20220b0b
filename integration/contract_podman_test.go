// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// podmanHere is podman of an ordinary user, with mycr as its runtime by mycr install, and nothing of the user's own. No
// cgroup is asked for, so it runs without a session too. The processes by which podman cleans up have HOME of the
// environment, and not XDG_CONFIG_HOME.
func podmanHere(t *testing.T) (b *box, podman func(words ...string) result) {
	t.Helper()
	if situation != ordinaryUser {
		t.Skip("podman without root")
	}
	path, err := exec.LookPath("podman")
	if err != nil {
		t.Skip("needs podman")
	}
	b = newBox(t)
	b.env = append(b.env, "HOME="+b.dir)
	if r := b.run("install", "--podman"); r.status != 0 {
		t.Fatal(r)
	}
	podman = func(words ...string) result {
		t.Helper()
		cmd := exec.Command(path, append([]string{"--root", b.path("storage"), "--runroot", b.path("rr"),
			"--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", "mycr"}, words...)...)
		cmd.Env, cmd.Dir = b.env, b.dir
		r := b.wait(cmd)
		var lines []string
		for _, line := range strings.SplitAfter(r.stderr, "\n") {
			if !strings.Contains(line, `\"/\" is not a shared mount`) {
				lines = append(lines, line)
			}
		}
		r.stderr = strings.Join(lines, "")
		return r
	}
	if err := template.Rootfs(b.path("image")); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("tar", "-C", b.path("image"), "-cf", b.path("image.tar"), ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if r := podman("import", b.path("image.tar"), "box"); r.status != 0 {
		t.Skipf("podman cannot work here: %v", r)
	}
	t.Cleanup(func() {
		podman("rm", "--all", "--force", "--time", "0")
		// The pause process, and files of subordinate ids.
		podman("system", "migrate")
		podman("unshare", "rm", "-rf", b.path("storage"), b.path("rr"))
	})
	return b, podman
}

// What podman makes of mycr's answers: outputs, and exit statuses of its own for what cannot be started.
func TestContractPodman(t *testing.T) {
	_, podman := podmanHere(t)
	run := []string{"run", "--rm", "--cgroups=disabled", "--network", "none", "box"}
	for _, c := range []struct {
		words          []string
		status         int
		stdout, stderr string
	}{
		{append(run, "echo", "hello"), 0, "hello\n", ""},
		{append(run, "sh", "-c", "echo no >&2; exit 7"), 7, "", "no\n"},
		{append(run, "nosuch"), 127, "", `executable file not found in $PATH`},
		{append(run, "/etc"), 126, "", "permission denied"},
		{[]string{"run", "--detach", "--name", "x", "--cgroups=disabled", "--network", "none", "box", "sh", "-c", `trap "exit 42" TERM; echo up; while :; do sleep 0.05; done`}, 0, "", ""},
		{[]string{"exec", "x", "echo", "inside"}, 0, "inside\n", ""},
		{[]string{"exec", "x", "sh", "-c", "exit 9"}, 9, "", ""},
		{[]string{"exec", "x", "nosuch"}, 127, "", "executable file not found in $PATH"},
		{[]string{"exec", "x", "/etc"}, 126, "", "permission denied"},
		{[]string{"logs", "x"}, 0, "up\n", ""},
		{[]string{"container", "checkpoint", "x"}, 125, "", "checkpoint"},
		{[]string{"stop", "--time", "10", "x"}, 0, "x\n", ""},
		{[]string{"inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "x"}, 0, "exited 42\n", ""},
		{[]string{"start", "x"}, 0, "x\n", ""},
		{[]string{"kill", "--signal", "KILL", "x"}, 0, "x\n", ""},
		{[]string{"wait", "x"}, 0, "137\n", ""},
		{[]string{"rm", "x"}, 0, "", ""},
	} {
		r := podman(c.words...)
		line := strings.Join(c.words, " ")
		if r.status != c.status || c.stdout != "" && r.stdout != c.stdout || !strings.Contains(r.stderr, c.stderr) || c.stderr == "" && r.stderr != "" {
			t.Errorf("podman %s: not status %d, stdout %q and stderr %q but %v", line, c.status, c.stdout, c.stderr, r)
		}
	}
}

// podman makes the socket and the mount itself; conmon hands on.
func TestContractPodmanNotify(t *testing.T) {
	b, podman := podmanHere(t)
	m := newServiceManager(t, b.path("sd"))
	b.env = append(b.env, "NOTIFY_SOCKET="+m.path)
	if r := podman("run", "--detach", "--sdnotify=container", "--name", "x", "--cgroups=disabled", "--network", "none", "box",
		"sh", "-c", "probe notify READY=1; sleep 300"); r.status != 0 {
		t.Fatal(r)
	}
	for {
		if text, _ := m.hears(); strings.Contains(text, "READY=1") {
			return
		}
	}
}

// A container whose program is mycr's to find leaves no mark on the user's configuration.
func TestContractPodmanUndone(t *testing.T) {
	b, podman := podmanHere(t)
	if r := b.run("install", "--podman", "--remove"); r.status != 0 {
		t.Fatal(r)
	}
	if r := podman("run", "--rm", "--cgroups=disabled", "--network", "none", "box", "true"); r.status == 0 {
		t.Errorf("podman still knows mycr: %v", r)
	}
	if _, err := os.Stat(b.path(".config/containers/containers.conf.d/mycr.conf")); err == nil {
		t.Error("the file is still there")
	}
}
