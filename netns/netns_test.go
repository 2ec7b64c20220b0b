// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"mycr/coldjson/plaintest"
)

func host(drivers ...string) HostFacts {
	var h HostFacts
	for _, d := range drivers {
		switch d {
		case Pasta:
			h.Pasta.Path = "/usr/bin/pasta"
		case Slirp:
			h.Slirp.Path = "/usr/bin/slirp4netns"
		case Internal:
			h.Internal.Path = "/usr/bin/mycr-net"
		case "ipv6":
			h.IPv6 = true
		default:
			h.Tun = d
		}
	}
	return h
}

func TestResolve(t *testing.T) {
	all := host(Pasta, Slirp, Internal)
	port := func(word string) []Port {
		p, err := ParsePublish(word)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	egress := &Egress{AllowHosts: []AllowHost{{Name: "example.org"}}}
	for name, c := range map[string]struct {
		o      Options
		f      Facts
		driver string
		fails  string // words of the error
		hint   string
		notes  string
	}{
		"run":                     {Options{Default: Auto}, Facts{New: true, Host: all}, Pasta, "", "", "network: pasta; --network none for none"},
		"create":                  {Options{Default: None}, Facts{New: true, Host: all}, "", "", "", ""},
		"root":                    {Options{Default: Auto}, Facts{New: true, Root: true, Host: all}, "", "", "", ""},
		"joined":                  {Options{Default: Auto}, Facts{Host: all}, "", "", "", ""},
		"hooks":                   {Options{Default: Auto}, Facts{New: true, Hooks: true, Host: all}, "", "", "", ""},
		"hooks and the word":      {Options{Word: Internal, Default: Auto}, Facts{New: true, Hooks: true, Host: all}, Internal, "", "", ""},
		"said":                    {Options{Word: Auto, Default: None}, Facts{New: true, Root: true, Host: all}, Pasta, "", "", "network: pasta"},
		"real root":               {Options{Word: Auto}, Facts{New: true, Root: true, RealRoot: true, Host: all}, Slirp, "", "", "network: slirp4netns"},
		"real root and pasta":     {Options{Word: Pasta}, Facts{New: true, Root: true, RealRoot: true, Host: all}, "", "nobody", "--network internal", ""},
		"two addresses":           {Options{Ports: append(port("127.0.0.1:8080:80"), port("[::1]:8080:80")...), Default: None}, Facts{New: true, Host: all}, Internal, "", "", ""},
		"two addresses and pasta": {Options{Word: Pasta, Ports: append(port("127.0.0.1:8080:80"), port("[::1]:8080:80")...)}, Facts{New: true, Host: all}, "", "at two addresses", "--network internal", ""},
		"the second":              {Options{Default: Auto}, Facts{New: true, Host: host(Slirp, Internal)}, Slirp, "", "", "slirp4netns"},
		"the third":               {Options{Default: Auto}, Facts{New: true, Host: host(Internal)}, Internal, "", "", "internal"},
		"nothing there":           {Options{Default: Auto}, Facts{New: true, Host: host()}, "", "", "", "network: none, since no pasta, slirp4netns or mycr-net was found"},
		"no tun":                  {Options{Default: Auto}, Facts{New: true, Host: host(Pasta, "permission denied")}, "", "", "", "open /dev/net/tun: permission denied"},
		"no tun for the word":     {Options{Word: Pasta}, Facts{New: true, Host: host(Pasta, "permission denied")}, "", "open /dev/net/tun", "chmod", ""},
		"CAP_NET_ADMIN":           {Options{Default: Auto}, Facts{New: true, NetAdmin: true, Host: all}, Internal, "", "", "internal"},
		"CAP_NET_ADMIN and pasta": {Options{Word: Pasta}, Facts{New: true, NetAdmin: true, Host: all}, "", "metadata", "--network internal", ""},
		"metadata allowed":        {Options{Word: Pasta, AllowMetadata: true}, Facts{New: true, NetAdmin: true, Host: all}, Pasta, "", "", ""},
		"egress":                  {Options{Default: Auto, Egress: egress}, Facts{New: true, Host: all}, Internal, "", "", ""},
		"egress, create":          {Options{Default: None, Egress: egress}, Facts{New: true, Root: true, Host: all}, Internal, "", "", ""},
		"egress and pasta":        {Options{Word: Pasta, Egress: egress}, Facts{New: true, Host: all}, "", "egress by name", "--network internal", ""},
		"egress without network":  {Options{Word: None, Egress: egress}, Facts{New: true, Host: all}, "", "no network to apply it to", "--network auto", ""},
		"ports":                   {Options{Default: None, Ports: port("8080:80")}, Facts{New: true, Host: all}, Pasta, "", "", ""},
		"ports and slirp4netns":   {Options{Word: Slirp, Ports: port("8080:80")}, Facts{New: true, Host: all}, "", "IPv6", "--network internal", ""},
		"IPv4 and slirp4netns":    {Options{Word: Slirp, Ports: port("127.0.0.1:8080:80")}, Facts{New: true, Host: all}, Slirp, "", "", ""},
		"a free port":             {Options{Default: None, Ports: port("0:80")}, Facts{New: true, Host: all}, Internal, "", "", ""},
		"missing":                 {Options{Word: Internal}, Facts{New: true, Host: host(Pasta)}, "", "no executable mycr-net", "make build", ""},
		"no new namespace":        {Options{Word: Internal}, Facts{Host: all}, "", "asks for no new network namespace", "linux.namespaces", ""},
		"host":                    {Options{Word: Host}, Facts{Host: all}, "", "", "", ""},
		"host, but new":           {Options{Word: Host}, Facts{New: true, Host: all}, "", "new network namespace", "", ""},
		"nonsense":                {Options{Word: "bridge"}, Facts{New: true, Host: all}, "", `"bridge": none of`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Resolve(&c.o, c.f)
			if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Fatalf("error %v, not %q", err, c.fails)
			}
			hint := ""
			if r, ok := err.(*Refusal); ok {
				hint = r.Remedy
			}
			if !strings.Contains(hint, c.hint) || c.hint == "" && hint != "" {
				t.Errorf("hint %q, not %q", hint, c.hint)
			}
			if p.Driver != c.driver {
				t.Errorf("driver %q, not %q", p.Driver, c.driver)
			}
			if notes := strings.Join(p.Notes, "\n"); !strings.Contains(notes, c.notes) || c.notes == "" && notes != "" {
				t.Errorf("notes %q, not %q", notes, c.notes)
			}
			if err == nil && p.Inside.Loopback != c.f.New {
				t.Errorf("loopback %v", p.Inside.Loopback)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	o := Options{Word: Internal, Subnets: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/25")}, IPv6: "on"}
	p, err := Resolve(&o, Facts{New: true, Host: host(Internal), GIDs: []IDRange{{1, 65536}, {0, 1}, {100000, 5}}})
	if err != nil {
		t.Fatal(err)
	}
	c := p.Config
	if c.Address4.String() != "10.8.0.100/25" || c.Gateway4.String() != "10.8.0.2" || c.Address6.String() != "fd00::100/64" || c.Gateway6.String() != "fd00::2" {
		t.Errorf("%+v", c)
	}
	if p.Files[0].Content != "nameserver 10.8.0.3\n" {
		t.Errorf("%q", p.Files[0].Content)
	}
	if p.Sysctls[0] != (Sysctl{"net/ipv4/ping_group_range", "0 65536"}) {
		t.Errorf("%v", p.Sysctls)
	}
	o.Subnets[0] = netip.MustParsePrefix("10.8.0.0/28")
	if _, err := Resolve(&o, Facts{New: true, Host: host(Internal)}); err == nil {
		t.Error("a subnet of 16 addresses has no 100")
	}
}

func TestPublishWords(t *testing.T) {
	for word, want := range map[string]string{
		"8080:80":               "invalid IP 8080 80 tcp",
		"80":                    "invalid IP 80 80 tcp",
		"127.0.0.1:8080:80/udp": "127.0.0.1 8080 80 udp",
		"[::1]:8080:80":         "::1 8080 80 tcp",
		":8080:80":              "invalid IP 8080 80 tcp",
		"8000-8001:90-91":       "invalid IP 8000 90 tcp, invalid IP 8001 91 tcp",
		"8000-8001:90":          "",
		"8001-8000:80-81":       "",
		"[127.0.0.1]:8080:80":   "",
		"localhost:8080:80":     "",
		"8080:0":                "",
		"99999:80":              "",
		"8080:80/sctp":          "",
		"":                      "",
		"8080:80:90:100":        "",
		"-1:80":                 "",
	} {
		ports, err := ParsePublish(word)
		var got []string
		for _, p := range ports {
			address := "invalid IP"
			if p.HostAddress.IsValid() {
				address = p.HostAddress.String()
			}
			got = append(got, strings.Join([]string{address, itoa(p.HostPort), itoa(p.ContainerPort), p.Protocol}, " "))
		}
		if strings.Join(got, ", ") != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", word, got, err)
		}
	}
}

func TestEgressWords(t *testing.T) {
	for word, want := range map[string]string{
		"10.1.0.0/16:5432": "10.1.0.0/16 5432", "10.1.2.3": "10.1.2.3/32", "[fd00::]/8:5432": "fd00::/8 5432", "fd00::/8": "fd00::/8", "fd00::1": "fd00::1/128",
		"[fd00::1]:22": "fd00::1/128 22", "example.org": "", "10.0.0.0/33": "", "10.0.0.0/8:0": "", "": "",
	} {
		n, err := ParseAllowNet(word)
		got := ""
		if err == nil {
			got = n.Prefix.String()
			for _, p := range n.Ports {
				got += " " + itoa(p)
			}
		}
		if got != want {
			t.Errorf("%q: %q, %v", word, got, err)
		}
	}
	for word, good := range map[string]bool{"example.org": true, "Example.ORG.:443": true, "*.example.org": true, "10.0.0.1": false, "a b": false, "": false, "x:0": false, "-x": false} {
		if _, err := ParseAllowHost(word); (err == nil) != good {
			t.Errorf("%q: %v", word, err)
		}
	}
}

func itoa(n uint16) string { return strconv.Itoa(int(n)) }

func FuzzPublish(f *testing.F) {
	f.Add("[::1]:8080-8081:80-81/udp")
	f.Fuzz(func(t *testing.T, word string) {
		ports, err := ParsePublish(word)
		if (err == nil) == (len(ports) == 0) {
			t.Fatalf("%q: %v, %v", word, ports, err)
		}
		if n, err := ParseAllowNet(word); err == nil && !n.Prefix.IsValid() {
			t.Fatalf("%q", word)
		}
	})
}

func TestHelperConfigIsPlainData(t *testing.T) {
	plaintest.Plain(t, new(HelperConfig))
	plaintest.Plain(t, new(HelperReady))
}
