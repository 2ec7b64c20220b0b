// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

// testScope has a limit that old versions of systemd do not know.
func testScope() scope {
	return scope{
		Unit: "mycr-a.scope", Slice: "user.slice", Description: "a container",
		Properties: []Property{{"KillSignal", "i", "15"}},
		Limits:     []Property{{"MemoryMax", "t", "134217728"}, {"MemoryZSwapMax", "t", "5"}},
	}
}

const (
	matchHeard = "AddMatch type='signal',sender='org.freedesktop.systemd1',path='/org/freedesktop/systemd1'," +
		"interface='org.freedesktop.systemd1.Manager',member='JobRemoved',arg2='mycr-a.scope'"
	busHeard    = "Hello\nNameHasOwner org.freedesktop.systemd1\n"
	scopeHeard  = `StartTransientUnit mycr-a.scope fail [[Description "a container"] [Slice "user.slice"] [Delegate true] [PIDs @au [5000000, 5000001]] ` + "[DefaultDependencies false] "
	commonHeard = `[CollectMode "inactive-or-failed"] [CPUAccounting true] [MemoryAccounting true] [IOAccounting true] [TasksAccounting true] [KillSignal 15] `
)

// noPid is above the kernel's PID_MAX_LIMIT.
const noPid = 5000000

// patient is a context whose deadline no test waits for.
func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func dialed(t *testing.T, m manager) *bus {
	t.Helper()
	b, err := m.dial(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return b
}

// started makes the scope and waits for it.
func started(t *testing.T, f *fakeSystemd) (*job, error) {
	t.Helper()
	j, err := dialed(t, f.serve(t)).start(patient(t), testScope(), []int{noPid, noPid + 1})
	if err != nil {
		t.Fatal(err)
	}
	return j, j.wait(patient(t))
}

func TestScopeIsAskedForOnAPrivateSocketWithoutABus(t *testing.T) {
	f := fakeSystemd{private: true, start: ends("done")}
	if _, err := started(t, &f); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(scopeHeard+commonHeard+"[MemoryMax @t 134217728] [MemoryZSwapMax @t 5]] []", f.heard()); diff != "" {
		t.Error(diff)
	}
}

func TestScopeIsWatchedOnABusBeforeItIsAskedFor(t *testing.T) {
	f := fakeSystemd{start: ends("done")}
	if _, err := started(t, &f); err != nil {
		t.Fatal(err)
	}
	want := busHeard + matchHeard + "\n" + scopeHeard + commonHeard + "[MemoryMax @t 134217728] [MemoryZSwapMax @t 5]] []"
	if diff := cmp.Diff(want, f.heard()); diff != "" {
		t.Error(diff)
	}
}

func TestBusThatWasJustStartedIsWaitedFor(t *testing.T) {
	f := fakeSystemd{absent: true, late: true, start: ends("done")}
	if _, err := started(t, &f); err != nil {
		t.Error(err)
	}
}

func TestJobThatEndsBeforeTheAnswerIsNotMissed(t *testing.T) {
	f := fakeSystemd{private: true, start: func(c *fakeConn, call *dbus.Message, _ int) {
		c.jobRemoved(5, "mycr-a.scope", "done")
		c.reply(call, jobPath(5))
	}}
	if _, err := started(t, &f); err != nil {
		t.Fatal(err)
	}
}

func TestUnitThatFailedEarlierIsReplaced(t *testing.T) {
	f := fakeSystemd{start: func(c *fakeConn, call *dbus.Message, n int) {
		if n == 0 {
			c.refuse(call, errUnitExists, "Unit mycr-a.scope was already loaded or has a fragment file.")
			return
		}
		ends("done")(c, call, n)
	}}
	if _, err := started(t, &f); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(f.heard(), "ResetFailedUnit mycr-a.scope\nStartTransientUnit"); n != 1 {
		t.Errorf("%d resets in\n%s", n, f.heard())
	}
}

func TestLimitThatSystemdDoesNotKnowIsLeftOut(t *testing.T) {
	f := fakeSystemd{start: func(c *fakeConn, call *dbus.Message, n int) {
		if n == 0 {
			c.refuse(call, errReadOnly, "Cannot set property MemoryZSwapMax, or unknown property.")
			return
		}
		ends("done")(c, call, n)
	}}
	j, err := started(t, &f)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"MemoryZSwapMax"}, j.Unknown); diff != "" {
		t.Error(diff)
	}
	if _, last, _ := strings.Cut(f.heard(), "MemoryZSwapMax"); !strings.Contains(last, "MemoryMax") || strings.Contains(last, "MemoryZSwapMax") {
		t.Error(f.heard())
	}
}

