// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mycr/linux"
)

// keeperWord is the argument of a keeper.
const keeperWord = "keeper"

// IsKeeper tells whether the arguments are those of a keeper.
func IsKeeper(args []string) bool { return len(args) == 2 && args[1] == keeperWord }

// keeperUserFD is the container's user namespace: a keeper has no device.
const keeperUserFD = HelperTapFD

// keeperOrders are all that a keeper needs to know. What is read from them is on the way to the network: they are few.
type keeperOrders struct {
	Driver, Path string
	Argv         []string // of the driver, but for what only the keeper knows; see lastArguments
	OwnUser      bool     // the container has a user namespace of its own
	Timeout      time.Duration
	Ports        []Port
	Address4     netip.Addr // the container's, for ports
}

// Keeper stays with a driver that is not this module's: it starts it, tells
// when it is ready, and ends it when the container's init has ended. When the
// driver ends, the keeper does. It returns an exit status.
func Keeper() int {
	runtime.LockOSThread() // the driver dies with the thread that made it
	k := &keeper{}
	line, err := k.begin()
	if err != nil {
		line = readyLine(HelperReady{Error: err.Error(), Hint: k.hint})
	}
	if _, werr := unix.Write(HelperReadyFD, line); err == nil {
		err = werr
	}
	unix.Close(HelperReadyFD)
	if err == nil {
		k.watch(-1)
	}
	k.end()
	if err != nil {
		return 1
	}
	return 0
}

func readyLine(message HelperReady) []byte {
	line, _ := json.Marshal(message) // numbers and strings
	return append(line, '\n')
}

type keeper struct {
	orders  keeperOrders
	init    int            // pid
	program *linux.Program // of the driver, but for its execve
	said    int            // write end of output, the driver's
	ready   [2]int         // readable when the driver is ready; [1] is the driver's
	driver  linux.Child
	output  int // read end of what the driver says
	tail    []byte
	signals chan os.Signal
	wake    int // eventfd that a signal makes readable
	hint    string
}

// maxTail is how much of the driver's last words is kept.
const maxTail = 2048

// begin returns what is to be said of a driver that is ready.
func (k *keeper) begin() (line []byte, err error) {
	k.output, k.wake = -1, -1
	var st unix.Stat_t
	if err := unix.Fstat(HelperConfigFD, &st); err != nil {
		return nil, fmt.Errorf("a keeper is started by mycr: %w", err)
	}
	data := make([]byte, st.Size)
	if _, err := unix.Pread(HelperConfigFD, data, 0); err != nil {
		return nil, fmt.Errorf("read the keeper's orders: %w", err)
	}
	if err := json.Unmarshal(data, &k.orders); err != nil {
		return nil, fmt.Errorf("the keeper's orders: %w", err)
	}
	if k.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make an eventfd: %w", err)
	}
	k.signals = make(chan os.Signal, 1)
	signal.Notify(k.signals, unix.SIGTERM, unix.SIGINT)
	go func() {
		<-k.signals
		unix.Write(k.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}()
	if err := k.prepare(); err != nil {
		return nil, err
	}
	if k.init, err = AwaitInit(); err != nil {
		return nil, err
	}
	return k.start()
}

