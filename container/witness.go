// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"path"

	"golang.org/x/sys/unix"

	"mycr/cgroupdelegate"
	"mycr/linux"
)

// Witness keeps what the kernel counts of a container until its end. The numbers
// go with the cgroup, and systemd removes that of a scope at the moment at which
// it has no process left, often before who waits for the process has read them.
// So the files are read whenever they change, and the cgroup above is asked in
// the end, which adds up what was below it.
type Witness struct {
	id           string
	path, limits string            // of the container's Group
	before       map[string]string // files of the cgroup above, when the container began
	kept         map[string]string // files of the container's cgroups, when they last changed
	stop         int               // eventfd, or -1 where the cgroup stays until delete
	done         chan struct{}
}

// Witness begins. It ends with Verdict.
func (c *Container) Witness() *Witness {
	g := &c.record.Cgroup
	w := &Witness{id: c.record.ID, path: g.Path, limits: g.Limits, stop: -1}
	if g.Path == "" || g.Unit == "" {
		return w
	}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return w // then only the end is looked at
	}
	w.before, _ = readFiles(aboveFiles[:], path.Dir(w.limits))
	w.stop, w.done = stop, make(chan struct{})
	go w.watch()
	return w
}

// Verdict says which limits the kernel enforced on a container that has ended
// with this exit status, a line each; none where it ended well.
func (w *Witness) Verdict(status int) []string {
	if w.stop >= 0 {
		unix.Write(w.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		<-w.done
		unix.Close(w.stop)
	}
	if status == 0 || w.path == "" {
		return nil
	}
	v := verdict{id: w.id, path: w.path, limits: w.limits, killed: status == 128+int(unix.SIGKILL)}
	files, err := w.look()
	if err != nil {
		files, v.gone, v.before = w.kept, true, w.before
	}
	v.read = func(cgroup, file string) string {
		if cgroupdelegate.Within(cgroup, w.limits) {
			return files[path.Join(cgroup, file)]
		}
		text, _ := readFiles([]string{file}, cgroup) // what cannot be read is not told
		return text[path.Join(cgroup, file)]
	}
	return v.lines()
}

// The files that verdict reads, of the container's cgroups and of the one above.
var (
	ownFiles = [...]string{
		"memory.events", "memory.events.local", "memory.max", "memory.peak",
		"pids.events", "pids.max", "pids.peak",
	}
	aboveFiles = [...]string{"memory.events", "memory.events.local"}
)

// look reads the container's cgroups, all or nothing: half of them are another story.
func (w *Witness) look() (map[string]string, error) {
	if w.path == w.limits {
		return readFiles(ownFiles[:], w.limits)
	}
	return readFiles(ownFiles[:], w.path, w.limits)
}

// readFiles returns the texts by their paths. A file that is not there is left
// out; a cgroup that is not there is an error.
func readFiles(files []string, cgroups ...string) (map[string]string, error) {
	texts := make(map[string]string, len(files)*len(cgroups))
	for _, name := range cgroups {
		c, err := cgroupdelegate.Open(name)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			text, err := c.Read(file)
			if errors.Is(err, cgroupdelegate.ErrGone) {
				c.Close()
				return nil, err
			}
			if err == nil {
				texts[path.Join(name, file)] = text
			}
		}
		c.Close()
	}
	return texts, nil
}

// calm is how many milliseconds the files are left alone after they were read:
// those of a container that lives at its limit change all the time.
const calm = 50

// watch reads the files when the kernel says that they have changed, with
// POLLPRI (cgroups(7)), until it is stopped or the cgroup is gone.
func (w *Witness) watch() {
	defer close(w.done)
	poll := []unix.PollFd{{Fd: int32(w.stop), Events: unix.POLLIN}}
	for _, file := range [...]string{path.Join(w.limits, "memory.events"), path.Join(w.path, "pids.events"), path.Join(w.limits, "pids.events")} {
		fd, err := unix.Open(cgroupdelegate.MountPoint+file, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			continue // no controller
		}
		defer unix.Close(fd)
		poll = append(poll, unix.PollFd{Fd: int32(fd), Events: unix.POLLPRI})
	}
	for first := true; poll[0].Revents == 0; first = false {
		for _, p := range poll[1:] {
			unix.Pread(int(p.Fd), make([]byte, 256), 0) // or the same change is told again
		}
		texts, err := w.look()
		if err != nil {
			return
		}
		w.kept = texts
		if !first {
			linux.Poll(poll[:1], calm)
		}
		if poll[0].Revents == 0 {
			linux.Poll(poll, -1)
		}
	}
}
