// SPDX-License-Identifier: Apache-2.0

package linux

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Memfd makes an anonymous file that can be sealed; executable says whether
// execve may run it. Linux before 6.3 does not know the two words for that
// (MFD_EXEC, MFD_NOEXEC_SEAL) and lets every memfd be executed.
func Memfd(name string, executable bool) (int, error) {
	word := unix.MFD_NOEXEC_SEAL
	if executable {
		word = unix.MFD_EXEC
	}
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|word)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		if errors.Is(err, unix.EACCES) && executable {
			return -1, fmt.Errorf("make an executable memfd: %w (sysctl vm.memfd_noexec is 2)", err)
		}
		return -1, fmt.Errorf("make a memfd: %w", err)
	}
	return fd, nil
}

// SealedMemfd makes one that holds data, and is not executable.
func SealedMemfd(name string, data []byte) (int, error) {
	fd, err := Memfd(name, false)
	if err != nil {
		return -1, err
	}
	if n, werr := unix.Write(fd, data); werr != nil || n != len(data) {
		err = fmt.Errorf("write a memfd: %d of %d bytes: %w", n, len(data), werr)
	} else {
		err = Seal(fd)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Seal makes a memfd's content final; see F_ADD_SEALS in fcntl(2).
func Seal(fd int) error {
	const all = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, all); err != nil {
		return fmt.Errorf("seal a memfd: %w", err)
	}
	return nil
}
