// SPDX-License-Identifier: Apache-2.0

package container

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/idmap"
	"mycr/linux"
)

// withAllIDs runs a few system calls as root of a user namespace that has our
// own id and all subordinate ones: what is theirs is not an ordinary user's
// outside. steps adds the calls, with ids as ids has them.
func withAllIDs(facts idmap.Facts, steps func(p *linux.Program, ids *idmap.Plan) error) error {
	ids, err := idmap.Resolve(&specs.Linux{}, specs.User{}, facts)
	if err != nil {
		return err
	}
	mapped, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make an eventfd: %w", err)
	}
	defer unix.Close(mapped)
	p := linux.NewProgram()
	p.OwnMemory()
	p.Call("die with the parent", unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, int(unix.SIGKILL))
	p.Call("wait for the ids", unix.SYS_READ, mapped, make([]byte, 8), 8)
	if err := steps(p, &ids); err != nil {
		return err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make a socket pair: %w", err)
	}
	defer unix.Close(pair[0])
	child, err := linux.Clone(unix.CLONE_NEWUSER, -1, p, pair[1])
	unix.Close(pair[1])
	if err != nil {
		return fmt.Errorf("create a user namespace: %w", err)
	}
	defer unix.Close(child.PidFD)
	if err = ids.Write(child.PID); err == nil {
		_, err = unix.Write(mapped, binary.NativeEndian.AppendUint64(nil, 1))
	}
	if err != nil {
		unix.PidfdSendSignal(child.PidFD, unix.SIGKILL, nil, 0)
	}
	status, werr := linux.Wait(child.PID)
	if err = errors.Join(err, werr); err != nil || status == 0 {
		return err
	}
	if fault, err := linux.ReadReport(pair[0]); err == nil {
		return fmt.Errorf("%s: %w", p.What(fault.Step), fault.Errno)
	}
	return errors.New("a process with all subordinate ids: " + describeEnd(status))
}

// removeForeign removes directories that belong to subordinate ids, and opens
// up others; see cgroupdelegate.Foreign.
func removeForeign(open, remove []string) error {
	if os.Geteuid() == 0 {
		return errors.New("not even root may do so")
	}
	facts, err := idmap.Gather(filepath.Dir(linux.ExePath()))
	if err != nil {
		return err
	}
	return withAllIDs(facts, func(p *linux.Program, _ *idmap.Plan) error {
		for _, name := range open {
			p.Call("make "+name+" readable", unix.SYS_FCHMODAT, unix.AT_FDCWD, name, 0o755)
			p.Tolerate(unix.ENOENT)
		}
		for _, name := range remove {
			p.Call("remove "+name, unix.SYS_UNLINKAT, unix.AT_FDCWD, name, unix.AT_REMOVEDIR)
			p.Tolerate(unix.ENOENT)
		}
		return nil
	})
}
