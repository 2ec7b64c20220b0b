// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// wants tells whether a driver may be needed, so that Gather is worth its time.
func (o *Options) wants(f *Facts) bool {
	word := o.word(f)
	return word != None && word != Host && f.New
}

// word is what --network means here; see the table in docs/network.md.
func (o *Options) word(f *Facts) string {
	switch {
	case o.Word != "":
		return o.Word
	case o.Egress != nil && o.Default != "":
		return Internal // a restriction that nobody else can hold
	case o.Any() != "" && o.Default != "":
		return Auto
	case f.Root || o.Default == "":
		return None
	}
	return o.Default
}

// Resolve decides what is done in the network namespace.
func Resolve(o *Options, f Facts) (Plan, error) {
	word := o.word(&f)
	p := Plan{Inside: Inside{Loopback: f.New}}
	switch word {
	case None, Host:
		if word == Host && f.New {
			return Plan{}, fmt.Errorf("--network host: the bundle asks for a new network namespace (linux.namespaces)")
		}
		if flag := o.Any(); flag != "" {
			return Plan{}, refuse("--network auto", "%s: there is no network to apply it to (--network %s)", flag, word)
		}
		return p, nil
	case Auto, Pasta, Slirp, Internal:
	default:
		return Plan{}, fmt.Errorf("--network %q: none of auto, none, host, pasta, slirp4netns, internal", word)
	}
	asked := o.Word != "" && o.Word != Auto || o.Any() != ""
	switch {
	case !f.New && asked:
		return Plan{}, refuse("add {\"type\": \"network\"} to linux.namespaces", "--network %s: the bundle asks for no new network namespace", word)
	case !f.New:
		return p, nil // as it is
	case f.Hooks && word == Auto && !asked:
		return p, nil // they make one
	}
	return p, p.choose(o, &f, word, asked)
}

// choose takes the driver of that name, or the first that can do all that is asked.
func (p *Plan) choose(o *Options, f *Facts, word string, asked bool) error {
	candidates := []string{word}
	if word == Auto {
		candidates = []string{Pasta, Slirp, Internal}
	}
	var first error
	for _, driver := range candidates {
		err := able(driver, o, f)
		if err == nil {
			return p.configure(driver, o, f, word == Auto && !asked)
		}
		if first == nil || driver == Internal && f.Host.Tun == "" && len(candidates) > 1 && o.Egress == nil && missing(f) {
			first = err
		}
	}
	if word == Auto && !asked {
		why := first
		if f.Host.Tun == "" {
			why = fmt.Errorf("no pasta, slirp4netns or mycr-net was found (%s)", installDriver)
		}
		p.Notes = append(p.Notes, fmt.Sprintf("network: none, since %v; --network none says so", why))
		return nil
	}
	return first
}

func missing(f *Facts) bool {
	return f.Host.Pasta.Path == "" && f.Host.Slirp.Path == ""
}

const installDriver = "sudo apt install passt"

// program is the executable of a driver.
func (h *HostFacts) program(driver string) Program {
	switch driver {
	case Pasta:
		return h.Pasta
	case Slirp:
		return h.Slirp
	}
	return h.Internal
}

// able tells why a driver cannot do what is asked, or is not there.
func able(driver string, o *Options, f *Facts) error {
	lacks := func(what string) error {
		return refuse("--network internal", "%s: --network %s cannot do it", what, driver)
	}
	if f.Host.Tun != "" {
		return refuse(tunRemedy(f.Host.Tun), "--network %s: open /dev/net/tun: %s", driver, f.Host.Tun)
	}
	if driver != Internal {
		switch {
		case o.Egress != nil:
			return lacks("egress by name (--allow-host, --allow-net, --deny-net)")
		case f.NetAdmin && !o.AllowMetadata:
			return refuse("--network internal, or --allow-metadata", "--network %s cannot keep a process with CAP_NET_ADMIN away from the addresses of cloud metadata", driver)
		}
		for _, port := range o.Ports {
			if port.HostPort == 0 {
				return lacks("--publish with port 0, for a free one")
			}
		}
	}
	if driver == Pasta {
		if f.RealRoot {
			return refuse("--network slirp4netns, or --network internal", "--network pasta: started by root it becomes nobody, who may not enter the container's network")
		}
		for i, port := range o.Ports {
			if slices.ContainsFunc(o.Ports[:i], func(other Port) bool { return other.Protocol == port.Protocol && other.HostPort == port.HostPort }) {
				return lacks(fmt.Sprintf("--publish of port %d at two addresses", port.HostPort))
			}
		}
	}
	if driver == Slirp {
		for _, port := range o.Ports {
			if port.Protocol == "udp" && !o.HostLoopback { // the answers go to the gateway, which then is closed
				return lacks("--publish of UDP without --host-loopback")
			}
			if !port.HostAddress.IsValid() || port.HostAddress.Is6() {
				return refuse(fmt.Sprintf("--publish 0.0.0.0:%d:%d, or --network internal", port.HostPort, port.ContainerPort),
					"--publish %d:%d on IPv6: --network slirp4netns cannot do it", port.HostPort, port.ContainerPort)
			}
		}
		if len(f.UIDs) > 0 && !slices.ContainsFunc(f.UIDs, func(r IDRange) bool { return r.First == 0 }) {
			return lacks("a container without uid 0")
		}
		if o.IPv6 == "on" {
			return lacks("--ipv6 on")
		}
		if slices.ContainsFunc(o.Subnets, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
			return lacks("--subnet with IPv6")
		}
	}
	program := f.Host.program(driver)
	if program.Path == "" {
		remedy := "sudo apt install " + map[string]string{Pasta: "passt", Slirp: "slirp4netns"}[driver]
		name := driver
		if driver == Internal {
			remedy, name = "make build, or make install", "mycr-net"
		}
		return refuse(remedy, "--network %s: there is no executable %s in %s", driver, name, strings.Join(program.Looked, ", "))
	}
	return nil
}

