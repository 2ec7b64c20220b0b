// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mycr/coldjson"
	"mycr/linux"
)

// Place is where a driver is started.
type Place struct {
	Dir     int    // the container's state directory
	DirPath string // the same, for an error's words
	OwnUser bool   // the container has a user namespace of its own
}

// ControlName is the socket of mycr-net in a container's state directory.
const ControlName = "network"

// Record is what is kept of a running network; Keeper and the rest are for
// those who have to end it.
type Record struct {
	Driver    string         `json:"driver"`
	Path      string         `json:"path"` // of the driver's executable, as it was found at create
	Keeper    Running        `json:"keeper"`
	Process   Running        `json:"process,omitzero"` // the driver, where it is not the keeper itself
	Device    string         `json:"device"`
	Addresses []netip.Prefix `json:"addresses,omitempty"` // empty: pasta copies the host's
	Gateways  []netip.Addr   `json:"gateways,omitempty"`
	DNS       []netip.Addr   `json:"dns,omitempty"`
	Ports     []HelperPort   `json:"ports,omitempty"`
	Egress    bool           `json:"egress,omitempty"` // mycr-net has a list of what is allowed
}

// Running is a process that cannot be taken for another one of the same pid.
type Running struct {
	PID       int    `json:"pid"`
	StartTime uint64 `json:"startTime"` // field 22 of /proc/PID/stat, in clock ticks after boot
}

// Starting is a driver that may not be ready yet.
type Starting struct {
	plan     *Plan
	keeper   linux.Child // zero while there is none
	other    *keeper     // nil for mycr-net, which is its own
	init     int         // our end of the socket that takes init to mycr-net
	ready    int         // mycr-net's
	pidfd    int         // init's
	deadline time.Time
	patience time.Duration
	ended    bool // and waited for
}

// Launch starts mycr-net while the container is being made, which waits for Give; another driver
// is only prepared. Both go on until the container's init ends.
func (p *Plan) Launch(place Place) (_ *Starting, err error) {
	s := &Starting{plan: p, init: -1, ready: -1, patience: p.Timeout}
	if p.Driver == Internal {
		err = s.launch(place)
	} else {
		s.other, err = p.prepare(place)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("network driver %s: %w", p.name(), err)
	}
	return s, nil
}

func (s *Starting) launch(place Place) error {
	files, p := files{}, s.plan
	defer files.close()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	s.ready = pipe[0]
	defer unix.Close(pipe[1])
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make a socket pair: %w", err)
	}
	s.init = pair[0]
	defer unix.Close(pair[1])
	control, err := listen(place)
	if err != nil {
		return err
	}
	defer unix.Close(control)
	config := p.Config
	config.MAC = deviceMAC.String()
	if err := files.config(config); err != nil {
		return err
	}
	if err := files.add(-1, pipe[1], -1, control, pair[1]); err != nil {
		return err
	}
	// What it says instead of a line of JSON are its last words.
	if s.keeper, err = launch(p.Path, []string{"mycr-net", config.Version}, &files, files.fds[HelperReadyFD-HelperConfigFD]); err != nil {
		return fmt.Errorf("execute %s: %w", p.Path, err)
	}
	return nil
}

func (s *Starting) close() {
	closeFD(s.init)
	closeFD(s.ready)
	s.init, s.ready = -1, -1
	if s.other != nil {
		s.other.close()
	}
}

func closeFD(fd int) {
	if fd >= 0 {
		unix.Close(fd)
	}
}

// listen makes the socket at which mycr-net takes requests, in the state
// directory of the container, which only its owner can enter.
func listen(place Place) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("make its socket: %w", err)
	}
	if err = unix.Bind(fd, linux.SocketIn(place.Dir, ControlName)); err == nil {
		err = unix.Listen(fd, 16)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("listen at %s/%s: %w", place.DirPath, ControlName, err)
	}
	return fd, nil
}

// readyName is the FIFO that pasta writes its pid into. It opens it by name, from a user namespace in which nobody
// can look into its parent's descriptors.
const readyName = "ready"

func fifo(place Place) (int, error) {
	if err := unix.Mkfifoat(place.Dir, readyName, 0o600); err != nil {
		return -1, fmt.Errorf("make the FIFO %s/%s: %w", place.DirPath, readyName, err)
	}
	fd, err := unix.Openat(place.Dir, readyName, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s/%s: %w", place.DirPath, readyName, err)
	}
	return fd, nil
}

