// SPDX-License-Identifier: Apache-2.0

package container

import (
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/hooks"
	"mycr/linux"
	"mycr/netns"
	"mycr/userns"
)

// NetworkState is what `state` says of a container's network.
type NetworkState struct {
	Driver    string             `json:"driver"`
	Status    string             `json:"status"` // running, or ended: the container lives with a dead network
	PID       int                `json:"pid"`    // of its keeper, 0 when it has ended
	Device    string             `json:"device"`
	Addresses []netip.Prefix     `json:"addresses,omitempty"`
	Gateways  []netip.Addr       `json:"gateways,omitempty"`
	DNS       []netip.Addr       `json:"dns,omitempty"`
	Ports     []netns.HelperPort `json:"ports,omitempty"`
	Refused   []string           `json:"refused,omitempty"` // until now, as `run` says it at the end
}

func (r *Record) network() *NetworkState {
	n := r.Network
	if n == nil {
		return nil
	}
	s := &NetworkState{
		Driver: n.Driver, Status: "running", PID: n.Keeper.PID, Device: n.Device,
		Addresses: n.Addresses, Gateways: n.Gateways, DNS: n.DNS, Ports: n.Ports,
	}
	if r.BootID != bootID() || !n.Alive() {
		s.Status, s.PID = "ended", 0
	}
	return s
}

// decideNetwork decides about the network namespace, and adds the files that
// tell the container about it as mounts of the bundle.
func (p *plan) decideNetwork(o *CreateOptions) error {
	facts := p.facts.network
	facts.NetAdmin = p.orders.Process.Caps.MayHave(unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN)
	if h := p.spec.Hooks; h != nil {
		for _, list := range hooks.Lists(h)[:3] { // prestart, createRuntime, createContainer
			facts.Hooks = facts.Hooks || len(list.Hooks) > 0
		}
	}
	for _, m := range p.ids.UIDs {
		facts.UIDs = append(facts.UIDs, netns.IDRange{First: m.ContainerID, Size: m.Size})
	}
	for _, m := range p.ids.GIDs {
		facts.GIDs = append(facts.GIDs, netns.IDRange{First: m.ContainerID, Size: m.Size})
	}
	var err error
	if p.network, err = netns.Resolve(&o.Network, facts); err != nil {
		return err
	}
	for _, s := range p.network.Sysctls {
		p.orders.Sysctls = append(p.orders.Sysctls, Sysctl{Key: s.Path, Path: s.Path, Value: s.Value})
	}
	p.orders.Net = p.network.Inside
	// The child of a reaping init is known when it has said something.
	p.orders.Net.Tell = p.orders.Net.Tell || p.network.Driver != "" && o.Reaper
	for _, f := range p.network.Files {
		if p.mountsOn(f.Destination) {
			continue // the bundle knows better
		}
		p.files = append(p.files, f)
		p.spec.Mounts = append(p.spec.Mounts, specs.Mount{
			Destination: f.Destination, Type: "bind", Source: path.Join(o.stateDir, f.Name), Options: []string{"bind", "ro", "rprivate", "nosuid", "nodev", "noexec"},
		})
	}
	return nil
}

func (p *plan) mountsOn(destination string) bool {
	for _, m := range p.spec.Mounts {
		if path.Clean(m.Destination) == destination {
			return true
		}
	}
	return false
}

// writeNetworkFiles puts the sources of those mounts into the state directory.
func (m *maker) writeNetworkFiles() error {
	for _, f := range m.plan.files {
		if err := m.c.dir.write(f.Name, []byte(f.Content)); err != nil {
			return err
		}
		// Whoever is in the container may read it; nobody else gets to it.
		if err := unix.Fchmodat(m.c.dir.fd, f.Name, 0o644, 0); err != nil {
			return fmt.Errorf("%s/%s: %w", m.c.dir.path, f.Name, err)
		}
	}
	return nil
}

// openUserNamespace opens what pasta enters, as long as init still lets its user look into it.
func (m *maker) openUserNamespace() (err error) {
	m.userNamespace = -1
	if m.plan.network.Driver != netns.Pasta || m.plan.userns.User == userns.UserShared {
		return nil
	}
	m.userNamespace, err = unix.Open(fmt.Sprintf("/proc/%d/ns/user", m.process.PID), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the container's user namespace: %w", err)
	}
	m.plan.fds = append(m.plan.fds, m.userNamespace)
	return nil
}

// launchDriver starts the network's driver, which gets ready on another processor meanwhile.
func (m *maker) launchDriver() (err error) {
	if m.plan.network.Driver == "" {
		return nil
	}
	m.driver, err = m.plan.network.Launch(netns.Place{Dir: m.c.dir.fd, DirPath: m.c.dir.path, OwnUser: m.plan.userns.User != userns.UserShared})
	return err
}

// introduce hands the container to a driver that makes the device itself, as soon as there are ids: it works while
// the child mounts.
func (m *maker) introduce() error {
	if m.driver == nil || m.plan.orders.Net.Tell {
		return nil
	}
	return m.driver.Give(m.netInit())
}

// netInit is the child as a driver gets it.
func (m *maker) netInit() netns.Init {
	return netns.Init{PID: m.process.PID, PidFD: m.process.PidFD, Tap: -1, User: m.userNamespace}
}

