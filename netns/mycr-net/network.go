// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"mycr/netns"
	"mycr/netns/mycr-net/dns"
	"mycr/netns/mycr-net/link"
	"mycr/netns/mycr-net/policy"
)

const nic = 1

// A network is one container's.
type network struct {
	config    *netns.HelperConfig
	policy    *policy.Policy
	link      *link.Endpoint
	stack     *stack.Stack
	notes     []string // what the sandbox lacks
	most      int      // connections and flows of each kind, each a descriptor
	mostFlows int
	tcp       *tcpForwarder
	udp       *udpForwarder
	ping      *pingForwarder
	dns       *dns.Server
	ports     *ports
	ended     chan struct{}  // closed when the container has ended
	waiting   sync.WaitGroup // for clients that wait for that
}

func newNetwork(config *netns.HelperConfig) (*network, error) {
	if err := check(config); err != nil {
		return nil, err
	}
	n := &network{config: config, policy: policy.New(config), ended: make(chan struct{})}
	n.stack = newStack()
	if err := tune(n.stack); err != nil {
		return nil, err
	}
	// All this was while the container had no device yet.
	if _, err := netns.AwaitInit(); err != nil {
		return nil, err
	}
	var err error
	if n.link, err = openLink(config); err != nil {
		return nil, err
	}
	if err := attach(n.stack, config, n.link); err != nil {
		return nil, err
	}
	n.most, n.mostFlows = descriptors()
	n.tcp = newTCPForwarder(n)
	n.udp = newUDPForwarder(n)
	n.ping = newPingForwarder(n)
	if err := n.serveNames(); err != nil {
		return nil, err
	}
	n.ports = &ports{network: n}
	if err := n.ports.publish(config.Ports); err != nil {
		return nil, err
	}
	return n, nil
}

// check refuses a configuration with which nothing could be reached.
func check(config *netns.HelperConfig) error {
	if config.Address4.IsValid() != config.Gateway4.IsValid() || config.Address6.IsValid() != config.Gateway6.IsValid() {
		return errors.New("the configuration: an address without a gateway, or a gateway without an address")
	}
	if !config.Address4.IsValid() && !config.Address6.IsValid() {
		return errors.New("the configuration: the container has no address")
	}
	if config.Gateway4.IsValid() && !config.Gateway4.Is4() || config.Gateway6.IsValid() && !config.Gateway6.Is6() {
		return errors.New("the configuration: a gateway of the other version of IP")
	}
	if config.MTU < header.IPv6MinimumMTU || config.MTU > link.MaxMTU {
		return fmt.Errorf("the configuration: MTU %d is not in %d…%d", config.MTU, header.IPv6MinimumMTU, link.MaxMTU)
	}
	return nil
}

func openLink(config *netns.HelperConfig) (*link.Endpoint, error) {
	peer, err := net.ParseMAC(config.MAC)
	if err != nil || len(peer) != 6 {
		return nil, fmt.Errorf("the configuration: hardware address %q: %w", config.MAC, errors.Join(err, unix.EINVAL))
	}
	if err := unix.SetNonblock(netns.HelperTapFD, true); err != nil {
		return nil, fmt.Errorf("the TAP device: %w", err)
	}
	own := []netip.Addr{config.Address4.Addr(), config.Address6.Addr()}
	e, err := link.New(os.NewFile(netns.HelperTapFD, "tap"), [6]byte(peer), own, config.MTU)
	if err != nil {
		return nil, fmt.Errorf("the TAP device: %w", err)
	}
	return e, nil
}

func newStack() *stack.Stack {
	// What is for the loopback is dropped otherwise, and is to be refused.
	v4 := ipv4.NewProtocolWithOptions(ipv4.Options{AllowExternalLoopbackTraffic: true})
	v6 := ipv6.NewProtocolWithOptions(ipv6.Options{AllowExternalLoopbackTraffic: true})
	return stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{v4, v6},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
	})
}

// attach makes a device from which every packet is taken as the stack's own.
func attach(s *stack.Stack, config *netns.HelperConfig, endpoint stack.LinkEndpoint) error {
	if err := s.CreateNIC(nic, endpoint); err != nil {
		return fmt.Errorf("the user-space stack: %s", err)
	}
	for _, address := range append([]netip.Addr{config.Gateway4, config.Gateway6}, config.DNS...) {
		if !address.IsValid() {
			continue
		}
		if err := s.AddProtocolAddress(nic, tcpip.ProtocolAddress{
			Protocol:          protocolOf(address),
			AddressWithPrefix: tcpip.AddrFromSlice(address.AsSlice()).WithPrefix(),
		}, stack.AddressProperties{}); err != nil {
			return fmt.Errorf("the user-space stack: address %s: %s", address, err)
		}
	}
	s.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nic},
		{Destination: header.IPv6EmptySubnet, NIC: nic},
	})
	if err := s.SetPromiscuousMode(nic, true); err != nil { // receives for every address
		return fmt.Errorf("the user-space stack: %s", err)
	}
	if err := s.SetSpoofing(nic, true); err != nil { // sends from every address
		return fmt.Errorf("the user-space stack: %s", err)
	}
	return nil
}

// serveNames answers queries on the addresses that the container's resolv.conf
// has.
func (n *network) serveNames() error {
	n.dns = dns.New(n.config.ResolvConf, n.config.AddHosts, n.policy)
	for _, address := range n.config.DNS {
		at := fullAddress(netip.AddrPortFrom(address, 53))
		packets, err := gonet.DialUDP(n.stack, &at, nil, protocolOf(address))
		if err != nil {
			return fmt.Errorf("answer queries on %s: %w", address, err)
		}
		streams, err := gonet.ListenTCP(n.stack, at, protocolOf(address))
		if err != nil {
			return fmt.Errorf("answer queries on %s: %w", address, err)
		}
		go n.dns.ServePacket(packets)
		go n.dns.Serve(streams)
	}
	return nil
}

// tune sets what is on the way of a single connection's throughput. The buffers
// are those of the first connections, see budget.
func tune(s *stack.Stack) error {
	sack := tcpip.TCPSACKEnabled(true)
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: mostBuffer, Max: mostBuffer}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: mostBuffer, Max: mostBuffer}
	wait := tcpip.TCPTimeWaitTimeoutOption(time.Second) // no segment is under way for long
	for _, option := range []tcpip.SettableTransportProtocolOption{&sack, &receive, &send, &wait} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return fmt.Errorf("the user-space stack: %T: %s", option, err)
		}
	}
	return nil
}

func protocolOf(address netip.Addr) tcpip.NetworkProtocolNumber {
	if address.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

func addrPort(address tcpip.Address, port uint16) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(address.AsSlice())
	return netip.AddrPortFrom(ip, port)
}

func fullAddress(a netip.AddrPort) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFromSlice(a.Addr().AsSlice()), Port: a.Port()}
}
