// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"mycr/cgroupdelegate"
	"mycr/container"
	"mycr/linux"
)

// stats prints what containers use.
type stats struct {
	format   string
	stream   bool
	interval time.Duration
}

func (*stats) about() about {
	return about{
		usage: "[flags] [ID...]", does: "print what containers use of CPU, memory, processes and devices", most: -1,
		more: "Without an ID it is all that run. CPU % is of one CPU, in the interval; MEM USAGE is without what the kernel\n" +
			"keeps of files and can drop at once; the limit is the host's memory where there is none. PRESSURE is the share\n" +
			"of the last 10 seconds in which a process waited for CPU, memory and IO; THROTTLED is how long a quota stopped\n" +
			"the processes. The numbers of json are the kernel's, in bytes and microseconds.",
	}
}

func (t *stats) flags(f *pflag.FlagSet) {
	f.StringVarP(&t.format, "format", "f", "table", "`table|json` form of the numbers; json has an array in each line")
	f.BoolVar(&t.stream, "stream", false, "go on until the containers have ended")
	f.DurationVar(&t.interval, "interval", 0, "`DURATION` that CPU % is of, with --stream until the next (default 100ms, with --stream 1s)")
	f.Lookup("interval").DefValue = ""
}

func (t *stats) run(s *session, ids []string) (int, error) {
	switch {
	case !oneOf(t.format, "table json"):
		return 1, fmt.Errorf("invalid format option: --format %q is none of table, json", t.format)
	case t.interval < 0:
		return 1, fmt.Errorf("--interval: %v is negative", t.interval)
	case t.interval == 0 && t.stream:
		t.interval = time.Second
	case t.interval == 0:
		t.interval = 100 * time.Millisecond
	}
	root, err := s.openRoot()
	if err != nil {
		return 1, err
	}
	before, err := takeSamples(root, ids)
	if err != nil {
		return 1, err
	}
	for {
		if t.stream || len(before) > 0 {
			linux.Poll(nil, int(min(t.interval/time.Millisecond, 1<<30)))
		}
		after, err := takeSamples(root, ids)
		if t.stream && len(ids) > 0 && len(after) == 0 && isOver(err) {
			return 0, nil
		}
		if err != nil && (!t.stream || !isOver(err)) {
			return 1, err
		}
		if err := t.print(usages(before, after)); err != nil || !t.stream {
			return 0, err
		}
		before = after
	}
}

// isOver tells the end of a container from an error.
func isOver(err error) bool {
	return errors.Is(err, container.ErrNotRunning) || errors.Is(err, container.ErrNotExist) || errors.Is(err, cgroupdelegate.ErrGone)
}

// sample is what a container has used until a moment.
type sample struct {
	id, cgroup string
	at         time.Time
	stats      *cgroupdelegate.Stats // nil without a cgroup
}

// takeSamples looks at the containers named, or at all that run. Of those named,
// an error is the first one's; the samples are of the others.
func takeSamples(root *container.Root, ids []string) (samples []sample, err error) {
	if len(ids) > 0 {
		for _, id := range ids {
			one, oneErr := takeSample(root, id, true)
			if oneErr == nil {
				samples = append(samples, one)
			} else if err == nil || isOver(err) {
				err = oneErr
			}
		}
		return samples, err
	}
	states, unread := root.List()
	for _, state := range states {
		if state.Status == specs.StateStopped || state.Status == specs.StateCreating {
			continue
		}
		one, err := takeSample(root, state.ID, false)
		if err == nil {
			samples = append(samples, one)
		} else if !isOver(err) {
			unread = append(unread, fmt.Errorf("%s: %w", state.ID, err))
		}
	}
	return samples, errors.Join(unread...)
}

// takeSample is of one container; with need one without a cgroup is an error.
func takeSample(root *container.Root, id string, need bool) (sample, error) {
	c, err := root.Load(id)
	if err != nil {
		return sample{}, err
	}
	defer c.Close()
	state := c.State()
	if state.PID == 0 {
		return sample{}, fmt.Errorf("%s: %w", id, container.ErrNotRunning)
	}
	one := sample{id: id, cgroup: state.Cgroup, at: time.Now()}
	if need || c.HasCgroup() {
		one.stats, err = c.Stats()
	}
	return one, err
}

// usage is what is printed of a container.
type usage struct {
	ID     string `json:"id"`
	Cgroup string `json:"cgroup"` // who made it, and its path; or why there is none, and so no numbers
	// CPUPercent is of one CPU, between two samples.
	CPUPercent *float64 `json:"cpuPercent,omitempty"`
	*cgroupdelegate.Stats
}

// usages compares two rounds of samples; what was in one of them only has begun
// or ended meanwhile.
func usages(before, after []sample) []usage {
	list := []usage{}
	for _, a := range after {
		u := usage{ID: a.id, Cgroup: a.cgroup, Stats: a.stats}
		for _, b := range before {
			if b.id == a.id && b.cgroup == a.cgroup {
				u.CPUPercent = cpuPercent(&b, &a)
			}
		}
		list = append(list, u)
	}
	return list
}

func cpuPercent(before, after *sample) *float64 {
	elapsed := after.at.Sub(before.at)
	if before.stats == nil || before.stats.CPU == nil || after.stats == nil || after.stats.CPU == nil || elapsed <= 0 {
		return nil
	}
	from, to := before.stats.CPU.UsageUsec, after.stats.CPU.UsageUsec
	percent := 0.0
	if to > from { // else it is another container of that id
		percent = 100 * float64(to-from) / (float64(elapsed) / float64(time.Microsecond))
	}
	return &percent
}

func (t *stats) print(list []usage) error {
	if t.format == "json" {
		text, err := json.Marshal(list)
		if err != nil {
			return err
		}
		return output(append(text, '\n'))
	}
	text := usageTable(list, hostMemory())
	if t.stream && term.IsTerminal(1) {
		text = append([]byte("\x1b[H\x1b[2J"), text...) // to the first line, and nothing below; see console_codes(4)
	}
	return output(text)
}
