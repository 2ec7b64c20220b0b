// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestNetworkKilledAtAnyTime is the fifth line: whoever is killed at whatever moment, of mycr, of the driver and
// its keeper, and of the container's init: delete --force leaves no process, socket or file.
func TestNetworkKilledAtAnyTime(t *testing.T) {
	rounds := 100
	if os.Getenv("MYCR_ALL") != "" {
		rounds = 500
	}
	eachDriver(t, func(t *testing.T, d driver) {
		b := newBox(t)
		dir := b.netBundle(args("sleep", "300"))
		port := freePort(t)
		words := []string{"run", "--network", d.name, "-p", fmt.Sprintf("127.0.0.1:%d:80", port), "-b", dir, "c1"}
		whole := b.untilReady(words)
		chance := rand.New(rand.NewPCG(5, uint64(len(d.name))))
		hit, before := map[string]int{}, descendants()
		for i := range rounds / len(drivers) {
			victim := []string{"mycr", "init", "keeper"}[i%3]
			at := time.Duration(chance.Int64N(int64(whole + whole/4)))
			cmd := b.command(words...)
			cmd.Stderr = nil
			if err := start(cmd); err != nil {
				t.Fatal(err)
			}
			time.Sleep(at)
			if killOne(victim, before, cmd.Process.Pid, d) {
				hit[victim]++
			}
			// Whoever is left ends by delete --force, also a run that goes on.
			cmd.Process.Kill()
			finish(cmd)
			moment := fmt.Sprintf("%s after %v of %v", victim, at, whole)
			if i%2 == 1 {
				b.run("kill", "c1", "KILL")
			}
			b.afterwards(moment)
		}
		t.Logf("killed: %v", hit)
		if len(hit) < 3 {
			t.Errorf("not everybody was killed: %v", hit)
		}
	})
}

// untilReady is how long run takes until the container's program runs.
func (b *box) untilReady(words []string) time.Duration {
	b.t.Helper()
	begin := time.Now()
	cmd := b.command(words...)
	if err := start(cmd); err != nil {
		b.t.Fatal(err)
	}
	wait(b.t, "the container", func() bool {
		r := b.run("state", "c1")
		return strings.Contains(r.stdout, `"running"`)
	})
	whole := time.Since(begin)
	cmd.Process.Kill()
	finish(cmd)
	b.afterwards("not at all")
	return whole
}

// killOne kills one of those that were not there before and tells whether there was one.
func killOne(victim string, before map[int]string, runner int, d driver) bool {
	killed := false
	for pid := range descendants() {
		if _, old := before[pid]; old {
			continue
		}
		words := strings.Split(procFile(pid, "cmdline"), "\x00")
		driver := strings.HasSuffix(words[0], "mycr-net") || strings.HasSuffix(words[0], d.name) || procFile(pid, "comm") == "mycr-keeper\n"
		init := ns(pid, "pid") != ns(os.Getpid(), "pid") && !driver
		if victim == "mycr" && pid == runner || victim == "keeper" && driver || victim == "init" && init {
			unix.Kill(pid, unix.SIGKILL)
			killed = true
		}
	}
	return killed
}
