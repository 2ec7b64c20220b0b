// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The tests of networks run in the host that integration/network makes, with a world outside whose servers are in
// network_outside_test.go. What is checked inside a container is in network_probe_test.go.

// A driver is one of the words of --network, and what it cannot do: a feature, and flags that ask for it.
type driver struct {
	name    string
	program string // that has to be installed
	lacks   map[string][]string
	old     []string // what it cannot in versions that are still in use, whoever starts it
}

const (
	featureIPv6            = "IPv6"
	featurePublish6        = "ports on IPv6"
	featureEgress          = "egress lists"
	featureLivePublish     = "ports of a running container"
	featureMetadata        = "metadata addresses kept from CAP_NET_ADMIN"
	featureResolver        = "a resolver that changes under way"
	featureHalfClose       = "the end of one half while bytes are on their way"
	featureRefusal         = "the refusal of a connection"
	featureDNSByTCP        = "DNS by TCP"
	featureTwoAddresses    = "one port at two addresses"
	featureReset           = "a reset that passes a published port"
	featurePublish6Outside = "ports on IPv6 for others than the host"
	featurePublishUDP      = "UDP by a port of another number"
)

// drivers is the table of what each cannot: refused by name, which TestNetworkRefusedByName shows. Where there are no
// flags the lack is in what the driver does, not in what is asked.
var drivers = []driver{
	{name: "internal"},
	{name: "pasta", program: "pasta", lacks: map[string][]string{
		featureEgress:      {"--allow-host", "allowed.test"},
		featureLivePublish: nil,
		featureMetadata:    nil,
		featureResolver:    nil,
	}, old: []string{featureHalfClose, featureRefusal, featureDNSByTCP, featureTwoAddresses, featurePublishUDP, featureReset, featurePublish6Outside}},
	{name: "slirp4netns", program: "slirp4netns", lacks: map[string][]string{
		featureIPv6:        {"--ipv6", "on"},
		featurePublish6:    {"-p", "[::1]:18080:80"},
		featurePublishUDP:  {"-p", "127.0.0.1:18080:80/udp"},
		featureReset:       nil,
		featureEgress:      {"--allow-host", "allowed.test"},
		featureLivePublish: nil,
		featureMetadata:    nil,
	}},
}

func (d driver) can(feature string) bool {
	_, lacks := d.lacks[feature]
	return !lacks && !(slices.Contains(d.old, feature) && d.isOld())
}

// isOld tells whether it is from before 2024. Debian 12's pasta, of March 2023, says that it does not know.
func (d driver) isOld() bool {
	out, err := exec.Command(d.program, "--version").Output()
	_, date, found := strings.Cut(string(out), "git")
	if !found {
		_, date, found = strings.Cut(string(out), " 20")
		date = "20" + strings.ReplaceAll(date, "_", "")
	}
	return err == nil && (!found || date < "2024")
}

// needBed skips a test that was started without a world outside.
func needBed(t testing.TB) {
	t.Helper()
	needBinary(t)
	if why := os.Getenv("MYCR_NETWORK_LACKS"); why != "" {
		t.Skip(why)
	}
	if os.Getenv("MYCR_NETWORK") != "bed" {
		t.Skip("needs a world outside: integration/network")
	}
}

// eachDriver runs f for each driver that is installed and can do all of features.
func eachDriver(t *testing.T, f func(t *testing.T, d driver), features ...string) {
	needBed(t)
	for _, d := range drivers {
		able := true
		for _, feature := range features {
			able = able && d.can(feature)
		}
		if !able {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			d.need(t)
			f(t, d)
		})
	}
}

func (d driver) need(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath(d.program); d.program != "" && err != nil {
		t.Skipf("%s is not installed", d.name)
	}
}

// netBundle makes a bundle with a network namespace of its own and programs for it.
func (b *box) netBundle(edits ...edit) string {
	b.t.Helper()
	dir := b.bundle("b", append([]edit{namespace("network", "")}, edits...)...)
	for name, target := range map[string]string{"netprobe": "probe", "wget": "busybox", "nc": "busybox", "ping": "busybox", "nslookup": "busybox"} {
		if err := os.Symlink(target, dir+"/rootfs/bin/"+name); err != nil {
			b.t.Fatal(err)
		}
	}
	b.snapshot()
	return dir
}