func TestErrorsOfAStart(t *testing.T) {
	refused := func(name, text string) func(*fakeConn, *dbus.Message, int) {
		return func(c *fakeConn, call *dbus.Message, _ int) { c.refuse(call, name, text) }
	}
	who := "the systemd user manager of uid 1000"
	log := "sudo journalctl USER_UNIT=mycr-a.scope"
	cases := []struct {
		start       func(*fakeConn, *dbus.Message, int)
		cause, hint string
	}{
		{refused(errUnitExists, "Unit mycr-a.scope was already loaded or has a fragment file."),
			"mycr-a.scope exists already in " + who, "systemctl --user stop mycr-a.scope"},
		{refused(errAccessDenied, "Access denied"), "start mycr-a.scope: " + who + " denies it to us: Access denied", ""},
		{refused(errInteractive, "Interactive authentication required."), "start mycr-a.scope: " + who + " denies it to us: Interactive authentication required.", ""},
		{refused(errReadOnly, "Cannot set property KillSignal, or unknown property."),
			"start mycr-a.scope: " + who + ": Cannot set property KillSignal, or unknown property.", ""},
		{ends("failed"), "start mycr-a.scope: " + who + ` says "failed": it could not move the process there`, log},
		{ends("canceled"), "start mycr-a.scope: " + who + ` says "canceled": another job for the same unit canceled it`, log},
		{ends("timeout"), "start mycr-a.scope: " + who + ` says "timeout": it took too long`, log},
		{ends("dependency"), "start mycr-a.scope: " + who + ` says "dependency": a unit that it needs, as its slice, did not start`, log},
		{ends("assert"), "start mycr-a.scope: " + who + ` says "assert": its job ended as assert`, log},
		{func(c *fakeConn, call *dbus.Message, _ int) { c.reply(call) }, "start mycr-a.scope: the answer has no job: []", ""},
	}
	for _, c := range cases {
		_, err := started(t, &fakeSystemd{start: c.start})
		var r *Refusal
		if errors.As(err, &r) != (c.hint != "") || err == nil || err.Error() != c.cause || r != nil && r.Remedy != c.hint {
			t.Errorf("got %v, hint of %#v\nwant %s, %s", err, r, c.cause, c.hint)
		}
	}
}

func TestMoveOutOfALoginSessionThatFailsIsExplained(t *testing.T) {
	f := fakeSystemd{private: true, start: ends("failed")}
	j, err := dialed(t, f.serve(t)).start(patient(t), testScope(), []int{os.Getpid()})
	if err != nil {
		t.Fatal(err)
	}
	own, err := OfProcess("self")
	if err != nil || strings.Contains(own, "/user@1000.service/") {
		t.Skip("this is no login session")
	}
	var r *Refusal
	if err := j.wait(patient(t)); !errors.As(err, &r) || r.Remedy != "systemd-run --user --pipe --wait mycr …" ||
		!strings.HasSuffix(r.Cause, "it could not move the process there from "+own+", which takes the system's manager and /run/dbus/system_bus_socket") {
		t.Errorf("%#v", err)
	}
}

