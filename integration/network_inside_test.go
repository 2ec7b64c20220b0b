// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// TestNetworkForOrdinaryUserInside: ping and port 80 need no root in there, with all ids mapped and with one.
func TestNetworkForOrdinaryUserInside(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		one := func(id int) []any { return []any{map[string]any{"containerID": 1000, "hostID": id, "size": 1}} }
		for name, edits := range map[string][]edit{
			"all ids": nil,
			"one id":  {namespace("user", ""), set("linux.uidMappings", one(os.Getuid())), set("linux.gidMappings", one(os.Getgid()))},
		} {
			if name == "one id" && d.name == "slirp4netns" {
				continue // its sandbox takes uid 0, see TestNetworkDo
			}
			t.Run(name, func(t *testing.T) {
				b := newBox(t)
				dir := b.netBundle(append(edits, set("process.user", map[string]any{"uid": 1000, "gid": 1000}),
					sh("id -u; /bin/netprobe 'listen 0.0.0.0:80' 'tcp allowed.test:7' 'ping "+worldA+"'"))...)
				r := b.run("run", "--network", d.name, "-b", dir, "n1")
				if r.status != 0 || r.stdout != "1000\nok\nok\nok\n" {
					t.Error(r)
				}
				b.nothingLeft()
			})
		}
	})
}

// TestNetworkJoined: a container in another one's network namespace has its network, and adds nothing to it.
func TestNetworkJoined(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		b := serve(t, "--network", d.name)
		second := b.path("second")
		if err := makeBundle(b.runtime, second, namespace("network", fmt.Sprintf("/proc/%d/ns/net", b.state("n1").Pid)),
			args("/bin/probe")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("probe", second+"/rootfs/bin/netprobe"); err != nil {
			t.Fatal(err)
		}
		if err := editConfig(second, netprobeArgs("tcp 127.0.0.1:7", "tcp "+join(worldA, echoPort))); err != nil {
			t.Fatal(err)
		}
		r := b.run("run", "-b", second, "n2")
		if r.status != 0 || r.stdout != "ok\nok\n" {
			t.Error(r)
		}
		if r := b.run("run", "--network", d.name, "-b", second, "n2"); r.status == 0 {
			t.Errorf("a second network for one namespace: %v", r)
		}
		os.RemoveAll(second)
		b.end()
	})
}

// TestNetworkTwentyAtOnce: each has its own, with the same addresses.
func TestNetworkTwentyAtOnce(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		b := newBox(t)
		dir := b.netBundle(netprobeArgs("tcp allowed.test:7", "udp "+join(worldB, echoPort)))
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				r, err := waitFor(b.command("run", "--network", d.name, "--network-timeout", "60s", "-b", dir, fmt.Sprint("n", i)))
				if err != nil || r.status != 0 || r.stdout != "ok\nok\n" {
					t.Errorf("%d: %v %v", i, err, r)
				}
			})
		}
		all.Wait()
		b.nothingLeft()
	})
}
