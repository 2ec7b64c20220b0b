// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
)

const secret = "for the host only"

// listenSecret has a server of the host on one port of all addresses that says the secret.
func listenSecret(t *testing.T, addresses ...string) (port int) {
	t.Helper()
	port = freePort(t)
	for _, address := range addresses {
		l, err := net.Listen("tcp", join(address, port))
		if err != nil {
			t.Fatal(err)
		}
		sayTo(t, l)
	}
	return port
}

func sayTo(t *testing.T, l net.Listener) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(c, secret)
			c.Close()
		}
	}()
}

// everywhere are the addresses by which a container might come to the host.
func everywhere(port int) string {
	var list []string
	for _, address := range []string{
		"127.0.0.1", "127.0.0.53", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1", hostAddress, hostAddress6, // the host's own
		"10.0.2.2", "10.0.2.3", "10.0.2.100", "fd00::2", "fd00::3", "fe80::1%2", // the drivers'
		worldGateway, "fd09::1", metadataAddress, metadataAddress6, "169.254.1.1", "169.254.2.3",
	} {
		list = append(list, join(address, port))
	}
	return "reached host " + strings.Join(list, " ")
}

// TestNetworkHostOutOfReach: neither the host's loopback nor its own addresses, by whatever way.
func TestNetworkHostOutOfReach(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		port := listenSecret(t, "127.0.0.1", "127.0.0.53", "::1", hostAddress, hostAddress6)
		for _, address := range []string{"127.0.0.1", "[::1]", hostAddress} {
			if text, err := banner(fmt.Sprintf("%s:%d", address, port)); text != secret {
				t.Fatalf("the host itself does not reach its server at %s: %q, %v", address, text, err)
			}
		}
		for _, flags := range [][]string{nil, {"--ipv6", "off"}} {
			got := checks(t, append([]string{"--network", d.name}, flags...), everywhere(port), "tcp "+join(worldA, echoPort))
			if got[0] != "reached" || got[1] != "ok" {
				t.Errorf("%v: %q", flags, got)
			}
		}
	})
}

// TestNetworkHostLoopback is the word that opens it.
func TestNetworkHostLoopback(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		port := listenSecret(t, "127.0.0.1", "::1")
		got := checks(t, []string{"--network", d.name, "--host-loopback"}, everywhere(port))
		if !strings.Contains(got[0], fmt.Sprint(":", port)) {
			t.Errorf("the gateway does not lead to the host's loopback: %q", got[0])
		}
	})
}

func TestNetworkMetadata(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		if text, err := banner(join(metadataAddress, bannerPort)); !strings.HasPrefix(text, outsideBanner) {
			t.Fatalf("the host itself does not reach the metadata address: %q, %v", text, err)
		}
		list := "reached " + outsideBanner + " " + join(metadataAddress, bannerPort) + " " + join(metadataAddress, httpPort)
		if d.can(featureIPv6) {
			list += " " + join(metadataAddress6, bannerPort)
		}
		if got := checks(t, []string{"--network", d.name}, list); got[0] != "reached" {
			t.Errorf("%s", got[0])
		}
		got := checks(t, []string{"--network", d.name, "--allow-metadata"}, list)
		if !strings.Contains(got[0], join(metadataAddress, bannerPort)) {
			t.Errorf("--allow-metadata: %q", got[0])
		}
	})
}

// TestNetworkMetadataWithPower: who may change routes still does not come there.
func TestNetworkMetadataWithPower(t *testing.T) {
	needBed(t)
	b := newBox(t)
	dir := b.netBundle(capabilities("CAP_NET_ADMIN", "CAP_NET_RAW"),
		sh(`for r in $(ip route | cut -d' ' -f1 | grep 169); do ip route del $r; done
		ip route add 169.254.169.254 via 10.0.2.2
		/bin/netprobe "reached outside 169.254.169.254:81 [fd00:ec2::254]:81" "tcp `+join(worldA, echoPort)+`"`))
	r := b.run("run", "--network", "internal", "-b", dir, "n1")
	if !strings.HasSuffix(r.stdout, "reached\nok\n") {
		t.Error(r)
	}
	b.nothingLeft()
}

