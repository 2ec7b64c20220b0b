// SPDX-License-Identifier: Apache-2.0

// Package netns configures the container's network namespace: the loopback
// device, and where a network is asked for a driver that carries its packets
// in user space, as the caller: pasta(1), slirp4netns(1), or this module's own
// mycr-net.
//
// Resolve decides; Up is what the container's init does in its namespaces;
// Launch and Give start the driver, or a keeper that ends it when the container has ended.
package netns

import (
	"fmt"
	"net/netip"
	"time"
)

// The words of --network; those of the drivers are in Plan.Driver too.
const (
	Auto     = "auto"
	None     = "none"
	Host     = "host"
	Pasta    = "pasta"
	Slirp    = "slirp4netns"
	Internal = "internal" // mycr-net
)

// Options are what the command line says about the network.
type Options struct {
	Word          string // of --network, "" where it was not given
	Default       string // what "" means to the command: Auto or None
	Ports         []Port
	DNS           []netip.Addr // "" is the driver's forwarder
	Search        []string
	AddHosts      []HostEntry
	MTU           int // bytes; 0 is the driver's best
	Subnets       []netip.Prefix
	IPv6          string // auto (also ""), on, off
	HostLoopback  bool
	AllowMetadata bool
	Egress        *Egress
	Timeout       time.Duration // how long a driver may take to be ready; 0 is DefaultTimeout
	ResolvConf    string        // where /etc/resolv.conf is in the container; "" is there
}

// DefaultTimeout is how long a driver may take until it is ready.
const DefaultTimeout = 5 * time.Second

// HostEntry is one line of /etc/hosts.
type HostEntry struct {
	Name    string
	Address netip.Addr
}

// Any tells which flag asks for something that only a network has, "" for none.
func (o *Options) Any() string {
	switch {
	case len(o.Ports) > 0:
		return "--publish"
	case len(o.DNS) > 0:
		return "--dns"
	case len(o.Search) > 0:
		return "--dns-search"
	case len(o.AddHosts) > 0:
		return "--add-host"
	case o.MTU != 0:
		return "--mtu"
	case len(o.Subnets) > 0:
		return "--subnet"
	case o.IPv6 != "" && o.IPv6 != Auto:
		return "--ipv6"
	case o.HostLoopback:
		return "--host-loopback"
	case o.AllowMetadata:
		return "--allow-metadata"
	case o.Egress != nil:
		return "--allow-host, --allow-net or --deny-net"
	}
	return ""
}

// Facts are what Resolve needs to know of the container and the host.
type Facts struct {
	New      bool      // the network namespace is created, neither joined nor the host's
	Root     bool      // the effective uid is 0, here or in an engine's namespace
	RealRoot bool      // and this is the first user namespace
	NetAdmin bool      // the container's process may change its network
	Hooks    bool      // there are hooks at create, which may make a network themselves
	UIDs     []IDRange // mapped in the container
	GIDs     []IDRange
	Host     HostFacts // gathered where a driver is asked for; see Gather
}

// IDRange is a range of ids that are mapped in the container.
type IDRange struct{ First, Size uint32 }

// HostFacts is what was found on the host.
type HostFacts struct {
	Pasta, Slirp, Internal Program
	Tun                    string       // why /dev/net/tun cannot be opened, "" where it can
	IPv6                   bool         // there is a default route
	Addresses              []netip.Addr // the host's own, but for its loopback and link-local ones
	Search                 []string
}

// Program is the executable of a driver.
type Program struct {
	Path   string
	Looked []string // where, if it is missing
}

// Plan is the decision, as plain data.
type Plan struct {
	Inside Inside // what init does

	Driver  string        `json:",omitempty"` // "" for none
	Path    string        `json:",omitempty"` // its executable
	Timeout time.Duration `json:",omitempty"`
	Config  HelperConfig  `json:",omitzero"`  // of the network; Internal gets it as it is
	NoIPv6  bool          `json:",omitempty"` // --ipv6 off

	// Files are what the container has instead of its own, by destination.
	Files   []File   `json:",omitempty"`
	Sysctls []Sysctl `json:",omitempty"`
	Notes   []string `json:",omitempty"`
}

// File is a small file for the container; it is mounted read-only.
type File struct{ Name, Destination, Content string }

// Sysctl is a parameter below /proc/sys.
type Sysctl struct{ Path, Value string }

// Inside is what the container's init does in its network namespace. It travels with its orders, so that it has no
// types but the language's; an address is its 4 or 16 bytes.
type Inside struct {
	Loopback bool     // bring up lo
	Tell     bool     // the parent waits for a word, with the device where there is one, to give init to the driver
	Device   Device   // for Internal; without a name there is none
	Blocked  [][]byte // destinations that become unreachable
}

// Device is the TAP device of the container.
type Device struct {
	Name      string
	MTU       int
	Addresses []Address
}

// Address is one of the device, with the default route of its family.
type Address struct {
	IP      []byte
	Bits    int
	Gateway []byte
}

// DeviceName is that of the network device in a container.
const DeviceName = "tap0"

// Refusal is an error that knows what to type against it.
type Refusal struct {
	Cause  string
	Remedy string
}

// Error is one line.
func (r *Refusal) Error() string { return r.Cause }

// Hint is the line to type, "" where there is none.
func (r *Refusal) Hint() string { return r.Remedy }

func refuse(remedy, format string, args ...any) error {
	return &Refusal{fmt.Sprintf(format, args...), remedy}
}
