// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"
	"os"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/hooks"
	"mycr/linux"
	"mycr/userns"
)

// preferFault returns what the child has already said, since its end is often
// why the parent fails; else err.
func (m *maker) preferFault(err error) error {
	unix.SetsockoptTimeval(m.parent, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 1})
	if _, fault := m.hear(); fault != nil && !errors.Is(fault, errSilent) {
		return fault
	}
	return err
}

// hear waits for the child's next word and turns its faults into errors.
func (m *maker) hear() (message, error) {
	for {
		msg, err := hear(m.parent)
		if err != nil {
			return msg, err
		}
		if r, ok := linux.ParseReport(append([]byte{msg.word}, msg.rest...)); ok {
			return msg, explain(&userns.StepError{Step: m.program.What(r.Step), Errno: r.Errno})
		}
		switch msg.word {
		case wordFault:
			var f Fault
			if err := unmarshal(msg.rest, &f); err != nil {
				return msg, err
			}
			return msg, &faultError{f}
		case wordTerminal:
			if m.process.Master, err = checkMaster(msg.fds); err != nil {
				return msg, err
			}
			continue
		}
		return msg, nil
	}
}

// await waits for one word; a child that ends without a word is told by how it ended.
func (m *maker) await(word byte) (message, error) {
	msg, err := m.hear()
	if errors.Is(err, errSilent) {
		status, werr := linux.Wait(m.process.PID)
		if werr != nil {
			return msg, werr
		}
		m.process.PID = 0
		return msg, fmt.Errorf("the container's init ended before it was ready: %s", describeEnd(status))
	}
	if err == nil && msg.word != word {
		err = fmt.Errorf("expected %q from the container's init, heard %q", word, msg.word)
	}
	return msg, err
}

func describeEnd(status unix.WaitStatus) string {
	if status.Signaled() {
		return fmt.Sprintf("signal %d (%s)", status.Signal(), status.Signal())
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

// abort takes everything back after a failure.
func (m *maker) abort(cause error) error {
	if m.c.destroyed { // by a poststart hook's failure
		linux.Wait(m.process.PID)
		m.c.dir.close()
		return cause
	}
	if m.process.PID > 0 {
		unix.PidfdSendSignal(m.process.PidFD, unix.SIGKILL, nil, 0)
		if _, err := linux.Wait(m.process.PID); err != nil {
			cause = errors.Join(cause, err)
		}
		unix.Close(m.process.PidFD)
	}
	if m.driver != nil {
		m.driver.Abort()
	}
	if m.group != nil {
		if err := m.group.Undo(removeForeign); err != nil {
			cause = errors.Join(cause, err)
		}
	}
	if m.process.Master != nil {
		m.process.Master.Close()
	}
	m.process.Notify.Close()
	if m.parent >= 0 {
		unix.Close(m.parent)
	}
	if m.options.PidFile != "" && !m.c.record.Creating {
		os.Remove(m.options.PidFile)
	}
	if err := m.c.root.removeDir(m.options.ID, m.c.dir); err != nil {
		cause = errors.Join(cause, err)
	}
	m.c.dir.close()
	if m.hooked {
		if err := m.c.runHooks(hooks.Poststop, m.plan.hooks.Poststop, specs.StateStopped); err != nil {
			cause = errors.Join(cause, err)
		}
	}
	return cause
}