func tunRemedy(why string) string {
	if strings.Contains(why, "no such") {
		return "sudo modprobe tun (in a container: --device /dev/net/tun)"
	}
	return "sudo chmod 0666 /dev/net/tun"
}

// The addresses in a network of our own, by the numbers that slirp4netns' users know.
var (
	defaultSubnet4 = netip.MustParsePrefix("10.0.2.0/24")
	defaultSubnet6 = netip.MustParsePrefix("fd00::/64")
)

// pastaForward is where pasta answers DNS; pasta has no subnet of its own, so
// that it is an address which no network has (RFC 3927, its first /24).
var pastaForward = netip.MustParseAddr("169.254.0.53")

// metadata gives the addresses at which clouds hand out their machines' secrets.
// It is no variable, which commands without a network would pay for at their start.
func metadata() []netip.Addr {
	return []netip.Addr{
		netip.MustParseAddr("169.254.169.254"), // nearly all of them
		netip.MustParseAddr("169.254.170.2"),   // AWS' tasks
		netip.MustParseAddr("169.254.170.23"),  // AWS' pods
		netip.MustParseAddr("100.100.100.200"), // Alibaba
		netip.MustParseAddr("168.63.129.16"),   // Azure
		netip.MustParseAddr("fd00:ec2::254"),   // AWS
		netip.MustParseAddr("fd00:ec2::23"),
		netip.MustParseAddr("fd20:ce::254"), // Google
	}
}

// configure plans one driver.
func (p *Plan) configure(driver string, o *Options, f *Facts, tell bool) error {
	p.Driver, p.Timeout, p.Inside.Tell = driver, o.Timeout, driver == Internal
	p.Path = f.Host.program(driver).Path
	if p.Timeout == 0 {
		p.Timeout = DefaultTimeout
	}
	c := &p.Config
	c.Version, c.Ports, c.Egress = HelperVersion, o.Ports, o.Egress
	c.HostLoopback, c.AllowMetadata, c.MTU = o.HostLoopback, o.AllowMetadata, o.MTU
	if err := p.addresses(o, f); err != nil {
		return err
	}
	if len(o.AddHosts) > 0 {
		c.AddHosts = make(map[string][]netip.Addr)
		for _, h := range o.AddHosts {
			c.AddHosts[h.Name] = append(c.AddHosts[h.Name], h.Address)
		}
	}
	if driver == Internal {
		if c.MTU == 0 {
			c.MTU = mostMTU
		}
		p.Inside.Device = c.device()
	} else {
		p.block(o, f)
	}
	p.files(o, f)
	p.sysctls(f)
	if tell {
		p.Notes = append(p.Notes, fmt.Sprintf("network: %s; --network none for none", driver))
	}
	return nil
}

// RoutesGuard tells that what keeps the container from the addresses of metadata are routes of its own, which whoever has
// CAP_NET_ADMIN there takes away.
func (p *Plan) RoutesGuard() bool {
	return (p.Driver == Pasta || p.Driver == Slirp) && !p.Config.AllowMetadata
}

// block plans what routes of the container keep from a driver that would lead there: the
// addresses of metadata, and the host's own, which are only pasta's container's, too.
func (p *Plan) block(o *Options, f *Facts) {
	var list []netip.Addr
	if !o.AllowMetadata {
		list = append(list, metadata()...)
	}
	if !o.HostLoopback && (p.Driver != Pasta || len(o.Subnets) > 0) {
		list = append(list, f.Host.Addresses...)
	}
	for _, a := range list {
		p.Inside.Blocked = append(p.Inside.Blocked, a.AsSlice())
	}
}