// Wait waits until the driver is ready, or says why it is not. dir is the container's state directory,
// init the pid of its init.
func (s *Starting) Wait(dir, init int) (*Record, error) {
	if s.plan.Driver == Pasta {
		defer unix.Unlinkat(dir, readyName, 0)
	}
	message, err := s.await()
	s.close()
	p := s.plan
	switch {
	case errors.Is(err, errLate):
		return nil, refuse("--network-timeout 30s, or --network none", "network driver %s was not ready within %v", p.name(), s.patience)
	case err != nil:
		return nil, fmt.Errorf("network driver %s: %w%s", p.name(), err, s.fate())
	case message.Error != "":
		return nil, refuse(message.Hint, "network driver %s: %s", p.name(), message.Error)
	}
	r := &Record{
		Driver: p.Driver, Path: p.Path, Device: DeviceName, DNS: p.Config.DNS, Ports: message.Ports, Egress: p.Config.Egress != nil,
		Keeper: Running{PID: s.keeper.PID},
	}
	if s.other != nil {
		r.Process.PID = s.other.driver
	}
	for _, process := range []*Running{&r.Keeper, &r.Process} {
		if process.PID == 0 {
			continue
		}
		if _, process.StartTime, err = linux.ProcessStat(process.PID); err != nil {
			return nil, fmt.Errorf("network driver %s ended as soon as it was ready: %w", p.name(), err)
		}
	}
	for _, a := range []netip.Prefix{p.Config.Address4, p.Config.Address6} {
		if a.IsValid() {
			r.Addresses = append(r.Addresses, a)
		}
	}
	if len(r.Addresses) == 0 {
		r.Addresses = addressesOf(init)
	}
	for _, a := range []netip.Addr{p.Config.Gateway4, p.Config.Gateway6} {
		if a.IsValid() {
			r.Gateways = append(r.Gateways, a)
		}
	}
	unix.Close(s.keeper.PidFD)
	s.keeper.PidFD = -1
	return r, nil
}

func (s *Starting) await() (HelperReady, error) {
	if s.other != nil {
		return s.other.watch(s.keeper.PidFD, s.pidfd, s.deadline)
	}
	return readReady(s.ready, s.deadline)
}

// Abort ends a driver whose container could not be made.
func (s *Starting) Abort() {
	s.close()
	if s.keeper.PID == 0 {
		return
	}
	pidfd := s.keeper.PidFD
	if s.ended {
		unix.Close(pidfd)
		return
	}
	if pidfd < 0 { // it was ready; it is our child still, so that its pid is its own
		var err error
		if pidfd, err = unix.PidfdOpen(s.keeper.PID, 0); err != nil {
			return
		}
	}
	// TERM lets a keeper end its driver first; the time is for one that hangs.
	unix.PidfdSendSignal(pidfd, unix.SIGTERM, nil, 0)
	if n, err := linux.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 1000); err != nil || n == 0 {
		unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
	}
	// Also what it may have started: it has a session, whose number is its own until we have waited for it.
	unix.Kill(-s.keeper.PID, unix.SIGKILL)
	unix.Close(pidfd)
	linux.Wait(s.keeper.PID)
}

// parseReady reads the line, or says which words are there instead.
func parseReady(text []byte, message *HelperReady) error {
	if coldjson.Unmarshal(text, message) == nil {
		return nil
	}
	words := strings.Join(strings.Fields(string(text)), " ")
	return fmt.Errorf("it said %q", words[max(0, len(words)-maxTail):])
}

// name is the driver's, with that of its executable where that is another.
func (p *Plan) name() string {
	if p.Driver == Internal {
		return Internal + " (mycr-net)"
	}
	return p.Driver
}

// fate is how the process ended, if it has.
func (s *Starting) fate() string {
	if n, err := linux.Poll([]unix.PollFd{{Fd: int32(s.keeper.PidFD), Events: unix.POLLIN}}, 100); err != nil || n == 0 {
		return ""
	}
	status, err := linux.Wait(s.keeper.PID)
	s.ended = true
	switch {
	case err != nil:
		return ""
	case status.Signaled():
		return fmt.Sprintf(" (signal %d, %s)", status.Signal(), status.Signal())
	}
	return fmt.Sprintf(" (exit status %d)", status.ExitStatus())
}

var errLate = errors.New("not in time")

// readReady reads mycr-net's one line.
func readReady(fd int, deadline time.Time) (HelperReady, error) {
	var message HelperReady
	var text []byte
	buf := make([]byte, 4096)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return message, errLate
		}
		n, err := linux.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err != nil {
			return message, err
		}
		if n == 0 {
			return message, errLate
		}
		n, err = unix.Read(fd, buf)
		if err != nil {
			return message, err
		}
		if n == 0 {
			if len(text) == 0 {
				return message, errors.New("it ended without a word")
			}
			return message, parseReady(text, &message)
		}
		text = append(text, buf[:n]...)
		if err := parseReady(text, &message); err == nil || len(text) > 1<<20 {
			return message, err
		}
	}
}
