// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// bus is one connection to a systemd manager. It belongs to one goroutine at a
// time.
//
// godbus' own connection asks three times before it may be used, keeps
// goroutines, and waits for no deadline while it authenticates; so its messages
// are used, and what carries them is here. Calls are sent without a wait for
// the answers to earlier ones: the other side keeps their order.
type bus struct {
	address  string
	manager  manager
	private  bool // systemd itself is the peer; it has no Hello and no AddMatch
	socket   *os.File
	in       *bufio.Reader
	out      bytes.Buffer // calls not yet sent
	serial   uint32
	awaited  map[uint32]*dbus.Message // answers by the call's serial, nil until they are there
	removed  map[dbus.ObjectPath]string
	watched  string // the unit whose jobs are told
	watching uint32 // serial of the AddMatch
	broken   error  // the stream is of no use any more
}

// failure is an error that systemd or the bus answered with.
type failure struct {
	Name string // org.freedesktop.systemd1.NoSuchUnit
	Text string
}

func (f *failure) Error() string {
	if f.Text == "" {
		return f.Name
	}
	return f.Text
}

// answered tells whether err is an answer of that name.
func answered(err error, name string) bool {
	var f *failure
	return errors.As(err, &f) && f.Name == name
}

// D-Bus names.
const (
	errUnitExists   = "org.freedesktop.systemd1.UnitExists"
	errNoSuchUnit   = "org.freedesktop.systemd1.NoSuchUnit"
	errAccessDenied = "org.freedesktop.DBus.Error.AccessDenied"
	errInteractive  = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
	errReadOnly     = "org.freedesktop.DBus.Error.PropertyReadOnly"

	systemdName  = "org.freedesktop.systemd1"
	systemdPath  = "/org/freedesktop/systemd1"
	managerIface = systemdName + ".Manager"
	busName      = "org.freedesktop.DBus"
	busPath      = "/org/freedesktop/DBus"
)

// dial connects to the first address at which the manager answers. The error
// names all that was tried.
func (m manager) dial(ctx context.Context) (*bus, error) {
	ctx, cancel := withPatience(ctx)
	defer cancel()
	var tried []string
	for i, address := range m.Addresses {
		// Of one that hangs, time has to be left for the next.
		deadline, _ := ctx.Deadline()
		share, done := context.WithTimeout(ctx, time.Until(deadline)/time.Duration(len(m.Addresses)-i))
		b, err := m.dialOne(share, address)
		done()
		if err == nil {
			return b, nil
		}
		var refusal *Refusal
		if errors.As(err, &refusal) {
			return nil, err
		}
		tried = append(tried, address+": "+err.Error())
	}
	return nil, fmt.Errorf("connect to %s: %s", m, strings.Join(tried, "; "))
}

func (m manager) dialOne(ctx context.Context, address string) (*bus, error) {
	name, err := socketOf(address)
	if err != nil {
		return nil, err
	}
	fd, err := connect(ctx, name)
	if err != nil {
		return nil, err
	}
	b := &bus{
		address: address,
		manager: m,
		private: isPrivate(address),
		socket:  os.NewFile(uintptr(fd), address),
		awaited: map[uint32]*dbus.Message{},
		removed: map[dbus.ObjectPath]string{},
	}
	b.in = bufio.NewReader(b.socket)
	if err := b.hello(ctx, fd); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// connect waits while the listener's backlog is full, which a connect that does
// not block would answer with EAGAIN; see unix(7) and SO_SNDTIMEO in socket(7).
func connect(ctx context.Context, name string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	deadline, _ := ctx.Deadline()
	left := max(time.Until(deadline), time.Millisecond)
	timeout := unix.NsecToTimeval(int64(left))
	err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: name})
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		unix.Close(fd)
		if errors.Is(err, unix.EAGAIN) {
			err = errors.New("no connection was accepted in time")
		}
		return -1, err
	}
	return fd, nil
}

// hello authenticates, and where the peer is a bus looks whether systemd is on it.
func (b *bus) hello(ctx context.Context, fd int) error {
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return fmt.Errorf("SO_PEERCRED: %w", err)
	}
	if peer.Pid == 0 {
		// It would take our pids for others of its own.
		return &Refusal{
			Cause:  fmt.Sprintf("%s (%s) is not in our pid namespace, so it cannot move our processes", b.manager, b.address),
			Remedy: "--cgroup-manager cgroupfs uses the cgroups that the caller may write to",
		}
	}
	defer b.until(ctx)()
	if err := b.authenticate(); err != nil {
		return fmt.Errorf("authenticate: %w", b.explain(ctx, err))
	}
	if b.private {
		return nil
	}
	hello := b.call(busName, busPath, busName+".Hello")
	owned := b.call(busName, busPath, busName+".NameHasOwner", systemdName)
	if _, err := b.answer(ctx, hello); err != nil {
		return fmt.Errorf("say Hello: %w", err)
	}
	body, err := b.answer(ctx, owned)
	if err != nil {
		return fmt.Errorf("ask NameHasOwner: %w", err)
	}
	if yes, ok := first[bool](body); ok && yes {
		return nil
	}
	// A bus that our connection started by its socket has no systemd on it yet:
	// dbus-daemon keeps calls for it until it comes. Any other bus answers at
	// once that it cannot start it.
	if _, err := b.answer(ctx, b.call(systemdName, systemdPath, busName+".Peer.Ping")); err != nil {
		return fmt.Errorf("systemd is not on this bus: %w", err)
	}
	return nil
}

