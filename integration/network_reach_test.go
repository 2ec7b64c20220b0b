// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNetworkOutside(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		list := []string{
			"tcp " + join(worldA, echoPort), "udp " + join(worldA, echoPort), "udp " + join(worldA, echoPort) + " 1",
			"tcp " + join(worldB, echoPort) + " 100000", "reset " + join(worldA, resetPort),
			"listen 0.0.0.0:80", "listen 127.0.0.1:1",
		}
		if d.can(featureHalfClose) {
			list = append(list, "half "+join(worldA, halfPort))
		}
		wantChecks(t, "ok", []string{"--network", d.name}, list...)
	})
}

func TestNetworkOutsideByIPv6(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		list := []string{"tcp " + join(worldA6, echoPort)}
		if d.can(featureHalfClose) {
			list = append(list, "half "+join(worldA6, halfPort))
		}
		wantChecks(t, "ok", []string{"--network", d.name}, append(list, "udp "+join(worldA6, echoPort),
			"reset "+join(worldB6, resetPort), "up "+join(worldA6, bulkPort)+" 1000000", "down "+join(worldA6, bulkPort)+" 1000000")...)
	}, featureIPv6)
}

// TestNetworkClosedPort: what refuses outside refuses inside, at once.
func TestNetworkClosedPort(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		got := checks(t, []string{"--network", d.name}, "refused tcp "+join(worldA, 9))
		if !strings.HasSuffix(got[0], " ECONNREFUSED") {
			t.Errorf("%s", got[0])
		}
	}, featureRefusal)
}

func TestNetworkNames(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		list := []string{"resolve ip4 allowed.test", "resolve ip6 allowed.test", "resolve ip4 which.test",
			"tcp allowed.test:7", "resolve ip4 none.test"}
		want := []string{"1 [" + worldA + "]", "1 [" + worldA6 + "]", "1 [198.51.100.198]", "ok", "error: "}
		if d.can(featureDNSByTCP) {
			list, want = append(list, "resolve ip4 large.test"), append(want, fmt.Sprint(largeAnswer, " "))
		}
		for i, got := range checks(t, []string{"--network", d.name}, list...) {
			if !strings.HasPrefix(got, want[i]) {
				t.Errorf("%s: %s", list[i], got)
			}
		}
	})
}

// TestNetworkResolverOnLoopback: systemd's is there, out of a container's reach but through the driver.
func TestNetworkResolverOnLoopback(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		resolvConf(t, localResolver)
		list, want := []string{"resolve ip4 which.test"}, "1 [198.51.100.127]"
		if d.can(featureDNSByTCP) {
			list, want = append(list, "resolve ip4 large.test"), want+fmt.Sprint(largeAnswer)
		}
		if got := strings.Join(checks(t, []string{"--network", d.name}, list...), ""); !strings.HasPrefix(got, want) {
			t.Error(got)
		}
	})
}

func TestNetworkResolverChangesUnderWay(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		b := serve(t, "--network", d.name)
		ask := func() string {
			return strings.TrimSpace(b.must("exec", "n1", "/bin/netprobe", "resolve ip4 which.test").stdout)
		}
		if got := ask(); got != "1 [198.51.100.198]" {
			t.Errorf("at first: %s", got)
		}
		resolvConf(t, resolver2)
		var got string
		for deadline := time.Now().Add(10 * time.Second); got != "1 [198.51.100.203]"; time.Sleep(50 * time.Millisecond) {
			if got = ask(); time.Now().After(deadline) {
				t.Fatalf("afterwards: %s", got)
			}
		}
		b.end()
	}, featureResolver)
}

// TestNetworkGivenNames: --dns, --dns-search, --add-host.
func TestNetworkGivenNames(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		flags := []string{"--network", d.name, "--dns", resolver2, "--dns-search", "test", "--add-host", "given.example:" + worldB}
		b := newBox(t)
		dir := b.netBundle(sh("/bin/netprobe 'resolve ip4 which.test' 'tcp given.example:7'; grep search /etc/resolv.conf"))
		r := b.must(append(append([]string{"run"}, flags...), "-b", dir, "n1")...)
		b.nothingLeft()
		if want := "1 [198.51.100.203]\nok\nsearch test\n"; r.stdout != want {
			t.Errorf("%q, not %q", r.stdout, want)
		}
	})
}

// TestNetworkReadOnlyRoot: the resolver is known inside too where nothing can be written, and the bundle's own file
// stays as it is.
func TestNetworkReadOnlyRoot(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		for _, present := range []bool{true, false} {
			b := newBox(t)
			dir := b.bundle("b", namespace("network", ""), set("root.readonly", true), args("/bin/netprobe", "resolve ip4 allowed.test"))
			file := dir + "/rootfs/etc/resolv.conf"
			if err := os.Symlink("probe", dir+"/rootfs/bin/netprobe"); err != nil {
				t.Fatal(err)
			}
			if present {
				os.WriteFile(file, []byte("nameserver 192.0.2.77\n"), 0o644)
			} else if err := os.Remove(file); err != nil {
				t.Fatal(err)
			} else if r := b.run("run", "--network", d.name, "-b", dir, "n1"); r.status != 0 { // makes the mount point
				t.Error(r)
			}
			b.snapshot()
			r := b.run("run", "--network", d.name, "-b", dir, "n1")
			b.nothingLeft()
			if r.status != 0 || !strings.HasPrefix(r.stdout, "1 ["+worldA) {
				t.Errorf("resolv.conf in the bundle: %v: %v", present, r)
			}
		}
	})
}