// device is that of the container.
func (c *HelperConfig) device() Device {
	d := Device{Name: DeviceName, MTU: c.MTU}
	for _, one := range []struct {
		address netip.Prefix
		gateway netip.Addr
	}{{c.Address4, c.Gateway4}, {c.Address6, c.Gateway6}} {
		if one.address.IsValid() {
			d.Addresses = append(d.Addresses, Address{one.address.Addr().AsSlice(), one.address.Bits(), one.gateway.AsSlice()})
		}
	}
	return d
}

// mostMTU is the largest frame of a TAP device that slirp4netns and pasta use, too.
const mostMTU = 65520

// addresses plans those of the container. pasta copies the host's, unless a subnet is given.
func (p *Plan) addresses(o *Options, f *Facts) error {
	c := &p.Config
	subnet4, subnet6 := defaultSubnet4, defaultSubnet6
	if p.Driver == Pasta {
		subnet4, subnet6 = netip.Prefix{}, netip.Prefix{}
	}
	if o.IPv6 == "off" || p.Driver == Slirp || o.IPv6 != "on" && !f.Host.IPv6 && p.Driver == Internal {
		subnet6 = netip.Prefix{}
	}
	for _, s := range o.Subnets {
		if s.Addr().Is4() {
			subnet4 = s.Masked()
		} else {
			subnet6 = s.Masked()
		}
		if bits := s.Addr().BitLen() - s.Bits(); bits < 7 {
			return fmt.Errorf("--subnet %s has no room: /%d at most", s, s.Addr().BitLen()-7)
		}
	}
	p.NoIPv6 = o.IPv6 == "off"
	if subnet4.IsValid() {
		c.Address4, c.Gateway4 = netip.PrefixFrom(at(subnet4, 100), subnet4.Bits()), at(subnet4, 2)
	}
	if subnet6.IsValid() {
		c.Address6, c.Gateway6 = netip.PrefixFrom(at(subnet6, 0x100), subnet6.Bits()), at(subnet6, 2)
		if subnet6.Bits() > 119 {
			c.Address6 = netip.PrefixFrom(at(subnet6, 100), subnet6.Bits())
		}
	}
	switch {
	case p.Driver == Pasta:
		c.DNS = []netip.Addr{pastaForward}
	case subnet4.IsValid():
		c.DNS = []netip.Addr{at(subnet4, 3)}
	default:
		c.DNS = []netip.Addr{at(subnet6, 3)}
	}
	return nil
}

// at is the address with that number in a subnet.
func at(subnet netip.Prefix, n uint16) netip.Addr {
	bytes := subnet.Masked().Addr().AsSlice()
	last := len(bytes) - 1
	bytes[last] |= byte(n)
	bytes[last-1] |= byte(n >> 8)
	address, _ := netip.AddrFromSlice(bytes)
	return address
}

// files plans what tells the container's resolver where to ask.
func (p *Plan) files(o *Options, f *Facts) {
	servers := p.Config.DNS
	if len(o.DNS) > 0 {
		servers = o.DNS
	}
	search := o.Search
	if search == nil {
		search = f.Host.Search
	}
	p.Config.Search = search
	var text strings.Builder
	if len(search) > 0 {
		text.WriteString("search " + strings.Join(search, " ") + "\n")
	}
	for _, s := range servers {
		text.WriteString("nameserver " + s.String() + "\n")
	}
	destination := o.ResolvConf
	if destination == "" {
		destination = "/etc/resolv.conf"
	}
	p.Files = append(p.Files, File{"resolv.conf", destination, text.String()})
	if len(o.AddHosts) == 0 {
		return
	}
	text.Reset()
	text.WriteString("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
	for _, h := range o.AddHosts {
		text.WriteString(h.Address.String() + " " + h.Name + "\n")
	}
	p.Files = append(p.Files, File{"hosts", "/etc/hosts", text.String()})
}

// sysctls lets every process ping and listen on any port: there is nobody else in this
// namespace to be protected from it. The groups are the mapped ones, since the kernel takes no others.
func (p *Plan) sysctls(f *Facts) {
	if len(f.GIDs) > 0 {
		ranges := slices.SortedFunc(slices.Values(f.GIDs), func(a, b IDRange) int { return int(int64(a.First) - int64(b.First)) })
		first, end := ranges[0].First, uint64(ranges[0].First)
		for _, r := range ranges {
			if uint64(r.First) != end {
				break
			}
			end += uint64(r.Size)
		}
		// The kernel keeps it in an int.
		last := min(end-1, 1<<31-1)
		p.Sysctls = append(p.Sysctls, Sysctl{"net/ipv4/ping_group_range", strconv.FormatUint(uint64(first), 10) + " " + strconv.FormatUint(last, 10)})
	}
	p.Sysctls = append(p.Sysctls, Sysctl{"net/ipv4/ip_unprivileged_port_start", "0"})
}