// authenticate is SASL EXTERNAL without a uid: the peer takes the one that it
// sees in SO_PEERCRED, so that it is right in however many user namespaces.
//
// BEGIN is sent before the answers are read, as sd-bus does: systemd that reads
// it together with a call leaves the call where it is until more comes (seen in
// version 252).
func (b *bus) authenticate() error {
	if _, err := b.socket.WriteString("\x00AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"); err != nil {
		return err
	}
	line, err := b.answerLine("DATA", "OK")
	if err != nil {
		return err
	}
	if line == "OK" {
		// systemd before 246 asks for no data, and answers ours with a second OK or an ERROR.
		_, err = b.answerLine("OK", "ERROR")
		return err
	}
	_, err = b.answerLine("OK")
	return err
}

// answerLine reads a line that has to begin with one of the words.
func (b *bus) answerLine(words ...string) (string, error) {
	line, err := b.in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSpace(line)
	word, _, _ := strings.Cut(line, " ")
	if !slices.Contains(words, word) {
		return "", fmt.Errorf("the answer is %q", line)
	}
	return word, nil
}

// close gives the connection up. Jobs go on.
func (b *bus) close() { b.socket.Close() }

// withPatience gives a context a deadline if it has none.
func withPatience(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, patience)
}

// until makes reads and writes end with the context.
func (b *bus) until(ctx context.Context) (stop func()) {
	deadline, _ := ctx.Deadline()
	b.socket.SetDeadline(deadline)
	done := make(chan struct{})
	unless := context.AfterFunc(ctx, func() {
		b.socket.SetDeadline(time.Unix(1, 0))
		close(done)
	})
	return func() {
		if !unless() {
			<-done // it may not end the next call
		}
	}
}

// call queues a method call, and returns the serial to ask for its answer.
func (b *bus) call(to, path, method string, args ...any) uint32 {
	dot := strings.LastIndexByte(method, '.')
	m := dbus.Message{
		Type: dbus.TypeMethodCall,
		Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: dbus.MakeVariant(to),
			dbus.FieldPath:        dbus.MakeVariant(dbus.ObjectPath(path)),
			dbus.FieldInterface:   dbus.MakeVariant(method[:dot]),
			dbus.FieldMember:      dbus.MakeVariant(method[dot+1:]),
		},
		Body: args,
	}
	if len(args) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	b.serial++
	start := b.out.Len()
	if err := m.EncodeTo(&b.out, binary.LittleEndian); err != nil {
		b.out.Truncate(start)
		b.fail(fmt.Errorf("encode %s: %w", method, err))
		return b.serial
	}
	// godbus numbers only what its own connection sends. The serial is the
	// third word of the header.
	binary.LittleEndian.PutUint32(b.out.Bytes()[start+8:], b.serial)
	b.awaited[b.serial] = nil
	return b.serial
}

// watch asks a bus for the JobRemoved of a unit. A private socket gets that of
// every unit unasked: bus_foreach_bus() of systemd sends it to each peer.
func (b *bus) watch(unit string) {
	if b.private || b.watched == unit {
		return
	}
	b.watched = unit
	b.watching = b.call(busName, busPath, busName+".AddMatch", "type='signal',sender='"+systemdName+
		"',path='"+systemdPath+"',interface='"+managerIface+"',member='JobRemoved',arg2='"+unit+"'")
}

// flush sends what was queued.
func (b *bus) flush(ctx context.Context) error {
	if b.broken == nil && b.out.Len() > 0 {
		_, err := b.socket.Write(b.out.Bytes())
		b.out.Reset()
		b.fail(err)
	}
	return b.explain(ctx, b.broken)
}

// answer waits for that of a call. An error that was answered is a *failure.
func (b *bus) answer(ctx context.Context, serial uint32) ([]any, error) {
	if err := b.flush(ctx); err != nil {
		return nil, err
	}
	for b.awaited[serial] == nil {
		if err := b.read(); err != nil {
			return nil, b.explain(ctx, err)
		}
	}
	m := b.awaited[serial]
	delete(b.awaited, serial)
	if m.Type != dbus.TypeError {
		return m.Body, nil
	}
	var f failure
	f.Name, _ = m.Headers[dbus.FieldErrorName].Value().(string)
	f.Text, _ = first[string](m.Body)
	return nil, &f
}

// read takes one message from the other side and files it.
func (b *bus) read() error {
	if b.broken != nil {
		return b.broken
	}
	m, err := dbus.DecodeMessage(b.in)
	if err != nil {
		// godbus hides an end of the stream behind an error of its own.
		if _, end := b.in.Peek(1); end != nil {
			err = end
		}
		b.fail(err)
		return b.broken
	}
	switch m.Type {
	case dbus.TypeMethodReply, dbus.TypeError:
		serial, _ := m.Headers[dbus.FieldReplySerial].Value().(uint32)
		if _, ok := b.awaited[serial]; ok {
			b.awaited[serial] = m
		}
	case dbus.TypeSignal:
		// JobRemoved(u id, o job, s unit, s result)
		if m.Headers[dbus.FieldMember].Value() != "JobRemoved" || len(m.Body) != 4 {
			break
		}
		job, _ := m.Body[1].(dbus.ObjectPath)
		result, _ := m.Body[3].(string)
		b.removed[job] = result
	}
	return nil
}

func (b *bus) fail(err error) {
	if b.broken == nil {
		b.broken = err
	}
}

// explain says in the user's words why the stream ended.
func (b *bus) explain(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s did not answer in time: %w", b.manager, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET):
		return fmt.Errorf("the connection to %s broke: %s closed it: %w", b.manager, b.address, err)
	}
	return err
}

// first takes the first of a message's values.
func first[T any](body []any) (v T, ok bool) {
	if len(body) > 0 {
		v, ok = body[0].(T)
	}
	return v, ok
}