// TestNetworkExecWithPower: a process that joins does not get the power that the container's own may not have.
func TestNetworkExecWithPower(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		b := serve(t, "--network", d.name)
		for _, name := range []string{"CAP_NET_ADMIN", "CAP_SYS_ADMIN"} {
			r := b.run("exec", "--cap", name, "n1", "/bin/netprobe", "reached outside "+join(metadataAddress, bannerPort))
			if d.can(featureMetadata) {
				if r.status != 0 || r.stdout != "reached\n" {
					t.Errorf("%s: %v", name, r)
				}
				continue
			}
			if r.status != 255 {
				t.Errorf("%s: %v", name, r)
			}
			oneErrorLine(t, r, "CAP_NET_ADMIN", "cloud metadata", "--network internal")
		}
		b.end()
	})
}

// TestNetworkBus: sockets of the host that have no path belong to its network namespace; those with one are not in
// the bundle. The session bus can be either.
func TestNetworkBus(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		b := newBox(t)
		for _, name := range []string{"@mycr-test-abstract", b.path("run", "bus")} {
			l, err := net.Listen("unix", name)
			if err != nil {
				t.Fatal(err)
			}
			sayTo(t, l)
			b.env = append(b.env, "DBUS_SESSION_BUS_ADDRESS=unix:path="+b.path("run", "bus"))
		}
		dir := b.netBundle(netprobeArgs("unix @mycr-test-abstract", "unix "+b.path("run", "bus")))
		r := b.must("run", "--network", d.name, "-b", dir, "n1")
		if strings.Contains(r.stdout, "ok") {
			t.Error(r)
		}
	})
}

// TestNetworkDriverHasNoPowers: what serves the container can do nothing in the host, and holds nothing of the caller.
func TestNetworkDriverHasNoPowers(t *testing.T) {
	eachDriver(t, func(t *testing.T, d driver) {
		t.Setenv("MYCR_TEST_SECRET", "1")
		b := newBox(t)
		dir := b.netBundle(args("sleep", "300"))
		before := descendants()
		// A descriptor of the caller, as a careless one has them.
		file, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		cmd := b.command("create", "--network", d.name, "-b", dir, "n1")
		cmd.ExtraFiles = append(cmd.ExtraFiles, file)
		if r := b.wait(cmd); r.status != 0 {
			t.Fatal(r)
		}
		init := b.state("n1").Pid
		helpers := 0
		for pid, name := range descendants() {
			if _, old := before[pid]; old || pid == init {
				continue
			}
			helpers++
			status := procFile(pid, "status")
			if field(status, "NoNewPrivs") != "1" {
				t.Errorf("%s: no_new_privs is not set", name)
			}
			if ns(pid, "user") == ns(os.Getpid(), "user") && field(status, "CapEff") != "0000000000000000" {
				t.Errorf("%s has capabilities in the host's namespace: %s", name, field(status, "CapEff"))
			}
			if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err == nil && cwd != "/" {
				t.Errorf("%s: cwd %s", name, cwd)
			}
			fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
			for _, fd := range fds {
				target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name()))
				if strings.HasPrefix(target, scratch) || strings.HasPrefix(target, "/tmp/") {
					t.Errorf("%s holds %s", name, target)
				}
				if fd.Name() < "3" && len(fd.Name()) == 1 && target != "/dev/null" && !strings.HasPrefix(target, "pipe:") { // to its keeper
					t.Errorf("%s: descriptor %s is %s", name, fd.Name(), target)
				}
			}
		}
		if helpers == 0 {
			t.Error("no driver is there")
		}
		b.end()
	})
}

func procFile(pid int, name string) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	return string(text)
}

func field(status, name string) string {
	for line := range strings.Lines(status) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func ns(pid int, kind string) string {
	link, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
	return link
}
