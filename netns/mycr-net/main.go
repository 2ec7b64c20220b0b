// SPDX-License-Identifier: Apache-2.0

// Go would keep files of the caller's cgroup open, to follow its limit of
// processors.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"

	"golang.org/x/sys/unix"

	"mycr/coldjson"
	"mycr/netns"
	"mycr/netns/mycr-net/sandbox"
)

func main() {
	// One connection's work goes through few hands, and waking another thread for
	// each costs more than it gains: with one processor both throughput and round
	// trips were better (and pasta and slirp4netns have one thread).
	runtime.GOMAXPROCS(1)
	var n *network
	err := sandbox.Begin()
	ready := os.NewFile(netns.HelperReadyFD, "ready")
	if err == nil {
		n, err = start()
	}
	signals := make(chan os.Signal, 1)
	if err == nil {
		// Not before start: Go makes threads for it, of which each would have to enter the sandbox.
		signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
		err = tell(ready, netns.HelperReady{Ready: true, Ports: n.ports.list()})
	}
	if err != nil {
		refusal := netns.HelperReady{Error: err.Error()}
		if known, ok := errors.AsType[*hintError](err); ok {
			refusal.Hint = known.hint
		}
		if err := tell(ready, refusal); err != nil {
			os.Exit(2) // nobody is listening any more
		}
		os.Exit(1)
	}
	os.Exit(n.run(signals))
}

// A hintError is an error with a remedy.
type hintError struct {
	error
	hint string
}

func (e *hintError) Unwrap() error { return e.error }

func tell(ready *os.File, message netns.HelperReady) error {
	line, err := coldjson.Marshal(message)
	if err != nil {
		return err
	}
	if _, err := ready.Write(append(line, '\n')); err != nil {
		return err
	}
	return ready.Close()
}

// start does everything that may fail.
func start() (*network, error) {
	for fd := netns.HelperConfigFD; fd <= netns.HelperInitFD; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return nil, &hintError{fmt.Errorf("descriptor %d: %w", fd, err), "mycr-net is started by mycr; type mycr run --network internal"}
		}
	}
	if err := os.Chdir("/"); err != nil {
		return nil, err
	}
	config, err := configuration()
	if err != nil {
		return nil, err
	}
	n, err := newNetwork(config)
	if err != nil {
		return nil, err
	}
	control, err := openControl()
	if err != nil {
		return nil, err
	}
	go n.serveControl(control)
	// Until now stderr was where last words are heard.
	if err := unix.Dup3(0, 2, 0); err != nil {
		return nil, fmt.Errorf("close stderr: %w", err)
	}
	n.notes, err = sandbox.Enter()
	return n, err
}

func configuration() (*netns.HelperConfig, error) {
	file := os.NewFile(netns.HelperConfigFD, "configuration")
	defer file.Close()
	data, err := io.ReadAll(io.NewSectionReader(file, 0, 1<<24))
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	config := &netns.HelperConfig{}
	if err := coldjson.Unmarshal(data, config); err != nil {
		return nil, fmt.Errorf("the configuration: %w", err)
	}
	if len(os.Args) != 2 || os.Args[1] != config.Version || config.Version != netns.HelperVersion {
		return nil, &hintError{
			fmt.Errorf("mycr asks by the words of version %q, and this is mycr-net of version %q", config.Version, netns.HelperVersion),
			"install mycr and mycr-net of the same build",
		}
	}
	return config, nil
}

// run works until the container ends, or somebody says so. It gives the exit
// status.
func (n *network) run(signals <-chan os.Signal) int {
	ended := make(chan error, 2)
	go func() { ended <- waitExit(netns.HelperPidfdFD) }()
	go func() { ended <- n.link.Run() }()
	status := 0
	select {
	case <-signals:
	case err := <-ended:
		if err != nil {
			status = 1
		}
	}
	close(n.ended)
	n.waiting.Wait()
	return status
}

// waitExit waits for the end of a process.
func waitExit(pidfd int) error {
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, -1)
		if err != unix.EINTR {
			return err
		}
	}
}
