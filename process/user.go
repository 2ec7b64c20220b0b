// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Account is what a container's passwd(5) and group(5) say of a user.
type Account struct {
	UID, GID   uint32
	Additional []uint32 // groups that list the user, without GID
	Home       string   // "" if passwd does not say
}

// LookupUser resolves the word of `--user`: UID, UID:GID, NAME or NAME:GROUP
// (each side may be a number or a name), in the container's passwd and group,
// either of which may be nil. A group in the word replaces all groups of the
// user, as in docker. A number without a group takes the group of passwd, or 0.
//
// Digits are a number and nothing else: "01", "+1", "1:" and the like are
// refused (CVE-2026-30892: a number that was not read became uid 0).
func LookupUser(passwd, group io.Reader, word string) (Account, error) {
	name, groupName, hasGroup := strings.Cut(word, ":")
	fail := func(why string) (Account, error) {
		return Account{}, fmt.Errorf("user %q: %s", word, why)
	}
	uid, number, err := idOrName(name)
	if err != nil {
		return fail(err.Error())
	}
	var gid uint32
	groupNumber := false
	if hasGroup {
		if gid, groupNumber, err = idOrName(groupName); err != nil {
			return fail("group: " + err.Error())
		}
	}
	entry, found, err := findPasswd(passwd, func(p passwdEntry) bool {
		if number {
			return p.uid == uid
		}
		return p.name == name
	})
	switch {
	case err != nil:
		return fail("read the container's passwd: " + err.Error())
	case !found && !number:
		return fail("no such user in the container's /etc/passwd")
	case !found:
		entry = passwdEntry{uid: uid}
	}
	a := Account{UID: entry.uid, GID: entry.gid, Home: entry.home}
	if groupNumber {
		a.GID = gid
		return a, nil
	}
	if !hasGroup && entry.name == "" {
		return a, nil
	}
	if group == nil && hasGroup {
		return fail(fmt.Sprintf("no group %q: the container has no /etc/group", groupName))
	}
	if err := a.addGroups(group, entry.name, groupName); err != nil {
		return fail(err.Error())
	}
	return a, nil
}

// addGroups finds the named group, or else those that list the user.
func (a *Account) addGroups(group io.Reader, user, groupName string) error {
	found := false
	err := eachLine(group, func(f []string) bool {
		if len(f) < 3 {
			return true
		}
		gid, err := parseID(f[2])
		if err != nil {
			return true
		}
		if groupName != "" {
			if f[0] == groupName {
				a.GID, found = gid, true
			}
			return !found
		}
		if len(f) > 3 && gid != a.GID {
			for _, member := range strings.Split(f[3], ",") {
				if member == user {
					a.Additional = append(a.Additional, gid)
					break
				}
			}
		}
		return true
	})
	switch {
	case err != nil:
		return fmt.Errorf("read the container's group: %w", err)
	case groupName != "" && !found:
		return fmt.Errorf("no group %q in the container's /etc/group", groupName)
	}
	return nil
}

// LookupHome returns the home of uid in passwd, which may be nil, or "/": what
// HOME is set to where the configuration does not set it, as runc and crun do.
func LookupHome(passwd io.Reader, uid uint32) string {
	e, found, err := findPasswd(passwd, func(p passwdEntry) bool { return p.uid == uid })
	if err != nil || !found || !strings.HasPrefix(e.home, "/") || strings.IndexByte(e.home, 0) >= 0 {
		return "/"
	}
	return e.home
}

var errNoID = errors.New("not a number between 0 and 4294967294, written without sign or leading zero")

// parseID reads an id as strictly as an id can be written.
func parseID(s string) (uint32, error) {
	if s == "" || len(s) > 1 && s[0] == '0' {
		return 0, errNoID
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, errNoID
		}
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == noID {
		return 0, errNoID
	}
	return uint32(n), nil
}

// idOrName takes what begins like a number for one.
func idOrName(s string) (id uint32, number bool, err error) {
	if s == "" {
		return 0, false, errors.New("must not be empty")
	}
	if c := s[0]; c == '+' || c == '-' || c >= '0' && c <= '9' {
		id, err = parseID(s)
		return id, true, err
	}
	if strings.ContainsAny(s, ":\n\x00") {
		return 0, false, fmt.Errorf("%q is not a name", s)
	}
	return 0, false, nil
}

type passwdEntry struct {
	name     string
	uid, gid uint32
	home     string
}

func findPasswd(passwd io.Reader, want func(passwdEntry) bool) (passwdEntry, bool, error) {
	var e passwdEntry
	found := false
	err := eachLine(passwd, func(f []string) bool {
		if len(f) < 4 || f[0] == "" {
			return true
		}
		uid, errUID := parseID(f[2])
		gid, errGID := parseID(f[3])
		if errUID != nil || errGID != nil {
			return true
		}
		e = passwdEntry{name: f[0], uid: uid, gid: gid}
		if len(f) > 5 {
			e.home = f[5]
		}
		found = want(e)
		return !found
	})
	return e, found, err
}

// The files are the container's: what is read of them is bounded.
const (
	maxAccountFile = 16 << 20
	maxAccountLine = 1 << 20
)

// eachLine calls f with the fields of each line until it returns false.
func eachLine(r io.Reader, f func([]string) bool) error {
	if r == nil {
		return nil
	}
	s := bufio.NewScanner(io.LimitReader(r, maxAccountFile))
	s.Buffer(nil, maxAccountLine)
	for s.Scan() {
		line := strings.TrimSpace(s.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if !f(strings.Split(line, ":")) {
			return nil
		}
	}
	return s.Err()
}
