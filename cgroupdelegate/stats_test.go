// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// captured is a directory with the files of a cgroup as a kernel printed them; testdata has them one
// after the other. Those that without names are left out.
func captured(t *testing.T, name string, without ...string) *Cgroup {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for section := range strings.SplitSeq("== cgroup.procs\n"+string(b), "== ") {
		file, text, _ := strings.Cut(section, "\n")
		if file == "" || slices.ContainsFunc(without, func(prefix string) bool { return strings.HasPrefix(file, prefix) }) {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return &Cgroup{Path: "/captured", fd: fd}
}

// The texts of Linux 6.1 and 6.12 after a run that met every limit, as our JSON and as runc's.
func TestStatsOfCapturedKernels(t *testing.T) {
	for _, name := range []string{"bookworm", "trixie"} {
		c := captured(t, "stats-"+name+".txt")
		s, err := c.Stats()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		for _, v := range []any{s, s.Event("id"), OOMEvent("id")} {
			b, err := json.MarshalIndent(v, "", "\t")
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "%s\n", b)
		}
		golden(t, "stats-"+name+".json", out.Bytes())
		if n, err := c.OOMKills(); n != 1 || err != nil {
			t.Errorf("%d kills, %v", n, err)
		}
	}
}

// What the kernel does not give is missing, not zero.
func TestStatsWithoutControllers(t *testing.T) {
	c := captured(t, "stats-bookworm.txt", "memory.", "pids.", "io.", "hugetlb.", "rdma.", "cpu.pressure")
	s, err := c.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if s.CPU == nil {
		t.Error("no cpu.stat")
	}
	s.CPU = nil
	if d := cmp.Diff(&Stats{}, s); d != "" {
		t.Error(d)
	}
	// before Linux 5.19, and without swap
	if s, err = captured(t, "stats-trixie.txt", "memory.peak", "memory.swap", "pids.peak").Stats(); err != nil {
		t.Fatal(err)
	}
	if s.Memory.Peak != nil || s.Memory.Swap != nil || s.Pids.Peak != nil {
		t.Errorf("%+v %+v", s.Memory, s.Pids)
	}
}

// A file that is not as the documentation says is an error that names it.
func TestStatsRefuseNonsense(t *testing.T) {
	for file, text := range map[string]string{
		"cpu.stat": "usage_usec -1", "memory.current": "", "memory.max": "many", "memory.stat": "anon 1\nanon 2", "memory.events": "low",
		"pids.current": "max max", "io.stat": "8:0 rbytes=x", "io.pressure": "some avg10=NaN avg60=0.00 avg300=0.00 total=0",
		"hugetlb.2MB.events": "max\t0", "rdma.max": "hca_handle=1", "memory.pressure": "full avg10=0.00 avg60=0.00 avg300=0.00 total=0",
	} {
		c := captured(t, "stats-bookworm.txt")
		name := fmt.Sprintf("/proc/self/fd/%d/%s", c.fd, file)
		if err := os.WriteFile(name, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if s, err := c.Stats(); err == nil || !strings.HasPrefix(err.Error(), file+" of cgroup /captured: ") {
			t.Errorf("%s %q: %v, %v", file, text, s, err)
		}
	}
	if _, err := captured(t, "stats-bookworm.txt", "memory.events").OOMKills(); !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
}

func TestIOStatLines(t *testing.T) {
	for text, want := range map[string][]DeviceIO{
		"": {},
		"7:0 \n8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n":                       {{Major: 8, Minor: 16, ReadBytes: 1, WriteBytes: 2, Reads: 3, Writes: 4, DiscardBytes: 5, Discards: 6}},
		"7:7 7:6 7:5 259:0 rbytes=9\n8:0 cost.usage=4 cost.vrate=100.00 depth=max\n":         {{Major: 259, ReadBytes: 9}, {Major: 8, Other: map[string]uint64{"cost.usage": 4}}},
		"254:0 rbytes=7540736 wbytes=73035776 rios=175 wios=79 dbytes=0 dios=0 254:1 rios=1": {{Major: 254, ReadBytes: 7540736, WriteBytes: 73035776, Reads: 175, Writes: 79}, {Major: 254, Minor: 1, Reads: 1}},
	} {
		got, err := parseIO(text)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%q: %v %s", text, err, d)
		}
	}
	for _, text := range []string{"rbytes=1", "8:0 rbytes=-1", "8 rbytes=1", "8:0 rbytes=1\nwbytes=1", "x:0 rios=1"} {
		if d, err := parseIO(text); err == nil {
			t.Errorf("%q: %v", text, d)
		}
	}
}

// What is printed as the kernel does is read as it was.
func TestParsersReadWhatIsPrinted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		flat := rapid.MapOf(rapid.StringMatching(`[a-z_]+`), rapid.Uint64()).Draw(t, "flat")
		text := ""
		for key, n := range flat {
			text += fmt.Sprintf("%s %d\n", key, n)
		}
		if got, err := parseFlat(text); err != nil || !cmp.Equal(got, flat) {
			t.Fatal(got, err)
		}
		hundredths := rapid.IntRange(0, 10000)
		var p [2]PressureShare
		for i := range p {
			p[i] = PressureShare{float64(hundredths.Draw(t, "10")) / 100, float64(hundredths.Draw(t, "60")) / 100, float64(hundredths.Draw(t, "300")) / 100, rapid.Uint64().Draw(t, "total")}
		}
		text = ""
		for i, kind := range []string{"some", "full"} {
			text += fmt.Sprintf("%s avg10=%.2f avg60=%.2f avg300=%.2f total=%d\n", kind, p[i].Avg10, p[i].Avg60, p[i].Avg300, p[i].TotalUsec)
		}
		if got, err := parsePressure(text); err != nil || !cmp.Equal(got, &Pressure{&p[0], &p[1]}) {
			t.Fatal(got, err)
		}
		devices := rapid.MapOf(rapid.StringMatching(`[a-z]+[0-9_]*`), rapid.Custom(func(t *rapid.T) rdmaCount {
			return rdmaCount{uint64(rapid.Uint32().Draw(t, "handles")), unlimited}
		})).Draw(t, "rdma")
		text = ""
		for name, d := range devices {
			text += fmt.Sprintf("%s hca_handle=%d hca_object=max\n", name, d.handles)
		}
		if got, err := parseRDMA(text); err != nil || !cmp.Equal(got, devices, cmp.AllowUnexported(rdmaCount{})) {
			t.Fatal(got, err)
		}
	})
}

// No text makes a parser panic, and a share of time is one.
func FuzzParsers(f *testing.F) {
	for _, text := range []string{"a 1\nb 2", "8:0 rbytes=1", "mlx hca_handle=1 hca_object=max", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0", "=", " ", "8:0 ="} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if m, err := parseFlat(text); err == nil && len(m) > strings.Count(text, "\n")+1 {
			t.Error("more values than lines")
		}
		if d, err := parseIO(text); err == nil && len(d) > strings.Count(text, "=") {
			t.Error("more devices than values")
		}
		parseRDMA(text)
		if p, err := parsePressure(text); err == nil && !(p.Some.Avg10 >= 0 && p.Some.Avg10 <= 100) {
			t.Error(p.Some)
		}
		parseSize(text)
		a := asked{}
		if l := a.list(text, ""); a.err == nil && len(l.bits) == 0 {
			t.Error("an empty list")
		}
	})
}
