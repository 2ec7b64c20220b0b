// SPDX-License-Identifier: Apache-2.0

package idmap

import (
	"bytes"
	"fmt"
	"strconv"
)

// nextLine cuts the first line off.
func nextLine(b []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(b, []byte{'\n'})
	return line, rest
}

// number reads a decimal number without allocating; limit is the highest that is allowed.
func number(b []byte, limit uint64) (uint64, bool) {
	if len(b) == 0 || len(b) > 10 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, n <= limit
}

// ParseMaps reads the text of a /proc/PID/uid_map or gid_map.
func ParseMaps(b []byte) ([]Map, error) {
	maps := make([]Map, 0, 4)
	for len(b) > 0 {
		var line []byte
		line, b = nextLine(b)
		var field [3]uint64
		rest := line
		for i := range field {
			rest = bytes.TrimLeft(rest, " \t")
			end := bytes.IndexAny(rest, " \t")
			if end < 0 {
				end = len(rest)
			}
			n, ok := number(rest[:end], 1<<32-1)
			if !ok {
				return nil, fmt.Errorf("id map line %q: three numbers expected", line)
			}
			field[i], rest = n, rest[end:]
		}
		if len(bytes.TrimLeft(rest, " \t")) != 0 {
			return nil, fmt.Errorf("id map line %q: three numbers expected", line)
		}
		maps = append(maps, Map{uint32(field[0]), uint32(field[1]), uint32(field[2])})
	}
	return maps, nil
}

// subordinate is the ranges of one owner in the text of /etc/subuid or /etc/subgid, in the order of the file.
// The owner is written as a name or as a user id, and both count, as they do for newuidmap(1).
// Lines that newuidmap would not take are passed over, as it does.
func subordinate(b []byte, name string, uid uint32) []Range {
	var own []Range
	id := strconv.FormatUint(uint64(uid), 10)
	for len(b) > 0 {
		var line []byte
		line, b = nextLine(b)
		owner, r, ok := subLine(line)
		if ok && (string(owner) == id || (name != "" && string(owner) == name)) {
			own = append(own, r)
		}
	}
	return own
}

// subLine takes "owner:start:count" apart.
func subLine(line []byte) (owner []byte, r Range, ok bool) {
	owner, rest, ok := bytes.Cut(line, []byte{':'})
	if !ok || len(owner) == 0 || owner[0] == '#' {
		return nil, Range{}, false
	}
	first, count, ok := bytes.Cut(rest, []byte{':'})
	if !ok {
		return nil, Range{}, false
	}
	start, ok1 := number(first, idEnd-1)
	size, ok2 := number(count, idEnd)
	if !ok1 || !ok2 || size == 0 || start+size > idEnd {
		return nil, Range{}, false
	}
	return owner, Range{uint32(start), uint32(size)}, true
}

// freeRange finds the lowest place at or above 100000, which is where useradd(8) begins,
// for 65536 ids that nobody has in either text; 0 where there is none.
func freeRange(texts ...[]byte) uint32 {
	var taken []Range
	for _, b := range texts {
		for len(b) > 0 {
			var line []byte
			line, b = nextLine(b)
			if _, r, ok := subLine(line); ok {
				taken = append(taken, r)
			}
		}
	}
	start := uint64(100000)
	for moved := true; moved; {
		moved = false
		for _, r := range taken {
			end := uint64(r.Start) + uint64(r.Size)
			if uint64(r.Start) < start+65536 && end > start {
				start, moved = end, true
			}
		}
	}
	if start+65536 > 1<<31 { // above it, some programs take ids for negative
		return 0
	}
	return uint32(start)
}

// userName is the name of the first entry of /etc/passwd with that id, "" where there is none.
func userName(passwd []byte, uid uint32) string {
	for len(passwd) > 0 {
		var line []byte
		line, passwd = nextLine(passwd)
		name, rest, ok := bytes.Cut(line, []byte{':'})
		if !ok {
			continue
		}
		_, rest, ok = bytes.Cut(rest, []byte{':'})
		if !ok {
			continue
		}
		id, _, ok := bytes.Cut(rest, []byte{':'})
		if !ok {
			continue
		}
		if n, ok := number(id, 1<<32-1); ok && uint32(n) == uid {
			return string(name)
		}
	}
	return ""
}

// nsswitchSources is the words after "database:" in the text of /etc/nsswitch.conf; false where it has no such line.
func nsswitchSources(b []byte, database string) ([]string, bool) {
	for len(b) > 0 {
		var line []byte
		line, b = nextLine(b)
		if i := bytes.IndexByte(line, '#'); i >= 0 {
			line = line[:i]
		}
		key, value, ok := bytes.Cut(bytes.TrimSpace(line), []byte{':'})
		if !ok || string(bytes.TrimSpace(key)) != database {
			continue
		}
		var words []string
		for _, w := range bytes.Fields(value) {
			words = append(words, string(w))
		}
		return words, true
	}
	return nil, false
}

// getsubidsOutput reads what getsubids(1) prints: "0: owner 100000 65536".
func getsubidsOutput(b []byte) []Range {
	var ranges []Range
	for len(b) > 0 {
		var line []byte
		line, b = nextLine(b)
		f := bytes.Fields(line)
		if len(f) < 4 {
			continue
		}
		start, ok1 := number(f[len(f)-2], idEnd-1)
		size, ok2 := number(f[len(f)-1], idEnd)
		if ok1 && ok2 && size > 0 && start+size <= idEnd {
			ranges = append(ranges, Range{uint32(start), uint32(size)})
		}
	}
	return ranges
}
