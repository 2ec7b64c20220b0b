// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A sample is what one command took, from before it is forked until it is
// waited for. Faults and switches are its own and those of the processes that
// it waited for (getrusage(2)).
type sample struct {
	wall     time.Duration
	faults   int64 // minor and major
	switches int64 // voluntary and involuntary
}

type series []sample

// median is that of each quantity for itself.
func (s series) median() sample {
	return sample{
		wall:     time.Duration(middle(s, func(x sample) int64 { return int64(x.wall) })),
		faults:   middle(s, func(x sample) int64 { return x.faults }),
		switches: middle(s, func(x sample) int64 { return x.switches }),
	}
}

func middle(s series, of func(sample) int64) int64 {
	values := make([]int64, len(s))
	for i, x := range s {
		values[i] = of(x)
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

// quartiles are those of the ratios of this round's sample to the other's.
func quartiles(s, other series) (low, high float64) {
	ratios := make([]float64, min(len(s), len(other)))
	for i := range ratios {
		ratios[i] = float64(s[i].wall) / float64(other[i].wall)
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/4], ratios[len(ratios)*3/4]
}

// measure runs the commands at the same time, and is done when all are. Their
// standard files are /dev/null: a container that is created keeps them.
func (b *bench) measure(commands ...[]string) (sample, error) {
	null := b.null.Fd()
	how := &syscall.ProcAttr{Dir: b.home, Env: b.environment, Files: []uintptr{null, null, null}}
	pids := make([]int, 0, len(commands))
	var sum sample
	var failed error
	begin := time.Now()
	for _, argv := range commands {
		pid, err := syscall.ForkExec(argv[0], argv, how)
		if err != nil {
			failed = fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
			break
		}
		pids = append(pids, pid)
	}
	for i, pid := range pids {
		var status syscall.WaitStatus
		var usage syscall.Rusage
		if _, err := wait(pid, &status, &usage); err != nil {
			return sum, err
		}
		if status != 0 && failed == nil {
			failed = b.explain(commands[i], status)
		}
		sum.faults += usage.Minflt + usage.Majflt
		sum.switches += usage.Nvcsw + usage.Nivcsw
	}
	sum.wall = time.Since(begin)
	return sum, failed
}

func wait(pid int, status *syscall.WaitStatus, usage *syscall.Rusage) (int, error) {
	for {
		got, err := syscall.Wait4(pid, status, 0, usage)
		if err != syscall.EINTR {
			return got, err
		}
	}
}

// explain runs a command that failed without a word once more, for the words.
func (b *bench) explain(argv []string, status syscall.WaitStatus) error {
	file, err := os.CreateTemp(b.home, "words")
	if err != nil {
		return err
	}
	defer file.Close()
	again := exec.Command(argv[0], argv[1:]...)
	again.Dir, again.Env, again.Stderr = b.home, b.environment, file
	ended := again.Run()
	words, _ := os.ReadFile(file.Name())
	return fmt.Errorf("%s: status %d; again: %v: %s", strings.Join(argv, " "), status, ended, strings.TrimSpace(string(words)))
}

// output is what a command prints; it is not measured.
func (b *bench) output(argv ...string) (string, error) {
	command := exec.Command(argv[0], argv[1:]...)
	command.Dir, command.Env = b.home, b.environment
	out, err := command.Output()
	if err != nil {
		if e, ok := err.(*exec.ExitError); ok {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(e.Stderr)))
		}
		return "", fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return string(out), nil
}
