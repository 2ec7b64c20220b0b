// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

func TestDialTakesTheFirstThatAnswers(t *testing.T) {
	stale := filepath.Join(t.TempDir(), "stale")
	if err := os.WriteFile(stale, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good := fakeSystemd{sasl: "old", private: true, start: ends("done")}
	m := manager{UID: 1000, Addresses: []string{"unix:path=/nowhere/bus", "unix:path=" + stale, "tcp:host=localhost"}}
	for _, bad := range []*fakeSystemd{{sasl: "reject"}, {sasl: "hangup"}, {absent: true}, {sasl: "silent"}} {
		m.Addresses = append(m.Addresses, bad.serve(t).Addresses...)
	}
	bad := m
	m.Addresses = append(m.Addresses[:len(m.Addresses):len(m.Addresses)], good.serve(t).Addresses...)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	b, err := m.dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	j, err := b.start(patient(t), testScope(), nil)
	if err != nil || j.wait(patient(t)) != nil {
		t.Error(err)
	}

	ctx, cancel = context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err = bad.dial(ctx)
	want := `connect to the systemd user manager of uid 1000: unix:path=/nowhere/bus: no such file or directory; unix:path=STALE: connection refused; ` +
		`tcp:host=localhost: not a unix socket; 3: authenticate: the answer is "REJECTED EXTERNAL"; ` +
		`4: authenticate: the connection to the systemd user manager of uid 1000 broke: 4 closed it: EOF; 5: systemd is not on this bus: The name is not known; ` +
		`6: authenticate: the systemd user manager of uid 1000 did not answer in time: read 6: i/o timeout`
	got := strings.ReplaceAll(err.Error(), stale, "STALE")
	for i, a := range bad.Addresses[3:] {
		got = strings.ReplaceAll(got, a, string(rune('3'+i)))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestDialer is no test of its own: the tests below execute it elsewhere.
func TestDialer(t *testing.T) {
	address := os.Getenv("TEST_DIAL")
	if address == "" {
		t.Skip("executed by other tests")
	}
	b, err := manager{Addresses: []string{address}}.dial(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	b.close()
}

// dialElsewhere dials in new namespaces.
func dialElsewhere(t *testing.T, address string, flags uintptr) string {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, "-test.run=^TestDialer$", "-test.v")
	c.Env = append(os.Environ(), "TEST_DIAL="+address)
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  flags | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
	}
	out, err := c.CombinedOutput()
	if len(out) == 0 && err != nil {
		t.Skipf("no user namespace here: %v", err)
	}
	return string(out)
}

func TestManagerOutsideOfOurPidNamespaceIsRefused(t *testing.T) {
	f := fakeSystemd{private: true}
	out := dialElsewhere(t, f.serve(t).Addresses[0], syscall.CLONE_NEWPID)
	if !strings.Contains(out, "is not in our pid namespace, so it cannot move our processes") {
		t.Error(out)
	}
}

// realBus starts a dbus-daemon, and returns its address.
func realBus(t *testing.T) string {
	name, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("dbus-daemon is not installed")
	}
	address := "unix:path=" + filepath.Join(t.TempDir(), "bus")
	c := exec.Command(name, "--session", "--nofork", "--nopidfile", "--nosyslog", "--print-address", "--address="+address)
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	if _, err := out.Read(make([]byte, 1)); err != nil { // it has written its address: it listens
		t.Skip("dbus-daemon does not start here")
	}
	return address
}

// onRealBus is a systemd on a real bus, of godbus.
type onRealBus struct{ conn *dbus.Conn }

func (s onRealBus) StartTransientUnit(unit, mode string, properties []named, aux []auxiliary) (dbus.ObjectPath, *dbus.Error) {
	if err := s.conn.Emit(systemdPath, managerIface+".JobRemoved", uint32(5), jobPath(5), unit, "done"); err != nil {
		return "", dbus.MakeFailedError(err)
	}
	return jobPath(5), nil
}

func TestScopeOnARealBus(t *testing.T) {
	address := realBus(t)
	m := manager{UID: 1000, Addresses: []string{address}}
	if _, err := m.dial(patient(t)); err == nil || !strings.Contains(err.Error(), "systemd is not on this bus: ") {
		t.Fatal(err)
	}
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Export(onRealBus{conn}, systemdPath, managerIface); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(systemdName, 0); err != nil {
		t.Fatal(err)
	}
	j, err := dialed(t, m).start(patient(t), testScope(), []int{noPid})
	if err == nil {
		err = j.wait(patient(t))
	}
	if err != nil {
		t.Error(err)
	}
	if out := dialElsewhere(t, address, 0); !strings.Contains(out, "--- PASS: TestDialer") {
		t.Errorf("as uid 0 of a user namespace: %s", out)
	}
}
