// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// atOnce is what the issue demands of a refusal.
const atOnce = 100 * time.Millisecond

// wantRefused wants the answer of the check refused: an error of the network, the best of three at once.
func wantRefused(t *testing.T, check, got string) {
	t.Helper()
	number, how, found := strings.Cut(got, " ms ")
	ms, err := strconv.Atoi(number)
	if !found || err != nil || !strings.HasPrefix(how, "E") {
		t.Errorf("%s: not refused: %s", check, got)
		return
	}
	if limit := atOnce.Milliseconds(); int64(ms) >= limit {
		t.Errorf("%s: refused only after %d ms", check, ms)
	}
}

// egress runs checks with an egress list and gives their lines and what is said at the end.
func egress(t *testing.T, flags []string, list ...string) (lines []string, told string) {
	t.Helper()
	needBed(t)
	b := newBox(t)
	dir := b.netBundle(netprobeArgs(list...))
	r := b.must(append(append([]string{"run"}, flags...), "-b", dir, "n1")...)
	b.nothingLeft()
	lines = strings.Split(strings.TrimSpace(r.stdout), "\n")
	if len(lines) != len(list) {
		t.Fatalf("%d lines of %d checks: %v", len(lines), len(list), r)
	}
	return lines, r.stderr
}

// TestNetworkAllowHost is the third line.
func TestNetworkAllowHost(t *testing.T) {
	list := []string{
		"tcp allowed.test:80 0", "banner allowed.test:80", "tls allowed.test:443 allowed.test",
		"resolve ip4 denied.test", "refused tcp " + join(worldB, httpPort), "refused tcp " + join(worldB6, tlsPort),
		"refused tcp " + join(worldA, echoPort), "refused udp " + join(worldA, echoPort),
		"query udp " + join(resolver1, 53) + " denied.test", "query tcp " + join(resolver2, 53) + " denied.test",
		"refused tcp " + join(resolver1, 53), "refused udp " + join(resolver2, 53),
		"query udp 10.0.2.3:53 denied.test", "query tcp 10.0.2.3:53 denied.test", "query udp 10.0.2.3:53 allowed.test",
		"tls allowed.test:443 denied.test", "tls allowed.test:443 other.test",
	}
	got, told := egress(t, []string{"--network", "internal", "--allow-host", "allowed.test"}, list...)
	for i, line := range got {
		check := list[i]
		switch {
		case strings.HasPrefix(check, "refused"):
			wantRefused(t, check, line)
		case strings.HasPrefix(check, "tcp"):
			if line != "ok" {
				t.Errorf("%s: %s", check, line)
			}
		case check == "query udp 10.0.2.3:53 allowed.test":
			if line != "Success 1" {
				t.Errorf("%s: %s", check, line)
			}
		case check == "tls allowed.test:443 allowed.test":
			if line != outsideBanner {
				t.Errorf("%s: %s", check, line)
			}
		case check == "banner allowed.test:80": // HTTP without a question: it waits, but is connected
		case strings.HasPrefix(check, "query") && (strings.HasPrefix(line, "Refused 0") || strings.HasPrefix(line, "NameError 0")):
		case !strings.HasPrefix(line, "error: "):
			t.Errorf("%s: %s", check, line)
		}
	}
	for _, what := range []string{
		"--allow-host denied.test", "--allow-net " + worldB, "--allow-net [" + worldB6,
		"--allow-host other.test", worldA + ":7", resolver1 + ":53", resolver2 + ":53",
	} {
		if !strings.Contains(told, what) {
			t.Errorf("the end does not say %q:\n%s", what, told)
		}
	}
	seen := map[string]bool{}
	for line := range strings.Lines(told) {
		if seen[line] {
			t.Errorf("said twice: %s", line)
		}
		seen[line] = true
	}
}

// TestNetworkAllowHostImpliesInternal: auto is then the driver that can.
func TestNetworkAllowHostImpliesInternal(t *testing.T) {
	for _, flags := range [][]string{nil, {"--network", "auto"}} {
		got, _ := egress(t, append(flags, "--allow-host", "allowed.test"), "tls allowed.test:443 allowed.test", "refused tcp "+join(worldB, httpPort))
		if got[0] != outsideBanner {
			t.Error(got)
		}
		wantRefused(t, "denied.test", got[1])
	}
}

func TestNetworkAllowHostWget(t *testing.T) {
	needBed(t)
	b := newBox(t)
	dir := b.netBundle(sh("wget -q -O - http://allowed.test/ && ! wget -q -O - http://denied.test/ && ! wget -q -O - http://" + worldB + "/"))
	r := b.must("run", "--allow-host", "allowed.test", "-b", dir, "n1")
	if r.stdout != "outside page of allowed.test\n" || !strings.Contains(r.stderr, "--allow-host denied.test") {
		t.Error(r)
	}
	b.nothingLeft()
}

// Nobody waits for the end of a detached container: its state says what is refused.
func TestNetworkAllowHostDetached(t *testing.T) {
	needBed(t)
	b := newBox(t)
	dir := b.netBundle(sh("wget -q -O - http://denied.test/; exec sleep 1000"))
	b.must("run", "--detach", "--allow-host", "allowed.test", "-b", dir, "n1")
	wait(t, "the refusal in the state", func() bool {
		return slices.ContainsFunc(b.network("n1").Refused, func(line string) bool {
			return strings.HasPrefix(line, "refused: dns denied.test") && strings.Contains(line, "--allow-host denied.test")
		})
	})
	b.end()
}

