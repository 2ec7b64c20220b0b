// SPDX-License-Identifier: Apache-2.0

package engines

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mycr/integration/testbed"
)

// terminal is a program of the sessions: terminal ROWSxCOLUMNS COMMAND... runs the command on a terminal of its own and
// prints what that showed. Its input says what the person before it does:
//
//	wait TEXT             until the terminal has shown it, since the last wait
//	type TEXT             and the return key
//	key N                 a key by its number in octal, as control-p is 020
//	resize ROWSxCOLUMNS
//
// The status is the command's, or 125 where it is the terminal's own trouble.
func terminal(args []string) int {
	status, err := onTerminal(args)
	if err != nil {
		fmt.Println("terminal:", err)
		return 125
	}
	return status
}

// A screen is what a terminal has shown.
type screen struct {
	mu    sync.Mutex
	shown strings.Builder
	seen  int // what wait has gone past
	ended bool

	resized *os.File // the master, once it was resized
}

func onTerminal(args []string) (int, error) {
	if len(args) < 2 {
		return 0, fmt.Errorf("terminal ROWSxCOLUMNS COMMAND")
	}
	fd, slave, err := testbed.OpenTerminal(0)
	if err != nil {
		return 0, err
	}
	master := os.NewFile(uintptr(fd), "/dev/ptmx")
	defer master.Close()
	if err := resize(master, args[0]); err != nil {
		return 0, err
	}
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	if err := testbed.Start(cmd); err != nil {
		return 0, err
	}
	slave.Close()
	s := &screen{}
	gone := make(chan struct{})
	go func() {
		s.watch(master)
		close(gone)
	}()
	acted := s.act(master)
	if acted != nil {
		unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // and whoever else has the terminal, or watch never ends
	}
	testbed.Finish(cmd)
	<-gone
	fmt.Print(s.shown.String())
	return testbed.ExitStatus(cmd.ProcessState), acted
}

func resize(master *os.File, size string) error {
	var ws unix.Winsize
	if _, err := fmt.Sscanf(size, "%dx%d", &ws.Row, &ws.Col); err != nil {
		return fmt.Errorf("size %q: %w", size, err)
	}
	return unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &ws)
}

// watch reads until nobody has the terminal.
func (s *screen) watch(master *os.File) {
	var buffer [4096]byte
	for {
		n, err := master.Read(buffer[:])
		s.mu.Lock()
		s.shown.Write(buffer[:n])
		s.ended = err != nil
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// act does what the input says.
func (s *screen) act(master *os.File) error {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		var err error
		switch verb {
		case "wait":
			err = s.wait(rest)
		case "type":
			_, err = fmt.Fprintf(master, "%s\r", rest)
		case "key":
			var key byte
			if _, err = fmt.Sscanf(rest, "%o", &key); err == nil {
				_, err = master.Write([]byte{key})
			}
		case "resize":
			s.resized, err = master, resize(master, rest)
		default:
			err = fmt.Errorf("it cannot %q", verb)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *screen) wait(text string) error {
	begin := time.Now()
	nudged := begin
	for deadline := begin.Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if s.resized != nil && time.Since(nudged) > 5*time.Second {
			// Docker's client tells the size and then asks for SIGWINCH; one that comes in between is lost. A person's
			// hand moves longer than that.
			if group, err := unix.IoctlGetInt(int(s.resized.Fd()), unix.TIOCGPGRP); err == nil {
				unix.Kill(-group, unix.SIGWINCH)
			}
			nudged = time.Now()
		}
		s.mu.Lock()
		at := strings.Index(s.shown.String()[s.seen:], text)
		if at >= 0 {
			s.seen += at + len(text)
		}
		ended := s.ended
		s.mu.Unlock()
		if at >= 0 {
			return nil
		}
		if ended || time.Now().After(deadline) {
			return fmt.Errorf("it has not shown %q", text)
		}
	}
}
