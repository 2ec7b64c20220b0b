// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mycr/integration/testbed"
)

// The call of systemd overlaps with the mounts of the container, whatever the speed of either: nothing is mounted
// before the manager is called, and everything but the container's own cgroup while its answer is kept back.
func TestManagerWorksWhileTheContainerMounts(t *testing.T) {
	b := inMachine(t)
	bus := holdBus(t, filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "bus"), filepath.Join(b.dir, "bus"))
	dir, id := b.lab2(testbed.Args("sleep", "1000")), b.id("overlap")
	cmd := exec.Command(mycr, "create", "-b", dir, id)
	cmd.Env = append(os.Environ(), "DBUS_SESSION_BUS_ADDRESS=unix:path="+filepath.Join(b.dir, "bus"))
	ended := make(chan testbed.Result, 1)
	go func() {
		r, err := testbed.Run(cmd)
		if err != nil {
			t.Error(err)
		}
		ended <- r
	}()
	// seen waits for something that init does; mycr gives up after 30 s without an answer.
	seen := func(what string, is func() bool) {
		t.Helper()
		for !is() {
			select {
			case r := <-ended:
				t.Fatalf("create has ended before %s: %v", what, r)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	init := ""
	seen("init waits for its first word", func() bool {
		init = b.initOf(dir)
		return init != "" && b.receives(init)
	})
	if mounts := b.mountsOf(init, dir); len(mounts) > 0 {
		t.Errorf("mounted before the manager was called: %v", mounts)
	}

	close(bus.pass)
	seen("the manager was called", func() bool {
		select {
		case <-bus.called:
			return true
		default:
			return false
		}
	})
	seen("/sys was mounted", func() bool {
		mounts := b.mountsOf(init, dir)
		for _, want := range []string{"", "/proc", "/dev", "/sys"} {
			if !slices.Contains(mounts, want) {
				return false
			}
		}
		return true
	})
	mounts := b.mountsOf(init, dir)
	if cgroup := b.must("sudo", "cat", "/proc/"+init+"/cgroup").Stdout; strings.Contains(cgroup, id) {
		t.Errorf("init is in its scope, for which the manager was not asked: %s", cgroup)
	}

	close(bus.answer)
	if r := <-ended; r.Status != 0 {
		t.Fatalf("%v", r)
	}
	if cgroup := cgroupOf(t, b.state(id).Pid); !strings.Contains(cgroup, id) {
		t.Errorf("init is in %s", cgroup)
	}
	t.Logf("mounted while the manager was kept back: %q", mounts)
	b.must(mycr, "delete", "--force", id)
	b.nothingLeft()
}

// A heldBus stands between a runtime and the bus: nothing passes before pass is closed, and the call that makes a
// scope, with all that follows, not before answer is.
type heldBus struct {
	pass, called, answer chan struct{}
}

func holdBus(t *testing.T, real, held string) *heldBus {
	t.Helper()
	h := &heldBus{make(chan struct{}), make(chan struct{}), make(chan struct{})}
	listener, err := net.Listen("unix", held)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		client, err := listener.Accept()
		if err != nil {
			return // no runtime has come
		}
		defer client.Close()
		<-h.pass
		server, err := net.Dial("unix", real)
		if err != nil {
			t.Error(err)
			return
		}
		defer server.Close()
		go io.Copy(client, server)
		part, sent := make([]byte, 65536), []byte{}
		for {
			n, err := client.Read(part)
			before := bytes.Contains(sent, []byte("StartTransientUnit"))
			sent = append(sent, part[:n]...)
			if !before && bytes.Contains(sent, []byte("StartTransientUnit")) {
				close(h.called)
				<-h.answer
			}
			if _, werr := server.Write(part[:n]); err != nil || werr != nil {
				return
			}
		}
	}()
	return h
}

// initOf is the init of a bundle while it is made: what was mycr's child, in a mount namespace of its own.
func (b *box) initOf(bundle string) string {
	for _, parent := range strings.Fields(b.run("pgrep", "-f", "create -b "+bundle).Stdout) {
		for _, pid := range strings.Fields(b.run("pgrep", "-P", parent).Stdout) {
			own, _ := os.Readlink("/proc/self/ns/mnt")
			if its := strings.TrimSpace(b.run("sudo", "readlink", "/proc/"+pid+"/ns/mnt").Stdout); its != "" && its != own {
				return pid
			}
		}
	}
	return ""
}

// receives tells whether a thread of the process waits in recvmsg(2).
func (b *box) receives(pid string) bool {
	return strings.Contains("\n"+b.run("sudo", "sh", "-c", "cat /proc/"+pid+"/task/*/syscall").Stdout, "\n"+fmt.Sprint(unix.SYS_RECVMSG)+" ")
}

// mountsOf are the mount points below a bundle's root, as its init has them.
func (b *box) mountsOf(pid, bundle string) (points []string) {
	for line := range strings.Lines(b.run("sudo", "cat", "/proc/"+pid+"/mountinfo").Stdout) {
		if fields := strings.Fields(line); strings.HasPrefix(fields[4], bundle+"/rootfs") {
			points = append(points, strings.TrimPrefix(fields[4], bundle+"/rootfs"))
		}
	}
	return points
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