// network hands it over when the child says that it can be.
func (m *maker) network() error {
	if m.driver == nil || !m.plan.orders.Net.Tell {
		return nil
	}
	said, err := m.await(wordNetwork)
	if err != nil {
		return err
	}
	init := m.netInit()
	if m.reaper >= 0 {
		if init.PID, err = childOf(m.process.PID); err != nil {
			return m.preferFault(err)
		}
	}
	if len(said.fds) > 0 {
		init.Tap = said.fds[0]
		defer unix.Close(init.Tap)
	}
	return m.driver.Give(init)
}

// childOf returns the first child of a process; see proc_tid_children(5).
func childOf(pid int) (int, error) {
	text, err := linux.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, fmt.Errorf("find the child of process %d: %w", pid, err)
	}
	first, _, _ := strings.Cut(string(text), " ")
	child, err := strconv.Atoi(first)
	if err != nil {
		return 0, fmt.Errorf("process %d has no child", pid)
	}
	return child, nil
}

// networkReady waits until the network works.
func (m *maker) networkReady() error {
	if m.driver == nil || m.c.record.Network != nil {
		return nil
	}
	var err error
	m.c.record.Network, err = m.driver.Wait(m.c.dir.fd, m.process.PID)
	return err
}

// network configures the container's network namespace, and gives its device
// to the parent, which has no way into a user namespace.
func (c *child) network() error {
	p := &c.orders.Net
	tap, err := p.Up()
	if err != nil || !p.Tell {
		return err
	}
	if tap < 0 {
		err = say(c.orders.Status, wordNetwork, nil)
	} else {
		err = say(c.orders.Status, wordNetwork, nil, tap)
		unix.Close(tap)
	}
	if err != nil {
		return errSilent
	}
	return nil
}

// Ports returns the published ports of a running container.
func (c *Container) Ports() ([]netns.HelperPort, error) {
	n, err := c.liveNetwork()
	if err != nil || n == nil || n.Driver != netns.Internal {
		if n != nil {
			return n.Ports, err
		}
		return nil, err
	}
	answer, err := c.askNetwork(netns.HelperRequest{Ports: true})
	return answer.Ports, err
}

// askNetwork puts one question to the container's mycr-net.
func (c *Container) askNetwork(request netns.HelperRequest) (answer netns.HelperAnswer, err error) {
	client, err := netns.Dial(c.dir.fd)
	if err != nil {
		return answer, err
	}
	defer client.Close()
	return client.Ask(request)
}

// liveNetwork is nil for a container without a network of mycr's.
func (c *Container) liveNetwork() (*netns.Record, error) {
	if !c.record.alive() {
		return nil, ErrNotRunning
	}
	n := c.record.Network
	if n != nil && !n.Alive() {
		return nil, fmt.Errorf("the network of %s (%s) has ended", c.record.ID, n.Driver)
	}
	return n, nil
}

// Publish publishes more ports of a running container, all of them or none.
func (r *Root) Publish(id string, ports []netns.Port) ([]netns.HelperPort, error) {
	c, err := r.loadLocked(id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	n, err := c.liveNetwork()
	if err != nil {
		return nil, err
	}
	if n == nil {
		return nil, &withHint{fmt.Errorf("container %s has no network of mycr's", id), "mycr run --network internal"}
	}
	if n.Driver != netns.Internal {
		return nil, &withHint{fmt.Errorf("--network %s cannot publish ports of a running container", n.Driver), "mycr run --network internal"}
	}
	answer, err := c.askNetwork(netns.HelperRequest{Publish: ports})
	if err != nil {
		return nil, err
	}
	n.Ports = answer.Ports
	return answer.Ports, c.writeRecord()
}

// Refusals waits for the container's end and returns what its network refused,
// one line each. It has to be called while the container runs; wait gives them.
func (c *Container) Refusals() (wait func() ([]string, error)) {
	n := c.record.Network
	if n == nil || !n.Egress {
		return func() ([]string, error) { return nil, nil }
	}
	client, err := netns.Dial(c.dir.fd)
	if err == nil {
		err = client.Send(netns.HelperRequest{End: true})
	}
	return func() ([]string, error) {
		if client == nil {
			return nil, err
		}
		defer client.Close()
		if err != nil {
			return nil, err
		}
		answer, err := client.Receive()
		if err != nil {
			return nil, fmt.Errorf("what the network refused is not known: %w", err)
		}
		return refusals(&answer), nil
	}
}

// refusedUntilNow is for who did not wait for the end. That it cannot be known is told in its place: the state is
// asked for by engines, to which it is no failure.
func (c *Container) refusedUntilNow() []string {
	answer, err := c.askNetwork(netns.HelperRequest{Denied: true})
	if err != nil {
		return []string{"not known: " + err.Error()}
	}
	return refusals(&answer)
}

func refusals(a *netns.HelperAnswer) []string {
	var lines []string
	for _, d := range a.Denied {
		line := "refused: " + d.Protocol + " " + d.Destination
		if d.Name != "" && d.Name != d.Destination {
			line += " (" + d.Name + ")"
		}
		if d.Count > 1 {
			line += fmt.Sprintf(", %d times", d.Count)
		}
		line += ": " + d.Reason
		if d.Flag != "" {
			line += "; " + d.Flag
		}
		lines = append(lines, line)
	}
	if a.More > 0 {
		lines = append(lines, fmt.Sprintf("refused: %d more", a.More))
	}
	return lines
}
