// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mycr/linux"
)

// lastArguments end the driver's command line.
func (p *Plan) lastArguments(init Init) (argv []string) {
	if p.Driver == Slirp {
		// Its sandbox finds the user namespace by a pid only. It closes the descriptor after a byte.
		return []string{"--ready-fd", strconv.Itoa(keeperReadyFD), strconv.Itoa(init.PID), DeviceName}
	}
	if init.User >= 0 {
		argv = append(argv, "--userns", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), init.User))
	}
	// It is opened when pasta is in the user namespace already, from where we cannot be looked into.
	return append(argv, "--netns", fmt.Sprintf("/proc/%d/ns/net", init.PID))
}

// pasta writes its pid into a file when it is ready; see pasta(1). Without
// words of ours it maps the gateway to the host's loopback and forwards ports by itself.
func (p *Plan) pasta(place Place) []string {
	c := &p.Config
	argv := []string{"pasta", "--foreground", "--quiet", "--config-net", "--no-netns-quit", "--pid", place.DirPath + "/" + readyName, "--ns-ifname", DeviceName}
	if !c.HostLoopback {
		argv = append(argv, "--no-map-gw")
	}
	ports := map[string][]string{}
	for _, p := range c.Ports {
		flag := map[string]string{"tcp": "--tcp-ports", "udp": "--udp-ports"}[p.Protocol]
		word := fmt.Sprintf("%d:%d", p.HostPort, p.ContainerPort)
		if p.HostAddress.IsValid() {
			word = p.HostAddress.String() + "/" + word
		}
		ports[flag] = append(ports[flag], word)
	}
	for _, flag := range []string{"--tcp-ports", "--udp-ports"} {
		words := ports[flag]
		if len(words) == 0 {
			words = []string{"none"}
		}
		for _, word := range words {
			argv = append(argv, flag, word)
		}
	}
	argv = append(argv, "--tcp-ns", "none", "--udp-ns", "none")
	for _, server := range c.DNS {
		argv = append(argv, "--dns-forward", server.String())
	}
	if c.MTU != 0 {
		argv = append(argv, "--mtu", strconv.Itoa(c.MTU))
	}
	for _, a := range []netip.Prefix{c.Address4, c.Address6} {
		if a.IsValid() {
			argv = append(argv, "--address", a.Addr().String())
			if a.Addr().Is4() {
				argv = append(argv, "--netmask", strconv.Itoa(a.Bits()))
			}
		}
	}
	for _, a := range []netip.Addr{c.Gateway4, c.Gateway6} {
		if a.IsValid() {
			argv = append(argv, "--gateway", a.String())
		}
	}
	if p.NoIPv6 {
		argv = append(argv, "--ipv4-only")
	}
	if !place.OwnUser {
		argv = append(argv, "--netns-only")
	}
	return argv
}

// slirp is the beginning of slirp4netns(1)'s command line.
func (p *Plan) slirp(place Place) []string {
	c := &p.Config
	mtu := c.MTU
	if mtu == 0 {
		mtu = mostMTU
	}
	argv := []string{"slirp4netns", "--configure", "--mtu", strconv.Itoa(mtu), "--enable-sandbox", "--enable-seccomp",
		"--cidr", c.Address4.Masked().String()}
	if !c.HostLoopback {
		argv = append(argv, "--disable-host-loopback")
	}
	if len(c.Ports) > 0 {
		argv = append(argv, "--api-socket", slirpSocket(place.DirPath))
	}
	return argv
}

// slirpSocket is there until the ports are forwarded.
func slirpSocket(dir string) string { return dir + "/" + slirpName }

const slirpName = "slirp.sock"

// forward publishes the ports by slirp4netns' API; hint is for the error.
func (p *Plan) forward(place Place) (hint string, err error) {
	if len(p.Config.Ports) == 0 {
		return "", nil
	}
	defer unix.Unlinkat(place.Dir, slirpName, 0)
	for _, port := range p.Config.Ports {
		answer, err := askSlirp(place.Dir, map[string]any{"execute": "add_hostfwd", "arguments": map[string]any{
			"proto": port.Protocol, "host_addr": port.HostAddress.String(), "host_port": port.HostPort,
			"guest_addr": p.Config.Address4.Addr().String(), "guest_port": port.ContainerPort,
		}})
		if err != nil {
			return "", fmt.Errorf("publish %s:%d: %w", port.HostAddress, port.HostPort, err)
		}
		if answer.Error.Desc != "" {
			return portHint([]Port{port}), fmt.Errorf("publish %s:%d: %s", port.HostAddress, port.HostPort, answer.Error.Desc)
		}
	}
	return "", nil
}

// portHint is for ports of which one cannot be listened on.
func portHint(ports []Port) string {
	var words []string
	for _, p := range ports {
		if p.HostPort < 1024 {
			return fmt.Sprintf("sudo sysctl net.ipv4.ip_unprivileged_port_start=%d, or --publish %d:%d", p.HostPort, p.HostPort+8000, p.ContainerPort)
		}
		words = append(words, fmt.Sprintf("sport = :%d", p.HostPort))
	}
	return fmt.Sprintf("ss -lntup '%s' shows who has it", strings.Join(words, " or "))
}

type slirpAnswer struct {
	Error struct {
		Desc string `json:"desc"`
	} `json:"error"`
}

// askSlirp sends one request; the answer ends with the connection.
func askSlirp(dir int, request any) (answer slirpAnswer, err error) {
	line, err := json.Marshal(request)
	if err != nil {
		return answer, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return answer, err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return answer, err
	}
	if err := unix.Connect(fd, linux.SocketIn(dir, slirpName)); err != nil {
		return answer, err
	}
	if _, err := unix.Write(fd, line); err != nil {
		return answer, err
	}
	if err := unix.Shutdown(fd, unix.SHUT_WR); err != nil {
		return answer, err
	}
	var text []byte
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(fd, buf)
		if err != nil {
			return answer, fmt.Errorf("read its answer: %w", err)
		}
		if n == 0 {
			return answer, json.Unmarshal(text, &answer)
		}
		text = append(text, buf[:n]...)
	}
}

// helperPorts are the addresses on which a port is listened.
func helperPorts(p Port) []HelperPort {
	addresses := []netip.Addr{p.HostAddress}
	if !p.HostAddress.IsValid() {
		addresses = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	var list []HelperPort
	for _, a := range addresses {
		list = append(list, HelperPort{Host: netip.AddrPortFrom(a, p.HostPort), Container: p.ContainerPort, Protocol: p.Protocol})
	}
	return list
}