// prepare does what can be done before there is a container, since somebody waits for what comes after.
func (k *keeper) prepare() error {
	var output [2]int
	if err := unix.Pipe2(output[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	k.output, k.said = output[0], output[1]
	k.ready = [2]int{HelperControlFD, -1} // pasta's FIFO
	if k.orders.Driver == Slirp {
		if err := unix.Pipe2(k.ready[:], unix.O_CLOEXEC); err != nil {
			return fmt.Errorf("make a pipe: %w", err)
		}
	}
	p := linux.NewProgram()
	p.Call("die with the keeper", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL))
	p.Call("take the pipe as stderr", unix.SYS_DUP3, k.said, 2, 0)
	p.Call("take the pipe as stdout", unix.SYS_DUP3, k.said, 1, 0)
	p.Call("close the keeper's descriptors", unix.SYS_CLOSE_RANGE, 3, ^uint32(0), unix.CLOSE_RANGE_CLOEXEC)
	if k.orders.Driver == Slirp { // which takes a descriptor, not a name
		p.Call("keep a descriptor", unix.SYS_FCNTL, k.ready[1], unix.F_SETFD, 0)
	}
	k.program = p
	return nil
}

// start executes the driver and waits until it says that it is ready.
func (k *keeper) start() (line []byte, err error) {
	p := k.program
	argv := append(k.orders.Argv, k.lastArguments(k.ready[1])...)
	p.Call("execute it", unix.SYS_EXECVE, k.orders.Path, p.Strings(argv), p.Strings([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}))
	if k.driver, err = run(p); err != nil {
		return nil, fmt.Errorf("execute %s: %w", k.orders.Path, err)
	}
	unix.Close(k.said)
	if k.orders.Driver == Slirp {
		unix.Close(k.ready[1]) // the driver's end is the pipe's
	}
	message := HelperReady{Ready: true, Driver: k.driver.PID}
	for _, p := range k.orders.Ports {
		message.Ports = append(message.Ports, helperPorts(p)...)
	}
	line = readyLine(message) // while the driver starts
	if err := k.watch(k.ready[0]); err != nil {
		return nil, err
	}
	unix.Close(k.ready[0])
	if k.orders.Driver == Slirp {
		return line, k.forward()
	}
	return line, nil
}

// watch waits until ready is readable, or, for -1, until the driver or the
// container ends.
func (k *keeper) watch(ready int) error {
	deadline := time.Now().Add(k.orders.Timeout)
	for {
		fds := []unix.PollFd{
			{Fd: int32(HelperPidfdFD), Events: unix.POLLIN}, {Fd: int32(k.driver.PidFD), Events: unix.POLLIN},
			{Fd: int32(k.output), Events: unix.POLLIN}, {Fd: int32(k.wake), Events: unix.POLLIN}, {Fd: int32(ready), Events: unix.POLLIN},
		}
		timeout := -1
		if ready >= 0 {
			if timeout = int(time.Until(deadline).Milliseconds()); timeout <= 0 {
				k.hint = "--network-timeout 30s, or --network internal"
				return fmt.Errorf("it was not ready within %v%s", k.orders.Timeout, k.lastWords())
			}
		}
		if _, err := linux.Poll(fds, timeout); err != nil {
			return fmt.Errorf("wait for the driver: %w", err)
		}
		if fds[2].Revents != 0 {
			k.listen()
		}
		switch {
		case fds[4].Revents&unix.POLLIN != 0:
			return nil
		case fds[1].Revents != 0:
			k.listen()
			k.hint = "--network internal"
			if strings.Contains(string(k.tail), "bind") {
				k.hint = portHint(k.orders.Ports)
			}
			return fmt.Errorf("it ended%s", k.lastWords())
		case fds[0].Revents != 0:
			return fmt.Errorf("the container ended before it was ready")
		case fds[3].Revents != 0:
			return fmt.Errorf("the keeper was told to end")
		}
	}
}

// listen keeps the end of what the driver says.
func (k *keeper) listen() {
	buf := make([]byte, 4096)
	for k.output >= 0 {
		n, err := unix.Read(k.output, buf)
		if err == unix.EINTR {
			continue
		}
		if err == unix.EAGAIN {
			return
		}
		if n <= 0 {
			unix.Close(k.output) // poll(2) would tell of its end for ever
			k.output = -1
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

// end kills the driver, and waits for it.
func (k *keeper) end() {
	if k.driver.PID == 0 {
		return
	}
	unix.PidfdSendSignal(k.driver.PidFD, unix.SIGKILL, nil, 0)
	linux.Wait(k.driver.PID)
}
