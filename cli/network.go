// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"mycr/netns"
)

// network are the flags of the commands that make a network namespace.
type network struct {
	word, ipv6                              string
	publish, dns, search, addHosts, subnets []string
	allowHosts, allowNets, denyNets         []string
	mtu                                     int
	hostLoopback, allowMetadata             bool
	timeout                                 time.Duration
}

func (n *network) define(f *pflag.FlagSet, without string) {
	f.StringVar(&n.word, "network", "", "`WORD` for the network: auto, none, host, pasta, slirp4netns or internal ("+without+"); also --net")
	f.StringArrayVarP(&n.publish, "publish", "p", nil, "`[ADDR:]HOST:CONTAINER[/udp]` let the host's port lead into the container; a range as 8000-8010:80-90")
	f.StringArrayVar(&n.dns, "dns", nil, "`ADDR` of a name server, in place of the host's")
	f.StringArrayVar(&n.search, "dns-search", nil, "`NAME` of a domain in which short names are looked up")
	f.StringArrayVar(&n.addHosts, "add-host", nil, "`NAME:ADDR` one more line of /etc/hosts")
	f.IntVar(&n.mtu, "mtu", 0, "`BYTES` in a packet at most")
	f.StringArrayVar(&n.subnets, "subnet", nil, "`CIDR` of the container's addresses, one for IPv4 and one for IPv6")
	f.StringVar(&n.ipv6, "ipv6", "", "`auto|on|off` whether there is IPv6 (auto, the default: where the host has a default route)")
	f.BoolVar(&n.hostLoopback, "host-loopback", false, "let the container reach the host's loopback at the gateway's address")
	f.BoolVar(&n.allowMetadata, "allow-metadata", false, "let the container reach the addresses of cloud metadata")
	f.StringArrayVar(&n.allowHosts, "allow-host", nil, "`NAME[:PORT]` may be reached (443 and 80 without PORT), and nothing else that is not allowed; *.NAME for the names below. Needs --network internal. It cannot tell apart sites that share an address and a certificate's name, or that hide their name (ECH)")
	f.StringArrayVar(&n.allowNets, "allow-net", nil, "`CIDR[:PORT]` may be reached, private addresses too")
	f.StringArrayVar(&n.denyNets, "deny-net", nil, "`CIDR` may not be reached, whatever is allowed")
	f.DurationVar(&n.timeout, "network-timeout", 0, "`TIME` that the network's driver may take until it is ready (default "+netns.DefaultTimeout.String()+")")
	alias(f, "network", "net", "")
}

// options are those of the network; fallback is what no --network means.
func (n *network) options(fallback string) (o netns.Options, err error) {
	o = netns.Options{
		Word: n.word, Default: fallback, MTU: n.mtu, IPv6: n.ipv6, Timeout: n.timeout,
		HostLoopback: n.hostLoopback, AllowMetadata: n.allowMetadata,
	}
	for _, word := range n.publish {
		ports, err := netns.ParsePublish(word)
		if err != nil {
			return o, err
		}
		o.Ports = append(o.Ports, ports...)
	}
	for _, word := range n.dns {
		a, err := netip.ParseAddr(word)
		if err != nil {
			return o, fmt.Errorf("--dns %q is not an address", word)
		}
		o.DNS = append(o.DNS, a)
	}
	for _, word := range n.search {
		if strings.ContainsAny(word, " \t\n") || word == "" {
			return o, fmt.Errorf("--dns-search %q is not a name", word)
		}
		o.Search = append(o.Search, word)
	}
	for _, word := range n.addHosts {
		h, err := netns.ParseHostEntry(word)
		if err != nil {
			return o, err
		}
		o.AddHosts = append(o.AddHosts, h)
	}
	for _, word := range n.subnets {
		p, err := netip.ParsePrefix(word)
		if err != nil {
			return o, fmt.Errorf("--subnet %q is not a CIDR, as 10.8.0.0/24", word)
		}
		o.Subnets = append(o.Subnets, p)
	}
	switch {
	case n.mtu != 0 && (n.mtu < 1280 || n.mtu > 65520):
		return o, fmt.Errorf("--mtu %d: not from 1280 (what IPv6 needs) to 65520", n.mtu)
	case n.ipv6 != "" && !oneOf(n.ipv6, "auto on off"):
		return o, fmt.Errorf("--ipv6 %q is none of auto, on, off", n.ipv6)
	case n.timeout < 0:
		return o, fmt.Errorf("--network-timeout %v is no time", n.timeout)
	}
	o.Egress, err = n.egress()
	return o, err
}

func (n *network) egress() (*netns.Egress, error) {
	if len(n.allowHosts)+len(n.allowNets)+len(n.denyNets) == 0 {
		return nil, nil
	}
	e := &netns.Egress{AllowRest: len(n.allowHosts)+len(n.allowNets) == 0}
	for _, word := range n.allowHosts {
		h, err := netns.ParseAllowHost(word)
		if err != nil {
			return nil, err
		}
		e.AllowHosts = append(e.AllowHosts, h)
	}
	for _, word := range n.allowNets {
		a, err := netns.ParseAllowNet(word)
		if err != nil {
			return nil, err
		}
		e.AllowNets = append(e.AllowNets, a)
	}
	for _, word := range n.denyNets {
		p, err := netns.ParseDenyNet(word)
		if err != nil {
			return nil, err
		}
		e.DenyNets = append(e.DenyNets, p)
	}
	return e, nil
}

// port tells which ports of a container are published.
type port struct{}

func (*port) about() about {
	return about{usage: "ID", does: "list the published ports of a container", least: 1, most: 1}
}

func (*port) flags(*pflag.FlagSet) {}

func (*port) run(s *session, args []string) (int, error) {
	c, err := s.load(args[0])
	if err != nil {
		return 1, err
	}
	defer c.Close()
	ports, err := c.Ports()
	if err != nil {
		return 1, err
	}
	return 0, printPorts(ports)
}

func printPorts(ports []netns.HelperPort) error {
	for _, p := range ports {
		if _, err := fmt.Printf("%d/%s -> %s\n", p.Container, p.Protocol, p.Host); err != nil {
			return err
		}
	}
	return nil
}

// publish publishes more ports of a running container.
type publish struct{}

func (*publish) about() about {
	return about{
		usage: "ID [ADDR:]HOST:CONTAINER[/udp]...", does: "publish ports of a running container", least: 2, most: -1,
		more: "All of them are published, or none. It takes a container with --network internal.\nThe published ports are printed, as by port.",
	}
}

func (*publish) flags(*pflag.FlagSet) {}

func (*publish) run(s *session, args []string) (int, error) {
	var ports []netns.Port
	for _, word := range args[1:] {
		some, err := netns.ParsePublish(word)
		if err != nil {
			return 1, err
		}
		ports = append(ports, some...)
	}
	root, err := s.openRoot()
	if err != nil {
		return 1, err
	}
	published, err := root.Publish(args[0], ports)
	if err != nil {
		return 1, err
	}
	return 0, printPorts(published)
}
