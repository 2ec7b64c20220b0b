// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const passwd = `root:x:0:0:root:/root:/bin/sh
# comment
broken
bad:x:01:1::/bad:
worse:x:4294967295:1::/worse:
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
www-data:x:33:33::/var/www:/bin/sh
app:x:1000:1000::/home/app:/bin/sh
`

const group = `root:x:0:
daemon:x:1:app
bad:x:+5:app
www-data:x:33:app,daemon
app:x:1000:app
docker:x:998:daemon,app
`

func TestLookupUser(t *testing.T) {
	for _, c := range []struct{ word, want string }{
		{"0", "0:0 [] /root"},
		{"1", "1:1 [33 998] /usr/sbin"},
		{"1:1", "1:1 [] /usr/sbin"},
		{"1000", "1000:1000 [1 33 998] /home/app"},
		{"app", "1000:1000 [1 33 998] /home/app"},
		{"app:docker", "1000:998 [] /home/app"},
		{"app:7", "1000:7 [] /home/app"},
		{"1000:docker", "1000:998 [] /home/app"},
		{"4294967294", "4294967294:0 [] "},
		{"5:6", "5:6 [] "},
		// CVE-2026-30892 and the like: never a fall to uid 0.
		{"", "must not be empty"}, {":", "must not be empty"}, {":1", "must not be empty"}, {"1:", "must not be empty"},
		{"01", "not a number"}, {"+1", "not a number"}, {"-1", "not a number"}, {"1:01", "not a number"}, {"1:+1", "not a number"},
		{"1x", "not a number"}, {"1 ", "not a number"}, {"0x1", "not a number"}, {"1_0", "not a number"},
		{"4294967295", "not a number"}, {"4294967296", "not a number"}, {"18446744073709551617", "not a number"}, {"1:4294967295", "not a number"},
		{"1:1:1", "not a number"}, {"app:app:1", `is not a name`},
		{"nobody", "no such user in the container's /etc/passwd"}, {"bad", "no such user"}, {"worse", "no such user"},
		{"app:nogroup", `no group "nogroup" in the container's /etc/group`}, {"app:bad", `no group "bad"`},
	} {
		a, err := LookupUser(strings.NewReader(passwd), strings.NewReader(group), c.word)
		got := fmt.Sprintf("%d:%d %v %s", a.UID, a.GID, a.Additional, a.Home)
		if err != nil {
			got = err.Error()
		}
		if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
			t.Errorf("%q: got %s, want %s", c.word, got, c.want)
		}
	}
}

func TestLookupUserWithoutFiles(t *testing.T) {
	a, err := LookupUser(nil, nil, "5:6")
	if err != nil || a.UID != 5 || a.GID != 6 {
		t.Errorf("%+v, %v", a, err)
	}
	for _, word := range []string{"app", "5:app"} {
		if a, err := LookupUser(nil, nil, word); err == nil {
			t.Errorf("%q: %+v", word, a)
		}
	}
}

func TestLookupHome(t *testing.T) {
	for uid, want := range map[uint32]string{0: "/root", 1000: "/home/app", 77: "/"} {
		if got := LookupHome(strings.NewReader(passwd), uid); got != want {
			t.Errorf("%d: %q, want %q", uid, got, want)
		}
	}
	if got := LookupHome(strings.NewReader("a:x:5:5::relative:\n"), 5); got != "/" {
		t.Errorf("relative home: %q", got)
	}
}

// TestNumbersAreThemselves: a word of digits is that number or refused.
func TestNumbersAreThemselves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[0-9+\- ]{1,12}`).Draw(t, "word")
		a, err := LookupUser(strings.NewReader(passwd), strings.NewReader(group), word)
		if err == nil && strconv.FormatUint(uint64(a.UID), 10) != word {
			t.Fatalf("%q became %d", word, a.UID)
		}
	})
}

func FuzzLookupUser(f *testing.F) {
	f.Add(passwd, group, "app:docker")
	f.Add("a:x:0:0", "g:x:0:a", "a")
	f.Fuzz(func(t *testing.T, passwd, group, word string) {
		a, err := LookupUser(strings.NewReader(passwd), strings.NewReader(group), word)
		if err == nil && (a.UID == noID || a.GID == noID || word == "") {
			t.Fatalf("%q became %+v", word, a)
		}
		LookupHome(strings.NewReader(passwd), 0)
	})
}
