// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Expected is the list of programs that do not pass.
type Expected []entry

type entry struct {
	name, situation string // situation: root, user, userns, all
	facts           []string
	reason          string
}

// known are the facts about the machine that a line of the list may depend on.
var known = [...]string{"cgroup1", "cgroup2", "no-apparmor", "no-selinux", "no-sys_resource"}

// GatherFacts returns those of the known facts that are true here.
func GatherFacts() []string {
	var facts []string
	if exists("/sys/fs/cgroup/cgroup.controllers") {
		facts = append(facts, "cgroup2")
	} else {
		facts = append(facts, "cgroup1")
	}
	if !exists("/sys/kernel/security/apparmor") && !exists("/sys/module/apparmor/parameters/enabled") {
		facts = append(facts, "no-apparmor")
	}
	if !exists("/sys/fs/selinux/enforce") {
		facts = append(facts, "no-selinux")
	}
	if bounding := statusField("CapBnd"); bounding&(1<<24) == 0 {
		facts = append(facts, "no-sys_resource")
	}
	return facts
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// statusField reads a hexadecimal field of /proc/self/status; 0 where there is none.
func statusField(name string) uint64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			number, _ := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			return number
		}
	}
	return 0
}

// ReadExpected reads the list: lines of "NAME SITUATION[+FACT]... [,...] REASON". Names have to be programs.
func ReadExpected(text string, programs []string) (Expected, error) {
	var expected Expected
	number := 0
	for line := range strings.Lines(text) {
		number++
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		where, reason, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if reason = strings.TrimSpace(reason); reason == "" {
			return nil, fmt.Errorf("line %d: no reason", number)
		}
		if !slices.Contains(programs, name) {
			return nil, fmt.Errorf("line %d: there is no program %s", number, name)
		}
		for word := range strings.SplitSeq(where, ",") {
			parts := strings.Split(word, "+")
			if !slices.Contains([]string{"root", "user", "userns", "all"}, parts[0]) {
				return nil, fmt.Errorf("line %d: there is no situation %q", number, parts[0])
			}
			for _, fact := range parts[1:] {
				if !slices.Contains(known[:], fact) {
					return nil, fmt.Errorf("line %d: there is no fact %q", number, fact)
				}
			}
			expected = append(expected, entry{name: name, situation: parts[0], facts: parts[1:], reason: reason})
		}
	}
	return expected, nil
}

// Reason says why the program is expected not to pass in this situation on a machine of these facts; "" if it is
// expected to pass.
func (e Expected) Reason(name, situation string, facts []string) string {
	for _, entry := range e {
		here := entry.name == name && (entry.situation == situation || entry.situation == "all")
		for _, fact := range entry.facts {
			here = here && slices.Contains(facts, fact)
		}
		if here {
			return entry.reason
		}
	}
	return ""
}
