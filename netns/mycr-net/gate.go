// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"

	"mycr/netns/mycr-net/policy"
	"mycr/netns/mycr-net/sni"
)

// portHTTPS is where nothing but TLS is expected.
const portHTTPS = 443

// errGate says that the first bytes of a connection are not allowed.
var errGate = errors.New("refused because of its first bytes")

// A gate looks at what the container sends first, since an address is shared by
// many names: a TLS hello has to ask for an allowed one. Nothing is decrypted.
// Until it opens, nothing goes out; what comes in passes, for protocols in which
// the server speaks first.
type gate struct {
	policy *policy.Policy
	to     netip.AddrPort
}

// pass reads until it is clear what the connection is, and gives what was read.
func (g *gate) pass(inside *insideTCP) ([]byte, error) {
	entry, event := waiter.NewChannelEntry(anything &^ waiter.WritableEvents)
	inside.queue.EventRegister(&entry)
	defer inside.queue.EventUnregister(&entry)
	var stream prefix
	for {
		_, failed := inside.ep.Read(&stream, tcpip.ReadOptions{})
		switch failed.(type) {
		case nil:
			if open, err := g.look(stream); open || err != nil {
				return stream, err
			}
		case *tcpip.ErrWouldBlock:
			<-event
		case *tcpip.ErrClosedForReceive:
			if len(stream) == 0 {
				return nil, nil
			}
			g.policy.RefuseStream(g.to, "a TLS hello that is not complete")
			return nil, errGate
		default:
			return nil, fmt.Errorf("read from the container: %s", failed)
		}
	}
}

// look tells whether the stream may go on; where it is not clear yet, there is
// no error either.
func (g *gate) look(stream []byte) (open bool, err error) {
	name, err := sni.ServerName(stream)
	switch {
	case errors.Is(err, sni.ErrMore):
		return false, nil
	case errors.Is(err, sni.ErrNotTLS) && g.to.Port() != portHTTPS:
		return true, nil
	case err != nil:
		g.policy.RefuseStream(g.to, err.Error())
		return false, errGate
	case !g.policy.TLS(g.to, name):
		return false, errGate
	}
	return true, nil
}

// prefix takes the first bytes of a stream.
type prefix []byte

func (p *prefix) Write(data []byte) (int, error) {
	n := min(len(data), sni.MostHello-len(*p))
	*p = append(*p, data[:n]...)
	if n < len(data) {
		return n, io.ErrShortBuffer
	}
	return n, nil
}
