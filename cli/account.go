// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"mycr/container"
	"mycr/linux"
	"mycr/process"
)

// becomeUser makes p a process of the user that the word names in the
// container's /etc/passwd and /etc/group, in that user's groups.
func becomeUser(c *container.Container, p *specs.Process, word string) error {
	root, err := c.OpenRoot()
	if err != nil {
		return err
	}
	defer unix.Close(root)
	passwd, err := readInRoot(root, "etc/passwd")
	if err != nil {
		return err
	}
	group, err := readInRoot(root, "etc/group")
	if err != nil {
		return err
	}
	account, err := process.LookupUser(passwd, group, word)
	if err != nil {
		return fmt.Errorf("--user: %w", err)
	}
	if account.UID != p.User.UID {
		p.Env = without(p.Env, "HOME") // it was another's
	}
	p.User.UID, p.User.GID, p.User.AdditionalGids = account.UID, account.GID, account.Additional
	return nil
}

// giveHome sets HOME, where the environment has none, as for a container's
// init.
func giveHome(c *container.Container, p *specs.Process) error {
	for _, variable := range p.Env {
		if strings.HasPrefix(variable, "HOME=") {
			return nil
		}
	}
	root, err := c.OpenRoot()
	if err != nil {
		return err
	}
	defer unix.Close(root)
	passwd, err := readInRoot(root, "etc/passwd")
	if err != nil {
		return err
	}
	p.Env = append(p.Env, "HOME="+process.LookupHome(passwd, p.User.UID))
	return nil
}

func without(env []string, name string) []string {
	var kept []string
	for _, variable := range env {
		if !strings.HasPrefix(variable, name+"=") {
			kept = append(kept, variable)
		}
	}
	return kept
}

// mostAccounts is the largest passwd or group that is read, in bytes.
const mostAccounts = 8 << 20

// readInRoot reads a regular file of the container, which may have put a link,
// a FIFO or a device there: links do not lead out of its root, and nothing is
// opened before it is known to be a file. It returns nil where there is none.
func readInRoot(root int, path string) (io.Reader, error) {
	fd, err := linux.Openat2(root, path, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the container's /%s: %w", path, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("the container's /%s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("the container's /%s is not a regular file", path)
	}
	if st.Size > mostAccounts {
		return nil, fmt.Errorf("the container's /%s has %d bytes, too many", path, st.Size)
	}
	text, err := linux.ReadFile("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return nil, fmt.Errorf("read the container's /%s: %w", path, err)
	}
	return bytes.NewReader(text), nil
}