// TestNetworkWget is the first line: a page by name, exit 0.
func TestNetworkWget(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		b := newBox(t)
		dir := b.netBundle(args("wget", "-q", "-O", "-", "http://allowed.test/"))
		r := b.must("run", "--network", d.name, "-b", dir, "n1")
		if r.stdout != "outside page of allowed.test\n" {
			t.Error(r)
		}
		b.nothingLeft()
	})
}

func TestNetworkPing(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		b := newBox(t)
		dir := b.netBundle(netprobeArgs("ping " + worldA))
		r := b.run("run", "--network", d.name, "-b", dir, "n1")
		if r.status != 0 || r.stdout != "ok\n" {
			t.Error(r)
		}
		b.nothingLeft()
	})
}

func TestNetworkThousandConnections(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		wantChecks(t, "ok", []string{"--network", d.name}, "many "+join(worldA, echoPort)+" 1000")
	})
}

// bulkSize is how many bytes go through in each direction.
func bulkSize() int {
	if os.Getenv("MYCR_ALL") != "" {
		return 1 << 30
	}
	return 100 << 20
}

func TestNetworkBulk(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		flags := []string{"--network", d.name}
		list := []string{fmt.Sprint("up ", join(worldA, bulkPort), " ", bulkSize()), fmt.Sprint("down ", join(worldA, bulkPort), " ", bulkSize())}
		for i, got := range checks(t, flags, list...) {
			// An upload stalls in Debian's pasta of 2023, alone as well (make bench-net has the figures); on a busy machine
			// the connection is reset in the end.
			for tries := 2; d.name == "pasta" && strings.Contains(got, "connection reset by peer") && tries > 0; tries-- {
				t.Logf("%s: %s: once more", list[i], got)
				got = checks(t, flags, list[i])[0]
			}
			if got != "ok" {
				t.Errorf("%s: %s", list[i], got)
			}
		}
	})
}

func TestNetworkSlowReader(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		wantChecks(t, "ok", []string{"--network", d.name}, fmt.Sprint("slow ", join(worldA, bulkPort), " ", 16<<20, " ", join(worldB, echoPort)))
	})
}

func TestNetworkMTU(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		for _, mtu := range []int{1280, 1500, 9000, 65520} {
			flags := []string{"--network", d.name, "--mtu", fmt.Sprint(mtu)}
			list := []string{"up " + join(worldA, bulkPort) + " 3000000", "down " + join(worldA, bulkPort) + " 3000000"}
			for _, size := range []int{mtu - 29, mtu - 28} {
				if size < 1472 {
					list = append(list, fmt.Sprint("udp ", join(worldA, echoPort), " ", size))
				}
			}
			wantChecks(t, "ok", flags, list...)
			b := newBox(t)
			dir := b.netBundle(sh("cat /sys/class/net/[!l]*/mtu || ip link"), mount("/sys", "sysfs", "sysfs", "ro"))
			if r := b.must(append(append([]string{"run"}, flags...), "-b", dir, "n1")...); !strings.Contains(r.stdout, fmt.Sprint(mtu)) {
				t.Errorf("the device has another MTU than %d: %v", mtu, r)
			}
		}
	})
}

// TestNetworkState: what state and port say of it.
func TestNetworkState(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		port := freePort(t)
		b := serve(t, "--network", d.name, "-p", fmt.Sprintf("127.0.0.1:%d:80", port))
		s := b.network("n1")
		if s.Driver != d.name || s.Status != "running" || s.Device == "" || len(s.Addresses) == 0 || len(s.DNS) == 0 || len(s.Ports) != 1 {
			t.Errorf("state: %+v", s)
		}
		inside := b.must("exec", "n1", "ip", "-o", "addr").stdout
		for _, address := range s.Addresses {
			if !strings.Contains(inside, address) {
				t.Errorf("state has %s, inside is %s", address, inside)
			}
		}
		if r := b.must("port", "n1"); r.stdout != fmt.Sprintf("80/tcp -> 127.0.0.1:%d\n", port) {
			t.Errorf("port: %v", r)
		}
		b.end()
	})
}

// TestNetworkSubnet: the container has an address of the network that was asked for.
func TestNetworkSubnet(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		b := newBox(t)
		dir := b.netBundle(sh("ip -o addr; /bin/netprobe 'tcp allowed.test:7'"))
		r := b.run("run", "--network", d.name, "--subnet", "10.77.0.0/24", "-b", dir, "n1")
		if d.name != "internal" && r.status != 0 && strings.Contains(r.stderr, d.name) && strings.Contains(r.stderr, "--network internal") {
			return // refused by name
		}
		if r.status != 0 || !strings.Contains(r.stdout, "10.77.0.") || !strings.HasSuffix(r.stdout, "ok\n") {
			t.Error(r)
		}
		b.nothingLeft()
	})
}

// TestNetworkNone: loopback is up, and nothing else there.
func TestNetworkNone(t *testing.T) {
	needBed(t)
	b := newBox(t)
	dir := b.netBundle(sh("ip -o link | cut -d: -f2; /bin/netprobe 'refused tcp 127.0.0.1:9' 'refused tcp " + join(worldA, echoPort) + "'"))
	r := b.must("run", "--network", "none", "-b", dir, "n1")
	lines := strings.Fields(r.stdout)
	if !slices.Contains(lines, "lo") || !slices.Contains(lines, "ECONNREFUSED") || !slices.Contains(lines, "ENETUNREACH") {
		t.Error(r)
	}
	b.nothingLeft()
}
