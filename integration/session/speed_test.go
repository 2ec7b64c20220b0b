// SPDX-License-Identifier: Apache-2.0

package session

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mycr/integration/testbed"
)

// The call of systemd overlaps with the mounts of the container: it is sent, then init is told to mount, and only then
// the end of systemd's job is waited for.
func TestManagerWorksWhileTheContainerMounts(t *testing.T) {
	b := newBox(t)
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is missing")
	}
	trace, id := b.dir+"/trace", b.id("overlap")
	// A single id needs no newuidmap, which has no power when it is traced.
	dir := b.lab2(testbed.Args("true"), ownID()) // strace waits for what it traces
	b.must("strace", "-f", "-qq", "-s", "4096", "-e", "trace=sendmsg,recvmsg,sendto,recvfrom,read,write,move_mount", "-o", trace,
		mycr, "--systemd-cgroup", "run", "-b", dir, id)
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	order := map[string]int{}
	for i, line := range strings.Split(string(text), "\n") {
		for name, pattern := range map[string]string{
			"sent": `(write|sendto|sendmsg)\(.*StartTransientUnit`, "told": `sendmsg\(.*iov_base="m`, "ended": `(read|recvfrom|recvmsg)\(?.*JobRemoved`,
		} {
			if _, known := order[name]; !known && regexp.MustCompile(pattern).MatchString(line) {
				order[name] = i + 1
			}
		}
	}
	if order["sent"] == 0 || order["told"] == 0 || order["ended"] == 0 || order["sent"] > order["told"] || order["told"] > order["ended"] {
		t.Errorf("lines of the trace: %v", order)
	}
}

// create with a systemd scope takes no longer than crun's: medians of one interleaved run.
func TestCreateIsNoSlowerThanCrun(t *testing.T) {
	b := newBox(t)
	if _, err := exec.LookPath("crun"); err != nil {
		t.Skip("crun is missing")
	}
	// crun mounts no sysfs where the network namespace is the host's, and takes ids from the bundle.
	id := b.id("speed")
	dir := b.lab2(testbed.Args("sleep", "1000"), ownID(), testbed.Namespace("network", ""),
		testbed.Set("linux.cgroupsPath", "user.slice:mycr:"+id), testbed.Mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro"))
	times := map[string][]time.Duration{}
	for round := range 9 {
		for _, program := range []string{mycr, "crun"} {
			begin := time.Now()
			b.must(program, "--systemd-cgroup", "create", "-b", dir, id)
			if round > 0 { // the first reads files that nobody has read yet
				times[program] = append(times[program], time.Since(begin))
			}
			b.must(program, "delete", "--force", id)
		}
	}
	median := func(list []time.Duration) time.Duration { slices.Sort(list); return list[len(list)/2] }
	ratio := float64(median(times[mycr])) / float64(median(times["crun"]))
	t.Logf("create with a scope: %.2f of crun's", ratio)
	if ratio > 1 {
		t.Errorf("create with a scope takes %.2f of crun's: %v", ratio, times)
	}
}