func TestManagerThatIsSlowOrDies(t *testing.T) {
	hang := func(*fakeConn, *dbus.Message, int) {}
	noEnd := func(c *fakeConn, call *dbus.Message, _ int) { c.reply(call, jobPath(5)) }
	hangUp := func(c *fakeConn, _ *dbus.Message, _ int) { c.conn.Close() }
	halfway := func(c *fakeConn, call *dbus.Message, _ int) {
		c.reply(call, jobPath(5))
		c.conn.Write([]byte{'l', 4, 0, 1, 50, 0})
		c.conn.Close()
	}
	for name, c := range map[string]struct {
		start func(*fakeConn, *dbus.Message, int)
		want  string
	}{
		"no answer":          {hang, "did not answer in time"},
		"no end":             {noEnd, "did not answer in time"},
		"closed":             {hangUp, "the connection to the systemd user manager of uid 1000 broke"},
		"closed in a signal": {halfway, "the connection to the systemd user manager of uid 1000 broke"},
	} {
		t.Run(name, func(t *testing.T) {
			f := fakeSystemd{start: c.start}
			b := dialed(t, f.serve(t))
			j, err := b.start(patient(t), testScope(), []int{noPid})
			if err != nil {
				t.Fatal(err)
			}
			ctx := patient(t)
			if strings.HasPrefix(name, "no ") {
				short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
				defer cancel()
				ctx = short
			}
			if err = j.wait(ctx); err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "start mycr-a.scope: ") {
				t.Errorf("%v, want %s", err, c.want)
			}
			// A stream that ended in the middle of something is of no use, and says so.
			if err := b.attach(patient(t), "mycr-a.scope", "", []int{noPid}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestContextThatIsCanceledEndsTheWait(t *testing.T) {
	f := fakeSystemd{start: func(*fakeConn, *dbus.Message, int) {}}
	j, err := dialed(t, f.serve(t)).start(patient(t), testScope(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if err := j.wait(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestPropertyThatIsNoneIsSentToNobody(t *testing.T) {
	f := fakeSystemd{private: true, start: ends("done")}
	b := dialed(t, f.serve(t))
	s := testScope()
	s.Limits[0].Value = "lots"
	if _, err := b.start(patient(t), s, nil); err == nil || err.Error() != `property MemoryMax: "lots": a uint64 expected at byte 0` {
		t.Error(err)
	}
	if f.heard() != "" {
		t.Error(f.heard())
	}
}

func TestOtherCalls(t *testing.T) {
	f := fakeSystemd{private: true}
	b := dialed(t, f.serve(t))
	for _, err := range []error{
		b.attach(patient(t), "a.scope", "", []int{noPid}),
		b.attach(patient(t), "a.scope", "/init", []int{noPid, noPid + 1}),
		b.setProperties(patient(t), "a.scope", []Property{{"AllowedCPUs", "ay", "[3]"}}),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if err := b.attach(patient(t), "gone.scope", "", []int{noPid}); !errors.Is(err, ErrGone) {
		t.Error(err)
	}
	if err := b.setProperties(patient(t), "gone.scope", nil); !errors.Is(err, ErrGone) {
		t.Error(err)
	}
	want := `AttachProcessesToUnit a.scope / [5000000]
AttachProcessesToUnit a.scope /init [5000000 5000001]
SetUnitProperties a.scope true [[AllowedCPUs @ay [0x3]]]
AttachProcessesToUnit gone.scope / [5000000]
SetUnitProperties gone.scope true []`
	if diff := cmp.Diff(want, f.heard()); diff != "" {
		t.Error(diff)
	}
}

func TestStopWaitsForTheJobAndTakesAMissingUnitForStopped(t *testing.T) {
	gone := func(c *fakeConn, call *dbus.Message, _ int) {
		c.refuse(call, errNoSuchUnit, "Unit a.scope not loaded.")
	}
	for name, c := range map[string]struct {
		stop  func(*fakeConn, *dbus.Message, int)
		want  string // error
		heard string
	}{
		"there":   {ends("done"), "", "StopUnit a.scope replace"},
		"gone":    {gone, "", "StopUnit a.scope replace"},
		"failing": {ends("failed"), `stop a.scope: the systemd user manager of uid 1000 says "failed": it failed`, "StopUnit a.scope replace\nResetFailedUnit a.scope"},
	} {
		f := fakeSystemd{private: true, stop: c.stop}
		err := dialed(t, f.serve(t)).stopUnit(patient(t), "a.scope")
		if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want || f.heard() != c.heard {
			t.Errorf("%s: %v after\n%s", name, err, f.heard())
		}
	}
}
