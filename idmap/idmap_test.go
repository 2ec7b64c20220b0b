// SPDX-License-Identifier: Apache-2.0

package idmap

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestAnIDIsFoundBothWays(t *testing.T) {
	maps := []Map{{0, 1000, 1}, {1, 100000, 65536}}
	for _, c := range []struct {
		in, out uint32
		ok      bool
	}{{0, 1000, true}, {1, 100000, true}, {65536, 165535, true}, {65537, 0, false}, {4294967295, 0, false}} {
		out, ok := ToHost(maps, c.in)
		if out != c.out || ok != c.ok {
			t.Errorf("ToHost(%d) = %d, %v; want %d, %v", c.in, out, ok, c.out, c.ok)
		}
		if ok {
			if in, ok := ToContainer(maps, out); !ok || in != c.in {
				t.Errorf("ToContainer(%d) = %d, %v; want %d", out, in, ok, c.in)
			}
		}
	}
	if _, ok := ToContainer(maps, 1001); ok {
		t.Error("1001 is nobody's, but was found")
	}
	if !Identity([]Map{{0, 0, 4294967295}}) || Identity(maps) || Identity(nil) {
		t.Error("Identity")
	}
}

func TestSubordinateIDsCountByNameAndByNumber(t *testing.T) {
	file := []byte("# comment\nalice:100000:65536\nbob:165536:65536\n1000:300000:10\nalice:bad:1\nalice:1:\nalice:5:0\n" +
		"alice:4294967290:10\n1001:400000:1\nalice:500000:2")
	got := subordinate(file, "alice", 1000)
	if d := cmp.Diff([]Range{{100000, 65536}, {300000, 10}, {500000, 2}}, got); d != "" {
		t.Error(d)
	}
	if got := subordinate(file, "", 1000); len(got) != 1 {
		t.Errorf("without a name: %v", got)
	}
	if got := freeRange(file); got != 231072 {
		t.Errorf("free range begins at %d", got)
	}
	if got := freeRange(nil, []byte("x:0:100001\n")); got != 100001 {
		t.Errorf("free range begins at %d", got)
	}
}

func TestUserDatabaseAndNsswitch(t *testing.T) {
	passwd := []byte("root:x:0:0:root:/root:/bin/sh\nshort\n#x\nalice:x:1000:1000::/:/bin/sh\nalias:x:1000:1000::/:/bin/sh\n")
	if got := userName(passwd, 1000); got != "alice" {
		t.Errorf("name of 1000: %q", got)
	}
	if got := userName(passwd, 7); got != "" {
		t.Errorf("name of 7: %q", got)
	}
	got, ok := nsswitchSources([]byte("passwd: files systemd # x\n#subid: ldap\n subid:\tsss files\n"), "subid")
	if d := cmp.Diff([]string{"sss", "files"}, got); d != "" || !ok {
		t.Error(d, ok)
	}
	if d := cmp.Diff([]Range{{100000, 65536}, {7, 1}}, getsubidsOutput([]byte("0: alice 100000 65536\n1: alice 7 1\nerror\n"))); d != "" {
		t.Error(d)
	}
	if got := distro([]byte("NAME=x\nID=ubuntu\nID_LIKE=\"debian\"\n")); got != "ubuntu debian" {
		t.Errorf("distro %q", got)
	}
}

func TestMapFileIsReadAsTheKernelWritesIt(t *testing.T) {
	got, err := ParseMaps([]byte("         0       1000          1\n         1     100000      65536\n"))
	if d := cmp.Diff([]Map{{0, 1000, 1}, {1, 100000, 65536}}, got); d != "" || err != nil {
		t.Error(d, err)
	}
	for _, bad := range []string{"1 2\n", "1 2 3 4\n", "a b c\n", "\n", "1 2 99999999999\n"} {
		if _, err := ParseMaps([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzMapFile(f *testing.F) {
	f.Add([]byte("0 1000 1\n1 100000 65536\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		maps, err := ParseMaps(b)
		if err != nil {
			return
		}
		again, err := ParseMaps(text(maps))
		if err != nil || !cmp.Equal(maps, again) {
			t.Errorf("%v became %v, %v", maps, again, err)
		}
	})
}

func FuzzSubordinateFile(f *testing.F) {
	f.Add([]byte("alice:100000:65536\n1000:1:1\n"), "alice")
	f.Fuzz(func(t *testing.T, b []byte, name string) {
		for _, r := range subordinate(b, name, 1000) {
			if r.Size == 0 || uint64(r.Start)+uint64(r.Size) > idEnd {
				t.Errorf("range %v", r)
			}
		}
		if start := freeRange(b); start != 0 {
			maps := []Map{{0, start, 65536}}
			for len(b) > 0 {
				var line []byte
				line, b = nextLine(b)
				if _, r, ok := subLine(line); ok && overlap(r, Range{maps[0].HostID, maps[0].Size}) {
					t.Errorf("%d is not free: %v", start, r)
				}
			}
		}
	})
}

// What the kernel and newuidmap ask of automatic maps, whatever the files say.
func TestAutomaticMapsNeverOverlapAndStayInTheUsersRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		small := rapid.Uint32Range(0, 400)
		ranges := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Range {
			return Range{small.Draw(t, "start"), rapid.Uint32Range(1, 60).Draw(t, "size")}
		}), 0, 30).Draw(t, "ranges")
		outer := []Map{{0, 0, idEnd}}
		if rapid.Bool().Draw(t, "nested") {
			outer = []Map{{0, 5000, 150}, {150, 9000, 100}}
		}
		own := small.Draw(t, "own")
		maps, note := all(kind{own: own, ranges: ranges}, outer, 4096)
		if note != "" && len(text(maps)) < 4000 {
			t.Fatalf("cut short for nothing: %v", maps)
		}
		next := uint32(0)
		seen := map[uint32]bool{}
		for i, m := range maps {
			if m.ContainerID != next || m.Size == 0 {
				t.Fatalf("line %d of %v leaves a hole inside", i, maps)
			}
			next += m.Size
			for id := m.HostID; id < m.HostID+m.Size; id++ {
				if seen[id] {
					t.Fatalf("host id %d twice in %v", id, maps)
				}
				seen[id] = true
				if i > 0 && !covers(ranges, Range{id, 1}) {
					t.Fatalf("host id %d is not the user's", id)
				}
			}
			if i > 0 {
				if parts, rest := clip(m, outer); rest != 0 || len(parts) != 1 {
					t.Fatalf("line %v crosses the border of %v", m, outer)
				}
			}
		}
		if note != "" {
			return
		}
		for _, r := range ranges {
			for id := r.Start; id < r.Start+r.Size; id++ {
				if _, inside := ToContainer(outer, id); !seen[id] && inside && Identity(outer) {
					t.Fatalf("host id %d is the user's, but not mapped", id)
				}
				if id < 250 && !seen[id] {
					t.Fatalf("host id %d is the user's, but not mapped", id)
				}
			}
		}
	})
}
