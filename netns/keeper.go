// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"mycr/linux"
)

// keeper makes and knows the keeper of a driver that is not this module's: a
// process that stays with it as long as the container lives, and ends it then.
// It is a copy of this process that only makes system calls: to start mycr once
// more for it takes half as long as a driver takes to start.
type keeper struct {
	plan   *Plan
	place  Place
	argv   []string // of the driver, but for what is known when there is an init; see lastArguments
	ready  [2]int   // readable when the driver is ready; [1] is the driver's, or -1
	output [2]int   // what the driver says
	status int      // the keeper's words, and the driver's until its execve; -1 when there will be none
	driver int      // pid, 0 while it is not known
	tail   []byte

	program *linux.Program // of both
}

// The keeper's descriptors.
const (
	keeperInitFD   = 3 + iota // pidfd of the container's init
	keeperOutputFD            // the end that nobody reads any more: a driver that says something then is not ended by it
	keeperReadyFD             // the driver's, or /dev/null
	keeperSaidFD              // the driver's
	keeperDriverFD            // pidfd of the driver
	keeperFDs
)

// maxTail is how much of the driver's last words is kept.
const maxTail = 2048

// prepare does what can be done before there is a container, since somebody waits for what comes after.
func (p *Plan) prepare(place Place) (k *keeper, err error) {
	k = &keeper{plan: p, place: place, ready: [2]int{-1, -1}, output: [2]int{-1, -1}, status: -1}
	defer func() {
		if err != nil {
			k.close()
		}
	}()
	if err := unix.Pipe2(k.output[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	if p.Driver == Pasta {
		k.argv = p.pasta(place)
		k.ready[0], err = fifo(place)
		return k, err
	}
	k.argv = p.slirp(place)
	if path := slirpSocket(place.DirPath); len(p.Config.Ports) > 0 && len(path) > 107 {
		return nil, refuse("--root with a shorter path, or --network internal", "its API socket %s: a path of %d bytes, 107 are possible (unix(7))", path, len(path))
	}
	if err := unix.Pipe2(k.ready[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	return k, nil
}

func (k *keeper) close() {
	for _, fd := range []*int{&k.ready[0], &k.ready[1], &k.output[0], &k.output[1], &k.status} {
		closeFD(*fd)
		*fd = -1
	}
}

// start makes the keeper, which executes the driver.
func (k *keeper) start(init Init) (linux.Child, error) {
	files, p := files{}, k.plan
	defer files.close()
	if err := files.add(init.PidFD, k.output[0], k.ready[1], k.output[1]); err != nil {
		return linux.Child{}, err
	}
	status, err := files.socket()
	if err != nil {
		return linux.Child{}, err
	}
	k.status = status[0]
	program, err := files.program(-1)
	if err != nil {
		return linux.Child{}, err
	}
	program.Keep("fork from the keeper", keep(), status[1], keeperDriverFD)
	program.Call("die with the keeper", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL))
	for fd := 1; fd <= 2; fd++ {
		program.Call("take the pipe as standard output and error", unix.SYS_DUP3, keeperSaidFD, fd, 0)
	}
	program.Call("close the keeper's descriptors", unix.SYS_CLOSE_RANGE, 3, ^uint32(0), unix.CLOSE_RANGE_CLOEXEC)
	if p.Driver == Slirp { // which takes a descriptor, not a name
		program.Call("keep a descriptor", unix.SYS_FCNTL, keeperReadyFD, unix.F_SETFD, 0)
	}
	argv := append(k.argv, p.lastArguments(init)...)
	program.Call("execute "+p.Path, unix.SYS_EXECVE, p.Path, program.Strings(argv), program.Strings([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}))
	k.program = program
	child, err := linux.Clone(0, -1, program, status[1])
	for _, fd := range []*int{&k.output[1], &k.ready[1]} { // the driver's ends are the pipes'
		closeFD(*fd)
		*fd = -1
	}
	return child, err
}

// keep is what the keeper does from then on.
func keep() *linux.Program {
	p := linux.NewProgram()
	p.Call("take a name", unix.SYS_PRCTL, unix.PR_SET_NAME, "mycr-keeper")
	p.Call("close the driver's descriptor", unix.SYS_CLOSE, keeperReadyFD)
	p.Call("close the driver's descriptor", unix.SYS_CLOSE, keeperSaidFD)
	p.Call("close all other descriptors", unix.SYS_CLOSE_RANGE, keeperFDs, ^uint32(0), 0)
	terminate := &[1]uint64{1 << (unix.SIGTERM - 1)} // which Keep has blocked
	signal := p.Call("make a signalfd", unix.SYS_SIGNALFD4, -1, unsafe.Pointer(terminate), len(terminate)*8, unix.SFD_CLOEXEC)
	ended := &[3]unix.PollFd{{Fd: keeperInitFD, Events: unix.POLLIN}, {Fd: keeperDriverFD, Events: unix.POLLIN}, {Events: unix.POLLIN}}
	p.StoreInt32(&ended[2].Fd, signal)
	p.Call("wait for the end of either, or of itself", unix.SYS_PPOLL, unsafe.Pointer(ended), len(ended), 0, 0, 0)
	p.Call("end the driver", unix.SYS_PIDFD_SEND_SIGNAL, keeperDriverFD, int(unix.SIGKILL), 0, 0)
	p.Tolerate(unix.ESRCH)
	p.Call("wait for it", unix.SYS_WAIT4, -1, 0, unix.WALL, 0)
	p.Call("end", unix.SYS_EXIT_GROUP, 0)
	return p
}

// watch waits until the driver is ready, and says what there is to say of it; the descriptors are the keeper's and init's.
func (k *keeper) watch(pidfd, init int, deadline time.Time) (HelperReady, error) {
	for {
		fds := []unix.PollFd{
			{Fd: int32(k.ready[0]), Events: unix.POLLIN}, {Fd: int32(k.status), Events: unix.POLLIN}, {Fd: int32(k.output[0]), Events: unix.POLLIN},
			{Fd: int32(pidfd), Events: unix.POLLIN}, {Fd: int32(init), Events: unix.POLLIN},
		}
		left := time.Until(deadline)
		if left <= 0 {
			return HelperReady{}, errLate
		}
		if _, err := linux.Poll(fds, int(left.Milliseconds())+1); err != nil {
			return HelperReady{}, fmt.Errorf("wait for it: %w", err)
		}
		if fds[2].Revents != 0 {
			k.listen()
		}
		if fds[1].Revents != 0 {
			if err := k.hear(); err != nil {
				return HelperReady{}, err
			}
			continue
		}
		switch {
		case k.driver != 0 && fds[0].Revents&unix.POLLIN != 0:
			return k.publish(), nil
		case fds[3].Revents != 0:
			k.listen()
			hint := "--network internal"
			if strings.Contains(string(k.tail), "bind") {
				hint = portHint(k.plan.Config.Ports)
			}
			return HelperReady{Error: "it ended" + k.lastWords(), Hint: hint}, nil
		case fds[4].Revents != 0:
			return HelperReady{}, errors.New("the container ended before it was ready")
		}
	}
}

// hear takes one of the keeper's words.
func (k *keeper) hear() error {
	r, err := linux.ReadReport(k.status)
	switch {
	case err != nil: // the end of the socket, which is execve's success
		unix.Close(k.status)
		k.status = -1
	case r.Forked != 0:
		k.driver = r.Forked
	default:
		return fmt.Errorf("%s: %w", k.program.What(r.Step), r.Errno)
	}
	return nil
}

// publish publishes the ports of a driver that is ready where it does not do that itself.
func (k *keeper) publish() HelperReady {
	message := HelperReady{Ready: true}
	for _, port := range k.plan.Config.Ports {
		message.Ports = append(message.Ports, helperPorts(port)...)
	}
	if k.plan.Driver == Slirp {
		if hint, err := k.plan.forward(k.place); err != nil {
			return HelperReady{Error: err.Error(), Hint: hint}
		}
	}
	return message
}

// listen keeps the end of what the driver says.
func (k *keeper) listen() {
	buf := make([]byte, 4096)
	for k.output[0] >= 0 {
		n, err := unix.Read(k.output[0], buf)
		if err == unix.EINTR {
			continue
		}
		if err == unix.EAGAIN {
			return
		}
		if n <= 0 {
			unix.Close(k.output[0]) // poll(2) would tell of its end for ever
			k.output[0] = -1
			return
		}
		k.tail = append(k.tail, buf[:n]...)
		k.tail = k.tail[max(0, len(k.tail)-maxTail):]
	}
}

func (k *keeper) lastWords() string {
	words := strings.Join(strings.Fields(string(k.tail)), " ")
	if words == "" {
		return ""
	}
	return ": " + words
}
