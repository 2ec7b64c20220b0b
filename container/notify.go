// SPDX-License-Identifier: Apache-2.0

package container

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/linux"
)

// What the process of a container finds where it looks for its service
// manager; see sd_notify(3).
const (
	notifyVariable = "NOTIFY_SOCKET"
	notifyDir      = "/run/notify"
	notifyInside   = notifyDir + "/notify.sock"
	notifyName     = "notify.sock" // of our end in the state directory
)

// decideNotify gives the container the caller's NOTIFY_SOCKET: as a mount, and
// as a variable of the process. A caller that waits puts a socket of its own
// before it, for a service manager believes its main process, which is the
// caller, and no other (NotifyAccess= in systemd.service(5)). A bundle that
// brings one, as podman's do, is left alone.
func (p *plan) decideNotify(o *CreateOptions) error {
	if o.NotifySocket == "" || p.hasVariable(notifyVariable) || p.mountsOn(notifyDir) || p.mountsOn(notifyInside) {
		o.NotifySocket = ""
		return nil
	}
	fd, err := connectNotify(o)
	if err != nil {
		return &withHint{fmt.Errorf("%s=%q: %w", notifyVariable, o.NotifySocket, err), "env -u " + notifyVariable + " mycr …"}
	}
	source := o.NotifySocket
	if o.Foreground {
		source, p.notify = filepath.Join(o.stateDir, notifyName), fd
	} else {
		unix.Close(fd)
	}
	p.spec.Mounts = append(p.spec.Mounts, specs.Mount{
		Destination: notifyInside, Type: "bind", Source: source, Options: []string{"bind", "rprivate", "nosuid", "nodev", "noexec"},
	})
	p.spec.Process.Env = append(p.spec.Process.Env, notifyVariable+"="+notifyInside)
	return nil
}

// connectNotify connects to the service manager, so that a socket that nobody
// reads is told before anything is made.
func connectNotify(o *CreateOptions) (int, error) {
	if path := o.NotifySocket; path[0] != '/' && (path[0] != '@' || !o.Foreground) {
		return -1, fmt.Errorf("not the path of a socket, which alone can be mounted")
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: o.NotifySocket}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (p *plan) hasVariable(name string) bool {
	for _, v := range p.spec.Process.Env {
		if strings.HasPrefix(v, name+"=") {
			return true
		}
	}
	return false
}

// openNotify makes the socket that is mounted, in the state directory. Whoever
// is in the container may write to it; nobody else gets to it.
func (m *maker) openNotify() error {
	if m.plan.notify < 0 {
		return nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("make the socket for %s: %w", notifyVariable, err)
	}
	m.process.Notify = &Notify{From: os.NewFile(uintptr(fd), notifyName), To: m.plan.notify}
	m.plan.notify = -1
	if err := unix.Bind(fd, linux.SocketIn(m.c.dir.fd, notifyName)); err != nil {
		return fmt.Errorf("bind %s/%s: %w", m.c.dir.path, notifyName, err)
	}
	if err := unix.Fchmodat(m.c.dir.fd, notifyName, 0o666, 0); err != nil {
		return fmt.Errorf("%s/%s: %w", m.c.dir.path, notifyName, err)
	}
	return nil
}

// Notify is what a caller that waits has to hand on: datagrams that the
// container sends come From, the service manager is connected as To.
type Notify struct {
	From *os.File
	To   int
}

// Close closes both ends, and is for nil as well.
func (n *Notify) Close() {
	if n == nil {
		return
	}
	n.From.Close()
	unix.Close(n.To)
}
