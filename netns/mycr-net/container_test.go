// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"mycr/netns"
)

// A container is a namespace with a device that a mycr-net of its own serves.
type container struct {
	*namespace
	config  netns.HelperConfig
	helper  *exec.Cmd
	init    *exec.Cmd
	ready   netns.HelperReady
	control string
}

func testConfig() netns.HelperConfig {
	return netns.HelperConfig{
		Version:  netns.HelperVersion,
		MAC:      "02:00:00:00:00:64",
		MTU:      65520,
		Address4: netip.MustParsePrefix("10.0.2.100/24"),
		Gateway4: netip.MustParseAddr("10.0.2.2"),
		Address6: netip.MustParsePrefix("fd00::100/64"),
		Gateway6: netip.MustParseAddr("fd00::2"),
		DNS:      []netip.Addr{netip.MustParseAddr("10.0.2.3"), netip.MustParseAddr("fd00::3")},
	}
}

// start gives a container that is ready.
func startContainer(t testing.TB, change func(*netns.HelperConfig)) *container {
	t.Helper()
	c := launch(t, change)
	if !c.ready.Ready {
		t.Fatalf("mycr-net: %s (hint: %s)", c.ready.Error, c.ready.Hint)
	}
	return c
}

// launch starts mycr-net for a new container and waits for its one line.
func launch(t testing.TB, change func(*netns.HelperConfig)) *container {
	t.Helper()
	return launchAs(t, change, simply)
}

func simply(start func() error) error { return start() }

// withoutCapabilities starts a process that has none in any namespace.
func withoutCapabilities(start func() error) error {
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked, so that nobody else gets this thread
		for capability := range unix.CAP_LAST_CAP + 1 {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(capability), 0, 0, 0); err != nil {
				failed <- err
				return
			}
		}
		failed <- start()
	}()
	return <-failed
}

func launchAs(t testing.TB, change func(*netns.HelperConfig), as func(start func() error) error) *container {
	t.Helper()
	config := testConfig()
	if change != nil {
		change(&config)
	}
	return launchWith(t, config, config, as)
}

func socketPair(t testing.TB) (ours, theirs *os.File) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
}

// launchWith makes the device by one configuration and starts mycr-net with
// another.
func launchWith(t testing.TB, device, config netns.HelperConfig, as func(start func() error) error) *container {
	t.Helper()
	c := &container{namespace: newNamespace(), config: config}
	t.Cleanup(func() { close(c.work) })
	tap := c.makeDevice(t, device)
	defer tap.Close()

	c.init = exec.Command("sleep", "1000")
	var pidfd int
	c.init.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL, PidFD: &pidfd}
	if err := c.init.Start(); err != nil {
		t.Fatal(err)
	}
	init := os.NewFile(uintptr(pidfd), "pidfd")
	defer init.Close()
	t.Cleanup(func() { c.init.Process.Kill(); c.init.Wait() })

	c.control = filepath.Join(t.TempDir(), "control")
	listener := listenControl(t, c.control)
	defer listener.Close()
	readable, writable, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := socketPair(t)
	defer ours.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	c.helper = &exec.Cmd{
		Path:       "/proc/self/exe",
		Args:       []string{helperName, netns.HelperVersion},
		Dir:        "/",
		Env:        helperEnvironment(),
		ExtraFiles: []*os.File{configFile(t, c.config), null, writable, null, listener, theirs},
	}
	if os.Getenv("MYCR_NET_STDERR") != "" {
		c.helper.Stderr = os.Stderr
	}
	if err := as(c.helper.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.helper.Process.Kill(); c.helper.Wait() })
	writable.Close()
	theirs.Close()
	defer readable.Close()
	if err := unix.Sendmsg(int(ours.Fd()), []byte("1"), unix.UnixRights(int(init.Fd()), int(tap.Fd())), nil, unix.MSG_NOSIGNAL); err != nil {
		t.Fatal(err)
	}
	line, err := io.ReadAll(readable) // until it is closed
	if err != nil {
		t.Fatalf("mycr-net said nothing: %v", err)
	}
	if err := json.Unmarshal(line, &c.ready); err != nil {
		t.Fatalf("mycr-net said %s: %v", line, err)
	}
	return c
}

// helperEnvironment is empty but for what somebody who measures asks for.
func helperEnvironment() []string {
	list := []string{}
	for _, name := range []string{"GOCOVERDIR", "GODEBUG"} {
		if value := os.Getenv("MYCR_NET_" + name); value != "" {
			list = append(list, name+"="+value)
		}
	}
	return list
}

// ask sends one request to mycr-net's control socket.
func (c *container) ask(t testing.TB, request netns.HelperRequest) (answer netns.HelperAnswer) {
	t.Helper()
	conn, err := net.Dial("unixpacket", c.control)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	data, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(data); err != nil {
		t.Fatal(err)
	}
	packet := make([]byte, 1<<20)
	n, err := conn.Read(packet)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(packet[:n], &answer); err != nil {
		t.Fatalf("%s: %v", packet[:n], err)
	}
	return answer
}

// deviceFlags are those of the devices that the tests make.
var deviceFlags uint16 = unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR

// makeDevice does what the container's init does.
func (c *container) makeDevice(t testing.TB, config netns.HelperConfig) *os.File {
	t.Helper()
	var file *os.File
	var err error
	c.do(func() {
		var fd int
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
			return
		}
		file = os.NewFile(uintptr(fd), "tap")
		var request *unix.Ifreq
		if request, err = unix.NewIfreq("eth0"); err != nil {
			return
		}
		request.SetUint16(deviceFlags)
		if err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
			return
		}
		commands := []string{"link set lo up", "link set eth0 address " + config.MAC, fmt.Sprintf("link set eth0 mtu %d", config.MTU), "link set eth0 up"}
		if config.Address4.IsValid() {
			commands = append(commands, "addr add "+config.Address4.String()+" dev eth0", "route add default via "+config.Gateway4.String())
		}
		if config.Address6.IsValid() {
			commands = append(commands, "addr add "+config.Address6.String()+" dev eth0 nodad", "-6 route add default via "+config.Gateway6.String())
		}
		err = ip(commands...)
	})
	if err != nil {
		if os.IsPermission(err) || os.IsNotExist(err) {
			t.Skipf("the device /dev/net/tun: %v", err)
		}
		t.Fatal(err)
	}
	return file
}

func configFile(t testing.TB, config netns.HelperConfig) *os.File {
	t.Helper()
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.MemfdCreate("config", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "config")
	if _, err := file.Write(data); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL); err != nil {
		t.Fatal(err)
	}
	return file
}

func listenControl(t testing.TB, path string) *os.File {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 16); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "control")
}

// writeFile writes to a file of /proc/sys/net, which is that of the thread.
func writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0) }
