// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"mycr/netns"
)

const (
	// mostRequest holds a range of a thousand ports.
	mostRequest = 128 << 10
	// mostAnswer is less than the kernel takes as one packet, net.core.wmem_default.
	mostAnswer = 128 << 10
	// controlPatience is how long a client may take.
	controlPatience = 5 * time.Second
)

// openControl takes over the socket that mycr made.
func openControl() (*net.UnixListener, error) {
	file := os.NewFile(netns.HelperControlFD, "control")
	defer file.Close()
	l, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("the control socket: %w", err)
	}
	control, ok := l.(*net.UnixListener)
	if !ok || control.Addr().Network() != "unixpacket" {
		l.Close()
		return nil, fmt.Errorf("the control socket: %w", unix.EPROTOTYPE)
	}
	control.SetUnlinkOnClose(false)
	return control, nil
}

// serveControl answers requests, one client after the other.
func (n *network) serveControl(l *net.UnixListener) {
	for {
		c, err := l.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // about one client
		}
		go n.serveClient(c)
	}
}

// serveClient answers until the client has no more requests.
func (n *network) serveClient(c *net.UnixConn) {
	defer c.Close()
	packet := make([]byte, mostRequest)
	for {
		if c.SetDeadline(time.Now().Add(controlPatience)) != nil {
			return
		}
		size, err := c.Read(packet)
		if err != nil || size == 0 {
			return
		}
		var request netns.HelperRequest
		answer := netns.HelperAnswer{}
		if err := json.Unmarshal(packet[:size], &request); err != nil {
			answer.Error = "the request: " + err.Error()
		} else if request.End {
			n.waitEnd(c)
			return
		} else {
			answer = n.obey(&request)
		}
		data, err := fit(answer)
		if err != nil {
			return
		}
		if _, err := c.Write(data); err != nil {
			return
		}
	}
}

// waitEnd keeps a client that wants to know at the end what was refused.
func (n *network) waitEnd(c *net.UnixConn) {
	n.waiting.Add(1)
	defer n.waiting.Done()
	<-n.ended
	answer := netns.HelperAnswer{}
	answer.Denied, answer.More = n.policy.Denied()
	if data, err := fit(answer); err == nil && c.SetDeadline(time.Now().Add(controlPatience)) == nil {
		_, _ = c.Write(data) // a client that is gone wants to know nothing
	}
}

func (n *network) obey(request *netns.HelperRequest) (answer netns.HelperAnswer) {
	switch {
	case len(request.Publish) > 0:
		if err := n.ports.publish(request.Publish); err != nil {
			answer.Error = err.Error()
			if known, ok := errors.AsType[*hintError](err); ok {
				answer.Hint = known.hint
			}
			return answer
		}
		answer.Ports = n.ports.list()
	case request.Ports:
		answer.Ports = n.ports.list()
	case request.Status:
		answer.Status = n.status()
	case request.Denied:
		answer.Denied, answer.More = n.policy.Denied()
	default:
		answer.Error = "the request asks for nothing that this version knows"
	}
	return answer
}

func (n *network) status() *netns.HelperStatus {
	s := &netns.HelperStatus{
		Version: n.config.Version, TCP: int(n.tcp.open.Load()), UDP: n.udp.flows.len(), Ping: n.ping.missing == nil,
		Notes: slices.Clone(n.notes),
	}
	if n.ping.missing != nil {
		s.Notes = append(s.Notes, n.ping.missing.Error())
	}
	return s
}

// fit makes the one packet of an answer, with fewer refusals where they have no
// room in it.
func fit(answer netns.HelperAnswer) ([]byte, error) {
	for {
		data, err := json.Marshal(answer)
		if err != nil || len(data) <= mostAnswer || len(answer.Denied) == 0 {
			return data, err
		}
		half := len(answer.Denied) / 2
		for _, d := range answer.Denied[half:] {
			answer.More += d.Count
		}
		answer.Denied = answer.Denied[:half]
	}
}
