// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// dead makes a container of a bundle whose init ends by itself, and tells which inodes its user and its mount
// namespace had.
func (b *box) dead(dir, id string) (inodes map[string]string) {
	b.t.Helper()
	b.must("create", "-b", dir, id)
	inodes = namespaceLinks(b, id)
	b.must("start", id)
	b.await(id, "stopped")
	return inodes
}

// namespaceLinks reads the user and the mount namespace of a container's init.
func namespaceLinks(b *box, id string) map[string]string {
	b.t.Helper()
	links := map[string]string{}
	for _, kind := range []string{"user", "mnt"} {
		link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", b.state(id).Pid, kind))
		if err != nil {
			b.t.Fatal(err)
		}
		links[kind] = link
	}
	return links
}

// await waits until a container has a status.
func (b *box) await(id, status string) {
	b.t.Helper()
	for end := time.Now().Add(hang); b.state(id).Status != status; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("%s is %s, not %s", id, b.state(id).Status, status)
		}
	}
}

// Processes that outlive init in a pid namespace which is not the container's own end with the container.
func TestSurvivorsEnd(t *testing.T) {
	for _, words := range [][]string{{"kill", "--all", "c1", "KILL"}, {"delete", "c1"}, {"delete", "--force", "c1"}} {
		t.Run(strings.Join(words, " "), func(t *testing.T) {
			b := newBox(t)
			dir := b.bundle("b", args("sh", "-c", "sleep 86399 & exit 0"), withoutNamespace("pid"))
			b.snapshot()
			b.dead(dir, "c1")
			outlived := func() bool { return exec.Command("pgrep", "-f", "^sleep 86399$").Run() == nil }
			for end := time.Now().Add(time.Minute); !outlived(); { // a child that has not executed it yet
				if time.Now().After(end) {
					t.Fatal("nothing has outlived init")
				}
			}
			b.must(words...)
			b.must("delete", "--force", "c1")
			b.nothingLeft()
		})
	}
}

// The kernel gives the inode of a namespace that is gone to the next one. A container in which nothing is left has
// no process of the one that got it.
func TestSurvivorsAreNotAnotherContainers(t *testing.T) {
	b := newBox(t)
	first := b.bundle("first", args("true"), withoutNamespace("pid"))
	dir := b.bundle("next", args("sleep", "300"), withoutNamespace("pid"))
	b.snapshot()
	old := b.dead(first, "old")
	kind := "user"
	if own, err := os.Readlink("/proc/self/ns/user"); err != nil || old["user"] == own {
		kind = "mnt" // root's containers have no user namespace of their own
	}
	var ids []string
	heir := ""
	for i := 0; i < 100 && heir == ""; i++ {
		id := "next" + strconv.Itoa(i)
		b.must("create", "-b", dir, id)
		b.must("start", id)
		ids = append(ids, id)
		if namespaceLinks(b, id)[kind] == old[kind] {
			heir = id
		}
	}
	if heir != "" {
		b.must("kill", "--all", "old", "KILL")
		b.must("delete", "--force", "old")
		if got := b.state(heir).Status; got != "running" {
			t.Errorf("the container that got the inode %s is %s", old[kind], got)
		}
	}
	for _, id := range ids {
		b.must("delete", "--force", id)
	}
	b.run("delete", "--force", "old")
	b.nothingLeft()
	if heir == "" {
		t.Skipf("%s was given to none of %d containers", old[kind], len(ids))
	}
}
