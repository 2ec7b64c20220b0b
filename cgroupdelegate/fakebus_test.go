// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
)

// fakeSystemd serves D-Bus on a socket: as systemd does on its private one, or
// as a bus with systemd on it does.
type fakeSystemd struct {
	t       *testing.T
	private bool
	absent  bool   // systemd is not on the bus
	late    bool   // but it comes
	sasl    string // "old": systemd before 246; "reject"; "silent"; "hangup"
	// start answers StartTransientUnit number n, from 0, of a connection.
	start func(c *fakeConn, call *dbus.Message, n int)
	stop  func(c *fakeConn, call *dbus.Message, n int)

	mu    sync.Mutex
	calls []string // METHOD BODY
}

// fakeConn is one connection to it.
type fakeConn struct {
	*fakeSystemd
	conn   net.Conn
	serial uint32
	counts map[string]int
}

// serve listens, and returns the manager to dial.
func (f *fakeSystemd) serve(t *testing.T) manager {
	f.t = t
	name := filepath.Join(t.TempDir(), "bus")
	if f.private {
		name = filepath.Join(t.TempDir(), "systemd", "private")
		if err := os.Mkdir(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			running.Go(func() {
				defer conn.Close()
				(&fakeConn{fakeSystemd: f, conn: conn, counts: map[string]int{}}).run()
			})
		}
	})
	t.Cleanup(func() { l.Close() })
	return manager{UID: 1000, Addresses: []string{"unix:path=" + name}}
}

func (f *fakeSystemd) heard() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.calls, "\n")
}

// authenticate is the server's side of EXTERNAL without an identity. As with
// sd-bus, a call that is read together with BEGIN would not be seen.
func (c *fakeConn) authenticate() bool {
	got := make([]byte, 4096)
	n, err := c.conn.Read(got)
	if err != nil {
		return false
	}
	if want := "\x00AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"; string(got[:n]) != want {
		c.t.Errorf("sasl: %q", got[:n])
		return false
	}
	const ok = "OK 0123456789abcdef0123456789abcdef\r\n"
	answer := "DATA\r\n" + ok
	switch c.sasl {
	case "reject":
		answer = "REJECTED EXTERNAL\r\n"
	case "silent":
		c.conn.Read(got)
		return false
	case "hangup":
		return false
	case "old":
		answer = ok + ok
	}
	_, err = c.conn.Write([]byte(answer))
	return err == nil && c.sasl != "reject"
}

func (c *fakeConn) run() {
	if !c.authenticate() {
		return
	}
	in := bufio.NewReader(c.conn)
	for {
		m, err := dbus.DecodeMessage(in)
		if err != nil {
			return
		}
		member := m.Headers[dbus.FieldMember].Value().(string)
		c.mu.Lock()
		c.calls = append(c.calls, strings.TrimSpace(member+" "+strings.TrimSuffix(strings.TrimPrefix(fmt.Sprint(m.Body), "["), "]")))
		c.mu.Unlock()
		n := c.counts[member]
		c.counts[member]++
		switch member {
		case "Hello":
			c.reply(m, ":1.7")
		case "NameHasOwner":
			c.reply(m, !c.absent)
		case "Ping":
			if c.late {
				c.reply(m)
				break
			}
			c.refuse(m, "org.freedesktop.DBus.Error.ServiceUnknown", "The name is not known")
		case "StartTransientUnit":
			c.start(c, m, n)
		case "StopUnit":
			c.stop(c, m, n)
		case "AttachProcessesToUnit", "SetUnitProperties":
			if m.Body[0] == "gone.scope" {
				c.refuse(m, errNoSuchUnit, "Unit gone.scope not loaded.")
				break
			}
			c.reply(m)
		case "AddMatch", "ResetFailedUnit":
			c.reply(m)
		default:
			c.refuse(m, "org.freedesktop.DBus.Error.UnknownMethod", "what?")
		}
	}
}

func (c *fakeConn) send(m *dbus.Message) {
	if len(m.Body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(m.Body...))
	}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
		c.t.Error(err)
	}
	c.serial++
	binary.LittleEndian.PutUint32(b.Bytes()[8:], c.serial)
	c.conn.Write(b.Bytes())
}

func (c *fakeConn) reply(call *dbus.Message, body ...any) {
	c.send(&dbus.Message{Type: dbus.TypeMethodReply, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(call.Serial()),
	}})
}

func (c *fakeConn) refuse(call *dbus.Message, name, text string) {
	c.send(&dbus.Message{Type: dbus.TypeError, Body: []any{text}, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(call.Serial()),
		dbus.FieldErrorName:   dbus.MakeVariant(name),
	}})
}

// jobRemoved sends what systemd sends to every peer when a job has ended.
func (c *fakeConn) jobRemoved(number int, unit, result string) {
	c.send(&dbus.Message{
		Type: dbus.TypeSignal,
		Body: []any{uint32(number), jobPath(number), unit, result},
		Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath(systemdPath)),
			dbus.FieldInterface: dbus.MakeVariant(managerIface),
			dbus.FieldMember:    dbus.MakeVariant("JobRemoved"),
		},
	})
}

func jobPath(number int) dbus.ObjectPath {
	return dbus.ObjectPath(fmt.Sprintf("%s/job/%d", systemdPath, number))
}

// ends is a job that ends so, among jobs of others.
func ends(result string) func(*fakeConn, *dbus.Message, int) {
	return func(c *fakeConn, call *dbus.Message, _ int) {
		c.jobRemoved(1, "other.scope", "failed")
		c.reply(call, jobPath(5))
		c.jobRemoved(2, "other.scope", "canceled")
		c.jobRemoved(5, call.Body[0].(string), result)
	}
}
