// SPDX-License-Identifier: Apache-2.0

// Mycr-net is the network of one container, in user space.
//
// It is mycr's driver "internal", for which nothing has to be installed. mycr
// starts it with a TAP device that the container's init has made, see
// netns.HelperConfig; it is not for people to start. It is a program of its own
// because linking its stack would slow down every command of mycr.
//
// # What it does
//
//   - TCP and UDP of the container are taken apart here and made again by
//     ordinary sockets of the host, by IPv4 and IPv6. A connection is accepted
//     inside only after it is there outside, so that a refusal, an unreachable
//     network and a reset are what the container sees, too. Both halves close
//     for themselves. What one side does not read slows the other down.
//   - Echo requests are repeated where the host's net.ipv4.ping_group_range has
//     the group; else they have no answer, and the status says so.
//   - Queries to the DNS addresses are answered by the host's resolvers, asked
//     from outside, by UDP and TCP, as /etc/resolv.conf has them at that moment.
//   - Ports of the host are listened on and lead into the container, from the
//     start or later. A client that came by IPv6 reaches a server that listens
//     by IPv4 alone, and the other way round.
//   - The host itself is out of reach: its loopback, every address that its
//     routing takes for its own at that moment, the gateway, and the addresses
//     at which clouds hand out credentials. What is refused is refused at once.
//   - With an egress list nothing else is reached than what it names: by a name,
//     whose addresses have to come from an answer to the container, without
//     private ones, and which a TLS hello has to repeat; or by an address. UDP,
//     echo requests and other resolvers are refused.
//
// It ends with the container's init, or on SIGTERM, keeps nothing on disk, drops
// all capabilities, and may then neither execute a program nor write to a file
// (Landlock, seccomp).
//
// # What it cannot do
//
//   - Other protocols than TCP, UDP and echo: SCTP, other ICMP (traceroute),
//     multicast, broadcast.
//   - The source address of a client of a published port: it is the gateway.
//   - UDP flows are by pairs of addresses: a peer that has not been sent to
//     cannot answer (symmetric NAT).
//   - The egress list sees names, not owners. Who shares an address with an
//     allowed name (a content delivery network) is reached by a client that says
//     the allowed name in its TLS hello and another one inside; an encrypted
//     hello (ECH) hides the inner name, though records that offer it (HTTPS,
//     SVCB) are not answered. Without TLS only the address is looked at. An
//     allowed name's own server, and its name server for the names below a *.,
//     can carry what they want.
//   - More memory than the container's limit allows can be used here: at most
//     64 MiB of socket buffers, and 256 KiB for each connection.
package main