// netprobeArgs is a container that makes checks.
func netprobeArgs(checks ...string) edit {
	return args(append([]string{"/bin/netprobe"}, checks...)...)
}

// checks runs a container that makes the checks and gives a line for each; nothing may be left afterwards.
func checks(t *testing.T, flags []string, checks ...string) []string {
	t.Helper()
	b := newBox(t)
	dir := b.netBundle(netprobeArgs(checks...))
	r := b.must(append(append([]string{"run"}, flags...), "-b", dir, "n1")...)
	b.nothingLeft()
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if len(lines) != len(checks) {
		t.Fatalf("%d lines of %d checks: %v", len(lines), len(checks), r)
	}
	return lines
}

// wantChecks are checks that all have to answer with want.
func wantChecks(t *testing.T, want string, flags []string, list ...string) {
	t.Helper()
	for i, got := range checks(t, flags, list...) {
		if got != want {
			t.Errorf("%s: %s: %q, not %q", strings.Join(flags, " "), list[i], got, want)
		}
	}
}

// serve starts a container with the servers in it, detached, and waits until they are there.
func serve(t *testing.T, flags ...string) *box {
	t.Helper()
	b := newBox(t)
	dir := b.netBundle(netprobeArgs("serve"))
	b.mustServe(dir, flags...)
	return b
}

func (b *box) mustServe(dir string, flags ...string) {
	b.t.Helper()
	out, err := os.Create(b.path("run", "out"))
	if err != nil {
		b.t.Fatal(err)
	}
	defer out.Close()
	cmd := b.command(append(append([]string{"run", "--detach"}, flags...), "-b", dir, "n1")...)
	cmd.Stdout = out
	if r := b.wait(cmd); r.status != 0 {
		b.t.Fatalf("%s: %v", strings.Join(flags, " "), r)
	}
	wait(b.t, "the servers inside", func() bool {
		text, _ := os.ReadFile(out.Name())
		return string(text) == "serves\n"
	})
}

// end deletes the container; nothing may be left then.
func (b *box) end() {
	b.t.Helper()
	b.must("delete", "--force", "n1")
	os.Remove(b.path("run", "out"))
	b.nothingLeft()
}

// wait waits for something that has no descriptor to wait on.
func wait(t testing.TB, what string, there func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !there(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// A networkState is what state says of the network.
type networkState struct {
	Driver    string   `json:"driver"`
	Status    string   `json:"status"`
	Pid       int      `json:"pid"`
	Device    string   `json:"device"`
	Addresses []string `json:"addresses"`
	DNS       []string `json:"dns"`
	Ports     []struct {
		Host      string `json:"host"`
		Container int    `json:"container"`
		Protocol  string `json:"protocol"`
	} `json:"ports"`
	Refused []string `json:"refused"`
}

func (b *box) network(id string) networkState {
	b.t.Helper()
	r := b.must("state", id)
	var s struct{ Network networkState }
	if err := json.Unmarshal([]byte(r.stdout), &s); err != nil {
		b.t.Fatalf("state %s: %v in %s", id, err, r.stdout)
	}
	return s.Network
}

// lastPort is below those that the kernel gives to connections: the host of the bed has no other servers.
var lastPort atomic.Int32

// freePort is the first of some that nobody has.
func freePort(t testing.TB) int {
	t.Helper()
	const first, apart = 10_000, 128
	port := first + int(lastPort.Add(1))*apart
	if port > 32_000 {
		t.Fatal("no port is left")
	}
	return port
}

// resolvConf changes the host's resolver for the rest of the test.
func resolvConf(t testing.TB, server string) {
	t.Helper()
	// It is bound over, so it cannot be replaced.
	if err := os.WriteFile("/etc/resolv.conf", fmt.Appendf(nil, "nameserver %s\n", server), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.WriteFile("/etc/resolv.conf", []byte("nameserver "+resolver1+"\n"), 0) })
}

// withoutDevice makes the host one in which /dev/net/tun is not there, or closed to users.
func withoutDevice(t testing.TB, closed bool) {
	t.Helper()
	move := func(from, to string) {
		if err := unix.Rename("/dev/net/"+from, "/dev/net/"+to); err != nil {
			t.Fatalf("rename %s: %v", from, err)
		}
	}
	move("tun", "open")
	if closed {
		move("closed", "tun")
	}
	t.Cleanup(func() {
		if closed {
			move("tun", "closed")
		}
		move("open", "tun")
	})
}
