// SPDX-License-Identifier: Apache-2.0

package netns

import "net/netip"

// The descriptors that mycr-net is started with; those of init come later, see AwaitInit.
const (
	HelperConfigFD  = 3 // sealed memfd with one HelperConfig in JSON
	HelperTapFD     = 4 // of init: TAP device, IFF_TAP|IFF_NO_PI, with or without IFF_VNET_HDR; addresses, routes and MTU are set
	HelperReadyFD   = 5 // pipe for one line, a HelperReady in JSON
	HelperPidfdFD   = 6 // of init: itself; when it ends, mycr-net ends
	HelperControlFD = 7 // listening unix socket of type SOCK_SEQPACKET for HelperRequest
	HelperInitFD    = 8 // unix socket of type SOCK_SEQPACKET for AwaitInit
)

// HelperVersion changes with the meaning of anything here: mycr and mycr-net
// have to be of one build.
const HelperVersion = "2"

// HelperConfig is what mycr tells mycr-net about one container's network.
type HelperConfig struct {
	Version  string       `json:"version"` // of mycr; the argument of mycr-net has to be the same
	MAC      string       `json:"mac"`     // of the device inside
	MTU      int          `json:"mtu"`
	Address4 netip.Prefix `json:"address4,omitzero"` // of the device, as 10.0.2.100/24
	Gateway4 netip.Addr   `json:"gateway4,omitzero"`
	Address6 netip.Prefix `json:"address6,omitzero"` // zero where the container has no IPv6
	Gateway6 netip.Addr   `json:"gateway6,omitzero"`
	DNS      []netip.Addr `json:"dns,omitempty"`    // addresses inside on which mycr-net answers queries, port 53
	Search   []string     `json:"search,omitempty"` // mycr writes these into the container's resolv.conf

	HostLoopback  bool `json:"hostLoopback,omitempty"`  // the gateway is the host's 127.0.0.1 and ::1, the host's addresses are reachable
	AllowMetadata bool `json:"allowMetadata,omitempty"` // link-local and other well-known metadata addresses are reachable

	Ports    []Port                  `json:"ports,omitempty"`
	Egress   *Egress                 `json:"egress,omitempty"`   // nil: everything but the above
	AddHosts map[string][]netip.Addr `json:"addHosts,omitempty"` // names that mycr-net answers itself

	ResolvConf string `json:"resolvConf,omitempty"` // the host's; empty means /etc/resolv.conf
}

// A Port is one published port.
type Port struct {
	Protocol      string     `json:"protocol"`             // tcp, udp
	HostAddress   netip.Addr `json:"hostAddress,omitzero"` // zero: all addresses of the host, IPv4 and IPv6
	HostPort      uint16     `json:"hostPort"`             // 0: a free one
	ContainerPort uint16     `json:"containerPort"`
}

// Egress restricts where the container may connect to: to what it names, and
// to nothing else.
type Egress struct {
	AllowHosts []AllowHost    `json:"allowHosts,omitempty"`
	AllowNets  []AllowNet     `json:"allowNets,omitempty"`
	DenyNets   []netip.Prefix `json:"denyNets,omitempty"`  // before everything that is allowed
	AllowRest  bool           `json:"allowRest,omitempty"` // what is not named is allowed: for DenyNets alone
}

// An AllowHost lets the container resolve a name and connect to the addresses
// that it then was told.
type AllowHost struct {
	Name  string   `json:"name"`            // example.org, or *.example.org for every name below it
	Ports []uint16 `json:"ports,omitempty"` // empty: 443 and 80
}

// An AllowNet lets the container connect to addresses, also private ones.
type AllowNet struct {
	Prefix netip.Prefix `json:"prefix"`
	Ports  []uint16     `json:"ports,omitempty"` // empty: 443 and 80
}

// HelperReady is the one line that mycr-net writes before the container runs.
type HelperReady struct {
	Ready bool         `json:"ready,omitempty"`
	Ports []HelperPort `json:"ports,omitempty"`
	Error string       `json:"error,omitempty"`
	Hint  string       `json:"hint,omitempty"`
}

// A HelperPort is a published port that is listened on.
type HelperPort struct {
	Host      netip.AddrPort `json:"host"`
	Container uint16         `json:"container"`
	Protocol  string         `json:"protocol"`
}

// A HelperRequest is one packet on the control socket; exactly one field is set.
type HelperRequest struct {
	Publish []Port `json:"publish,omitempty"` // all of them or none
	Ports   bool   `json:"ports,omitempty"`
	Status  bool   `json:"status,omitempty"`
	Denied  bool   `json:"denied,omitempty"`
	End     bool   `json:"end,omitempty"` // as Denied, when the container has ended
}

// A HelperAnswer is the one packet that follows a request.
type HelperAnswer struct {
	Ports  []HelperPort  `json:"ports,omitempty"`
	Status *HelperStatus `json:"status,omitempty"`
	Denied []Denied      `json:"denied,omitempty"`
	More   int           `json:"more,omitempty"` // destinations refused that Denied has no room for
	Error  string        `json:"error,omitempty"`
	Hint   string        `json:"hint,omitempty"`
}

// HelperStatus is the state of a running mycr-net.
type HelperStatus struct {
	Version string   `json:"version"`
	TCP     int      `json:"tcp"`             // connections open
	UDP     int      `json:"udp"`             // flows open
	Ping    bool     `json:"ping"`            // echo requests are forwarded
	Notes   []string `json:"notes,omitempty"` // what is missing, and why
}

// A Denied is a destination that was refused because of Egress.
type Denied struct {
	Protocol    string `json:"protocol"`       // tcp, udp, icmp, dns
	Destination string `json:"destination"`    // address and port, or the name asked for
	Name        string `json:"name,omitempty"` // by DNS or SNI, where known
	Reason      string `json:"reason"`
	Count       int    `json:"count"`
	Flag        string `json:"flag,omitempty"` // what would allow it; empty where nothing does
}