// TestNetworkAllowHostPort: a port that is given is the only one.
func TestNetworkAllowHostPort(t *testing.T) {
	got, told := egress(t, []string{"--network", "internal", "--allow-host", "allowed.test:7"},
		"tcp allowed.test:7", "refused tcp allowed.test:80", "refused tcp allowed.test:443")
	if got[0] != "ok" {
		t.Error(got)
	}
	wantRefused(t, "allowed.test:80", got[1])
	wantRefused(t, "allowed.test:443", got[2])
	if !strings.Contains(told, "--allow-host allowed.test:80") && !strings.Contains(told, "--allow-host allowed.test") {
		t.Error(told)
	}
}

func TestNetworkAllowNet(t *testing.T) {
	flags := []string{"--network", "internal", "--allow-net", worldA + "/32:7", "--allow-net", "[2001:db8::/64]:7"}
	got, told := egress(t, flags, "tcp "+join(worldA, echoPort), "tcp "+join(worldA6, echoPort), "tcp "+join(worldB6, echoPort),
		"refused tcp "+join(worldA, httpPort), "refused tcp "+join(worldB, echoPort))
	for i, line := range got[:3] {
		if line != "ok" {
			t.Errorf("%d: %s", i, line)
		}
	}
	wantRefused(t, "another port", got[3])
	wantRefused(t, "another address", got[4])
	if !strings.Contains(told, "--allow-net "+worldB) {
		t.Error(told)
	}
}

func TestNetworkDenyNet(t *testing.T) {
	got, _ := egress(t, []string{"--network", "internal", "--deny-net", worldB + "/32"},
		"tcp "+join(worldA, echoPort), "udp "+join(worldA, echoPort), "refused tcp "+join(worldB, echoPort), "refused udp "+join(worldB, echoPort))
	if got[0] != "ok" || got[1] != "ok" {
		t.Error(got)
	}
	wantRefused(t, "tcp", got[2])
	wantRefused(t, "udp", got[3])
}

// TestNetworkRebinding: an allowed name whose addresses are the host's, private or metadata is as good as none.
func TestNetworkRebinding(t *testing.T) {
	port := 0
	if needBed(t); true {
		port = listenSecret(t, "127.0.0.1", "::1", hostAddress, hostAddress6)
	}
	list := []string{"resolve ip4 rebind.test", "resolve ip6 rebind.test", "resolve ip4 host.test",
		fmt.Sprintf("reached host rebind.test:%d host.test:%d", port, port), everywhere(port),
		"reached outside " + join(metadataAddress, bannerPort)}
	got, told := egress(t, []string{"--network", "internal", "--allow-host", fmt.Sprint("rebind.test:", port), "--allow-host", "rebind.test:81",
		"--allow-host", fmt.Sprint("host.test:", port)}, list...)
	for i, line := range got {
		if line != "reached" && line != "0 []" && !strings.HasPrefix(line, "error: ") {
			t.Errorf("%s: %s", list[i], line)
		}
	}
	if !strings.Contains(told, "rebind.test") {
		t.Errorf("the end does not name it: %s", told)
	}
}

// TestNetworkPublishedPortsWithEgress: what comes in is not what goes out.
func TestNetworkPublishedPortsWithEgress(t *testing.T) {
	needBed(t)
	port := freePort(t)
	b := serve(t, "--network", "internal", "--allow-host", "allowed.test", "-p", fmt.Sprintf("127.0.0.1:%d:%d", port, echoPort))
	if err := talk("tcp", fmt.Sprintf("127.0.0.1:%d", port), 1000); err != nil {
		t.Error(err)
	}
	b.end()
}

// TestNetworkDo: do has no network unless it is asked for, and the same words.
func TestNetworkDo(t *testing.T) {
	needBed(t)
	b := newBox(t)
	r := b.run("do", "--", "busybox", "wget", "-q", "-O", "-", "http://"+worldA+"/")
	if r.status == 0 {
		t.Errorf("do has a network by default: %v", r)
	}
	for _, d := range drivers {
		if d.name == "slirp4netns" {
			if r := b.run("do", "--network", d.name, "--", "true"); r.status != 125 || !strings.Contains(r.stderr, "without uid 0") {
				t.Errorf("its sandbox takes uid 0: %v", r)
			}
			continue
		}
		r = b.run("do", "--network", d.name, "--", "busybox", "wget", "-q", "-O", "-", "http://allowed.test/")
		if r.status != 0 || r.stdout != "outside page of allowed.test\n" {
			t.Errorf("%s: %v", d.name, r)
		}
	}
	r = b.run("do", "--allow-host", "allowed.test", "--", "sh", "-c",
		"busybox wget -q -O - http://allowed.test/; busybox wget -q -O - http://denied.test/; true")
	if r.stdout != "outside page of allowed.test\n" || !strings.Contains(r.stderr, "--allow-host denied.test") {
		t.Errorf("--allow-host: %v", r)
	}
	b.nothingLeft()
}
