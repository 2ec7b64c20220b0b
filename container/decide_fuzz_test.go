// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"mycr/bundle"
	"mycr/cgroupdelegate"
	"mycr/userns"
)

// FuzzDecide: whatever config.json is accepted, each room decides or refuses,
// and what was decided reaches the child as it is.
func FuzzDecide(f *testing.F) {
	files, err := filepath.Glob(configs + "/*.json")
	if err != nil || len(files) < 8 {
		f.Fatal("no config.json files: ", err)
	}
	texts := make([][]byte, len(files))
	for i, file := range files {
		if texts[i], err = os.ReadFile(file); err != nil {
			f.Fatal(err)
		}
		f.Add(byte(i), byte(i), []byte{byte(i), 7, 40, 3, byte(i), 20, 100, 9})
	}
	f.Fuzz(func(t *testing.T, config, choice byte, edits []byte) {
		spec, err := bundle.Decode(edited(texts[int(config)%len(texts)], edits))
		if err != nil {
			return
		}
		name := [...]string{"user", "single", "inside", "root"}[choice&3]
		var targets []userns.Target
		if spec.Linux != nil {
			for _, ns := range spec.Linux.Namespaces {
				if ns.Path != "" {
					targets = append(targets, userns.Target{
						FD: 10, Type: userns.Flag(ns.Type), Owner: 11, OwnerID: 7, Current: choice&4 != 0, OwnerOwn: choice&8 != 0,
					})
				}
			}
		}
		p, err := decideIn(situations(name), spec, targets, CreateOptions{ID: "demo", Manager: cgroupdelegate.Disabled, NoPivot: choice&16 != 0})
		if err != nil {
			return
		}
		var back Orders
		if err := unmarshal(marshal(&p.orders), &back); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(marshal(&back), marshal(&p.orders)) {
			t.Error("the orders that arrive are not those that were sent")
		}
	})
}

// edited changes values of a config.json that is still JSON afterwards: bytes
// that change at random hardly ever are. Each four bytes of edits are one
// change: two name the value, one says what becomes of it, one is an argument.
func edited(text, edits []byte) []byte {
	var v any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return text
	}
	for ; len(edits) >= 4; edits = edits[4:] {
		var places []func(any)
		var values []any
		walk(v, func(now any, set func(any)) {
			places, values = append(places, set), append(values, now)
		})
		if len(places) == 0 {
			break
		}
		i := (int(edits[0])<<8 | int(edits[1])) % len(places)
		places[i](changed(values[i], values[int(edits[3])*97%len(values)], edits[2], edits[3]))
	}
	out, err := json.Marshal(v)
	if err != nil {
		return text
	}
	return out
}

// walk visits all values below v, in an order that is always the same.
func walk(v any, visit func(now any, set func(any))) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			visit(v[k], func(to any) {
				if v[k] = to; to == nil {
					delete(v, k)
				}
			})
			walk(v[k], visit)
		}
	case []any:
		for i := range v {
			visit(v[i], func(to any) { v[i] = to })
			walk(v[i], visit)
		}
	}
}

// changed gives another value of the same kind, now and then of another one.
func changed(now, other any, how, argument byte) any {
	if how&7 == 0 {
		return nil
	}
	if how&7 == 1 {
		text, _ := json.Marshal(other) // a copy, so that nothing is in two places
		var v any
		_ = json.Unmarshal(text, &v)
		return v
	}
	switch now := now.(type) {
	case string:
		words := [...]string{"", "/", ".", "..", now + "/..", "/" + now, now + "\u00e9", "bind", "rbind", "ro", "idmap", "user", "pid", "a=b",
			"remount", "rshared", "tmpcopyup", "/proc", "/dev", "/dev/pts/x", "/sys/fs/cgroup", "/proc/self", "SCMP_ACT_ERRNO", "SCMP_ACT_NOTIFY", "SCMP_ARCH_X86", "cgroup2"}
		return words[int(argument)%len(words)]
	case json.Number:
		numbers := [...]json.Number{"0", "1", "-1", "5", "255", "65535", "65536", "1000", "100000", "4294967294", "4294967295", "4294967296", "2147483648", "9223372036854775807", "18446744073709551615"}
		return numbers[int(argument)%len(numbers)]
	case bool:
		return !now
	case []any:
		switch n := int(argument) % (len(now) + 1); how & 1 {
		case 0:
			return now[:n:n]
		default:
			return slices.Concat(now, now[n:])
		}
	}
	return now
}
