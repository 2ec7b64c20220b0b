// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

// TestNetworkBed makes the checks in the host itself: what fails here says nothing about containers.
func TestNetworkBed(t *testing.T) {
	needBed(t)
	var list []string
	for _, address := range []string{worldA, worldA6} {
		list = append(list, "tcp "+join(address, echoPort), "udp "+join(address, echoPort), "udp "+join(address, echoPort)+" 8000",
			"half "+join(address, halfPort), "reset "+join(address, resetPort), "many "+join(address, echoPort)+" 1000",
			fmt.Sprint("up ", join(address, bulkPort), " ", bulkSize()), fmt.Sprint("down ", join(address, bulkPort), " ", bulkSize()),
			fmt.Sprint("slow ", join(address, bulkPort), " ", 16<<20, " ", join(worldB, echoPort)), "tcp allowed.test:7")
	}
	want := map[string]string{
		"resolve ip4 large.test":                         fmt.Sprint(largeAnswer, " "),
		"resolve ip6 allowed.test":                       "1 [" + worldA6 + "]",
		"resolve ip4 which.test":                         "1 [198.51.100.198]",
		"query udp 127.0.0.53:53 none.test":              "NameError 0",
		"query tcp 203.0.113.53:53 large.test":           fmt.Sprint("Success ", largeAnswer),
		"tls " + join(worldA, tlsPort) + " allowed.test": outsideBanner,
		"reached outside " + join(metadataAddress, bannerPort) + " " + join(metadataAddress6, bannerPort): "reached 169.254.169.254:81 ",
		"refused tcp " + join(worldA, 9): "0 ms ECONNREFUSED",
	}
	for check := range want {
		list = append(list, check)
	}
	cmd := exec.Command("/proc/self/exe", list...)
	cmd.Args[0] = "netprobe"
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		expected, found := want[list[i]]
		if !found {
			expected = "ok"
		}
		if !strings.HasPrefix(line, expected) {
			t.Errorf("%s: %s", list[i], line)
		}
	}
}

// TestNetworkNothingInstalled is the first line: neither pasta nor slirp4netns is there, and nothing is asked
// for but a port.
func TestNetworkNothingInstalled(t *testing.T) {
	needBed(t)
	for _, d := range drivers[1:] {
		if path, err := exec.LookPath(d.program); err == nil {
			t.Skipf("%s is installed; integration/network --without %s", path, d.program)
		}
	}
	b := newBox(t)
	dir := b.netBundle(args("wget", "-q", "-O", "-", "http://allowed.test/"))
	r := b.must("run", "-b", dir, "n1")
	if r.stdout != "outside page of allowed.test\n" || !strings.Contains(r.stderr, "internal") {
		t.Error(r)
	}
	b.nothingLeft()

	port := freePort(t)
	b = serve(t, "-p", fmt.Sprintf("%d:%d", port, httpPort))
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		address := fmt.Sprintf("%s:%d", host, port)
		if page, err := getPage("http://" + address + "/"); err != nil || page != "inside page of "+address+"\n" {
			t.Errorf("%s: %q, %v", address, page, err)
		}
	}
	if s := b.network("n1"); s.Driver != "internal" {
		t.Errorf("%+v", s)
	}
	b.end()

	for _, name := range []string{"pasta", "slirp4netns"} {
		r := b.run("run", "--network", name, "-b", dir, "n1")
		if r.status == 0 {
			t.Errorf("%s is not there: %v", name, r)
		}
		oneErrorLine(t, r, name, "/usr/bin", "install")
	}
}

func getPage(url string) (string, error) {
	reply, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	page, err := io.ReadAll(reply.Body)
	return string(page), err
}
