// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"mycr/container"
)

// relayed runs a shell's line in a terminal of its own that is relayed from
// input, and returns what came out; with closed nobody reads that.
func relayed(t *testing.T, line, input string, closed bool) string {
	t.Helper()
	master, slave := openPTY(t)
	modes, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	modes.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, modes); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	pidfd := -1
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, PidFD: &pidfd}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	defer unix.Close(pidfd)

	in, typed := pipe(t)
	read, out := pipe(t)
	text := make(chan string)
	if closed {
		read.Close()
	} else {
		go func() {
			b, _ := io.ReadAll(read)
			text <- string(b)
		}()
	}
	r, err := startRelay(int(in.Fd()), int(out.Fd()), &terminal{fd: -1}, &container.Process{PID: cmd.Process.Pid, PidFD: pidfd, Master: master})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := typed.WriteString(input); err != nil {
		t.Fatal(err)
	}
	typed.Close()
	cmd.Wait()
	r.finish()
	out.Close()
	if closed {
		return ""
	}
	return strings.ReplaceAll(<-text, "\r\n", "\n")
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	return os.NewFile(uintptr(fd), "terminal"), slave
}

// Nothing of what was written is lost when the process ends.
func TestRelayDrainsTheTerminal(t *testing.T) {
	want := new(bytes.Buffer)
	for i := range 20000 {
		fmt.Fprintln(want, i)
	}
	for range 3 {
		if got := relayed(t, "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done", "", false); got != want.String() {
			t.Fatalf("%d bytes, not %d", len(got), want.Len())
		}
	}
}

// The end of input reaches a program that reads from its terminal, at the
// beginning of a line and within one.
func TestRelayEndsInput(t *testing.T) {
	for _, input := range []string{"", "a\n", "a\nb"} {
		got := relayed(t, `n=$(cat | wc -c); echo "end $n"`, input, false)
		if got != fmt.Sprintf("end %d\n", len(input)) {
			t.Errorf("%q: %q", input, got)
		}
	}
}

// Much input waits until it is read.
func TestRelayWaitsForTheReader(t *testing.T) {
	input := strings.Repeat(strings.Repeat("x", 99)+"\n", 1000)
	got := relayed(t, `stty -icanon min 1; sleep 0.2; n=$(head -c 100000 | wc -c); echo "end $n"`, input, false)
	if got != "end 100000\n" {
		t.Errorf("%q", got)
	}
}

// A program whose output nobody takes any more ends, as it does on a terminal
// that is gone.
func TestRelayHangsUp(t *testing.T) {
	relayed(t, "trap '' HUP; while echo y; do :; done", "", true)
}

// A terminal that nobody has open is not the end: somebody may open it again.
func TestRelaySurvivesAClosedTerminal(t *testing.T) {
	got := relayed(t, `t=$(tty); echo one; exec <&- >&- 2>&-; sleep 0.3; echo two >$t; exit 0`, "", false)
	if got != "one\ntwo\n" {
		t.Errorf("%q", got)
	}
}
