// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// run parses a command line, as Main does, without running it.
func parseLine(t *testing.T, line string) (*session, command, []string) {
	t.Helper()
	s := &session{}
	c, words, _, err := s.parse(strings.Fields(line))
	if err != nil {
		t.Fatalf("mycr %s: %v", line, err)
	}
	return s, c, words
}

// The lines that engines send, as captured or as their code makes them.
func TestEnginesLinesAreUnderstood(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	for _, test := range []struct {
		name, line string
		globals    globals
		want       command
		words      string
	}{
		{"conmon create, systemd",
			"--systemd-cgroup --log-format=json --log LOG create --bundle /b --pid-file /b/pidfile --no-pivot --no-new-keyring --preserve-fds 2 --console-socket /c/s CID",
			globals{systemdCgroup: true, logFormat: "json", logPath: log},
			&create{creation{bundle: "/b", pidFile: "/b/pidfile", noPivot: true, noNewKeyring: true, preserveFDs: 2, consoleSocket: "/c/s"}}, "CID"},
		{"podman --cgroups=disabled",
			"--log-format=json --log LOG --cgroup-manager disabled create --bundle /b --pid-file /b/pidfile CID",
			globals{logFormat: "json", logPath: log, cgroupManager: "disabled"}, &create{creation{bundle: "/b", pidFile: "/b/pidfile"}}, "CID"},
		{"conmon exec", "--log-format=json --log LOG exec --pid-file /p --process /spec --detach --tty --console-socket /tmp/conmon-term.X CID",
			globals{logFormat: "json", logPath: log},
			&execute{pidFile: "/p", file: "/spec", detach: true, tty: true, consoleSocket: "/tmp/conmon-term.X"}, "CID"},
		{"podman kill", "kill --all CID 9", globals{}, &kill{all: true}, "CID 9"},
		{"podman delete", "delete --force CID", globals{}, &remove{force: true}, "CID"},
		{"podman update", "update --resources=/tmp/podmanX CID", globals{}, &changeLimits{file: "/tmp/podmanX"}, "CID"},
		{"containerd update", "--root /run/r/ns --log LOG --log-format json update --resources=- ID",
			globals{root: "/run/r/ns", logPath: log, logFormat: "json"}, &changeLimits{file: "-"}, "ID"},
		{"cri-o update", "--root /r update --resources - ID", globals{root: "/r"}, &changeLimits{file: "-"}, "ID"},
		{"podman pause", "pause CID", globals{}, &pause{}, "CID"},
		{"podman resume", "resume CID", globals{}, &resume{}, "CID"},
		{"go-runc events", "events --stats ID", globals{}, &events{once: true, interval: 5 * time.Second}, "ID"},
		{"go-runc events, again and again", "events --interval=30s ID", globals{}, &events{interval: 30 * time.Second}, "ID"},
		{"exec into a cgroup below", "exec --cgroup sub --ignore-paused ID true", globals{}, &execute{cgroup: "sub", ignorePaused: true}, "ID true"},
		{"annotations", "run --trust-annotations ID", globals{}, &run{creation: creation{trustAnnotations: true}}, "ID"},
		{"buildah create", "--systemd-cgroup create --bundle /b --pid-file /b/pid --no-new-keyring NAME", globals{systemdCgroup: true},
			&create{creation{bundle: "/b", pidFile: "/b/pid", noNewKeyring: true}}, "NAME"},
		{"containerd create", "--root /run/r/ns --log LOG --log-format json --systemd-cgroup create --bundle /b --pid-file /b/init.pid --console-socket /tmp/pty1/pty.sock ID",
			globals{root: "/run/r/ns", logPath: log, logFormat: "json", systemdCgroup: true},
			&create{creation{bundle: "/b", pidFile: "/b/init.pid", consoleSocket: "/tmp/pty1/pty.sock"}}, "ID"},
		{"containerd exec", "--root /run/r/ns --log LOG --log-format json exec --process /tmp/runc-process1 --console-socket /s --detach --pid-file /b/e.pid ID",
			globals{root: "/run/r/ns", logPath: log, logFormat: "json"},
			&execute{file: "/tmp/runc-process1", consoleSocket: "/s", detach: true, pidFile: "/b/e.pid"}, "ID"},
		{"containerd ps", "--root /run/r/ns ps --format json ID", globals{root: "/run/r/ns"}, &ps{format: "json"}, "ID"},
		{"go-runc ps", "ps --format table ID -ef", globals{}, &ps{format: "table"}, "ID -ef"},
		{"containerd restore", "restore --image-path /i --detach --pid-file /p --no-pivot -no-subreaper --bundle /b ID", globals{}, &later{name: "restore"}, ""},
		{"go-runc run", "run --bundle /b --pid-file /p -no-subreaper ID", globals{}, &run{creation: creation{bundle: "/b", pidFile: "/p"}, noSubreaper: true}, "ID"},
		{"buildkit run", "--log LOG --log-format json run --bundle /b --no-pivot --keep ID", globals{logPath: log, logFormat: "json"},
			&run{creation: creation{bundle: "/b", noPivot: true}, keep: true}, "ID"},
		{"buildkit kill", "kill ID 9", globals{}, &kill{}, "ID 9"},
		{"cri-o create", "--systemd-cgroup --root=/r create --bundle /b --pid-file /b/pidfile ID", globals{systemdCgroup: true, root: "/r"},
			&create{creation{bundle: "/b", pidFile: "/b/pidfile"}}, "ID"},
		{"cri-o kill of all", "--root /r kill -a ID 15", globals{root: "/r"}, &kill{all: true}, "ID 15"},
		{"conmon-rs, twice", "--root=/r --systemd-cgroup --root=/r --systemd-cgroup create --bundle /b --pid-file /p --console-socket=/s ID",
			globals{root: "/r", systemdCgroup: true}, &create{creation{bundle: "/b", pidFile: "/p", consoleSocket: "/s"}}, "ID"},
		{"conmon-rs exec", "--root=/r exec -d --console-socket=/s --tty --pid-file=/p ID sh -c -d --tty",
			globals{root: "/r"}, &execute{detach: true, consoleSocket: "/s", tty: true, pidFile: "/p"}, "ID sh -c -d --tty"},
		{"criu's path", "--criu /usr/sbin/criu list --format=json", globals{criu: "/usr/sbin/criu"}, &list{format: "json"}, ""},
		{"one dash", "-root /r -log-format json run -bundle /b -detach ID", globals{root: "/r", logFormat: "json"},
			&run{creation: creation{bundle: "/b"}, detach: true}, "ID"},
		{"flags behind the id", "state --root /r ID", globals{root: "/r"}, &state{}, "ID"},
		{"flags behind the id of run", "run ID -b /b --root=/r -d", globals{root: "/r"}, &run{creation: creation{bundle: "/b"}, detach: true}, "ID"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, c, words := parseLine(t, strings.ReplaceAll(test.line, "LOG", log))
			for name, p := range map[string]*string{"text": &test.globals.logFormat, "info": &test.globals.logLevel, "auto": &test.globals.rootless} {
				if *p == "" {
					*p = name
				}
			}
			if diff := cmp.Diff(test.globals, s.globals, cmp.AllowUnexported(globals{})); diff != "" {
				t.Error(diff)
			}
			if e, ok := c.(*execute); ok {
				e.set = nil
			}
			if !reflect.DeepEqual(c, test.want) {
				t.Errorf("%+v, not %+v", c, test.want)
			}
			if _, unread := c.(*later); !unread && strings.Join(words, " ") != test.words {
				t.Errorf("words %q, not %q", words, test.words)
			}
		})
	}
}

func TestFlagsAreNormalised(t *testing.T) {
	for _, test := range []struct {
		first    bool
		in, want string
	}{
		{false, "", ""},
		{false, "-bundle x", "--bundle x"},
		{false, "-bundle=x", "--bundle=x"},
		{false, "--bundle x", "--bundle x"},
		{false, "-b x -detach", "-b x --detach"},
		{false, "-bx -detach", "-bx --detach"},
		{false, "-db x -detach", "-db x --detach"},
		{false, "-d -detach", "-d --detach"},
		{false, "-b -detach", "-b -detach"}, // a strange value, but a value
		{false, "--bundle -detach", "--bundle -detach"},
		{false, "-bundle -detach -detach", "--bundle -detach --detach"},
		{false, "-frob -detach", "-frob --detach"},
		{false, "-help", "--help"},
		{false, "-h", "-h"},
		{false, "-- -detach", "-- -detach"},
		{false, "word -detach", "word --detach"},
		{false, "- -detach", "- --detach"},
		{true, "word -detach", "word -detach"},
		{true, "-detach word -detach", "--detach word -detach"},
		{true, "-b word -detach", "-b word --detach"},
	} {
		f := newFlags("test")
		f.StringP("bundle", "b", "", "")
		f.BoolP("detach", "d", false, "")
		in := strings.Fields(test.in)
		got := strings.Join(normalise(f, in, test.first), " ")
		if got != test.want {
			t.Errorf("%q became %q, not %q", test.in, got, test.want)
		}
		if strings.Join(in, " ") != test.in {
			t.Errorf("%q was changed in place to %q", test.in, in)
		}
	}
}

// exec has to be recognised before flags are parsed.
func TestWrongLinesAreRefused(t *testing.T) {
	for _, test := range []struct {
		line, cause string
		status      int
	}{
		{"", "no command", 1},
		{"frob", `unknown command "frob"`, 1},
		{"--frob state x", "unknown flag: --frob", 1},
		{"run --frob x", "unknown flag: --frob", 1},
		{"run -frob x", "unknown shorthand flag: 'f' in -frob", 1},
		{"run", "run needs more words", 1},
		{"run a b", "run takes fewer words", 1},
		{"kill", "kill needs more words", 1},
		{"kill a b c", "kill takes fewer words", 1},
		{"update", "update needs more words", 1},
		{"update --memory 0 x", "0 would change nothing; -1 is no limit", 1},
		{"update --memory 1x x", `"1x" is neither an amount such as`, 1},
		{"update --cpu-share -1 x", `invalid argument "-1" for "--cpu-share"`, 1},
		{"update --blkio-weight 70000 x", `invalid argument "70000" for "--blkio-weight"`, 1},
		{"update --l3-cache-schema L3:0=f x", "schemas of Intel RDT: this version of mycr cannot do it yet", 1},
		{"update --mem-bw-schema=MB:0=20 x", "schemas of Intel RDT: this version of mycr cannot do it yet", 1},
		{"pause", "pause needs more words", 1},
		{"resume a b", "resume takes fewer words", 1},
		{"events", "events needs more words", 1},
		{"events --interval soon x", `invalid argument "soon" for "--interval"`, 1},
		{"stats --stream=maybe", `invalid argument "maybe" for "--stream"`, 1},
		{"restore --lsm-mount-context", "flag needs an argument: --lsm-mount-context", 1},
		{"create --preserve-fds x c", `invalid argument "x" for "--preserve-fds"`, 1},
		{"--log-format xml state c", `--log-format: "xml" is none of text, json`, 1},
		{"--cgroup-manager=x state c", `--cgroup-manager: "x" is none of systemd, cgroupfs, disabled`, 1},
		{"--rootless maybe state c", `--rootless: "maybe" is none of true, false, auto`, 1},
		{"--log-level loud state c", `--log-level: "loud" is none of`, 1},
		{"--log /nope/log state c", `--log: open "/nope/log": no such file or directory`, 1},
		{"do", "do needs more words", 125},
		{"do --frob -- true", "unknown flag: --frob", 125},
	} {
		_, _, status, err := (&session{}).parse(strings.Fields(test.line))
		if err == nil || !strings.Contains(err.Error(), test.cause) {
			t.Errorf("%q: %v, not %q", test.line, err, test.cause)
		}
		if max(status, 1) != test.status {
			t.Errorf("%q: status %d, not %d", test.line, status, test.status)
		}
		if err != nil && hintOf(err) == "" {
			t.Errorf("%q: no hint", test.line)
		}
	}
}

func TestHelpAndVersionNeedNothingElse(t *testing.T) {
	for line, want := range map[string]command{
		"--help": &help{}, "-h": &help{}, "-help": &help{}, "run --help": &help{}, "checkpoint --help": &later{"checkpoint"}, "restore -h": &later{"restore"},
		"exec -h": &help{}, "do --help": &help{}, "--version": &versionOf{}, "-v": &versionOf{}, "-version": &versionOf{},
	} {
		if _, c, _ := parseLine(t, line); !reflect.DeepEqual(c, want) {
			t.Errorf("%s: %T", line, c)
		}
	}
}

// Every command can be made, and its flags get on with the global ones.
func TestEveryCommandHasHelp(t *testing.T) {
	for _, name := range names {
		c := named(name)
		if c == nil {
			t.Errorf("%s is no command", name)
			continue
		}
		f := newFlags(name)
		c.flags(f)
		(&globals{}).define(f)
		f.VisitAll(func(flag *pflag.Flag) {
			if flag.Usage == "" && !flag.Hidden {
				t.Errorf("%s --%s says nothing of itself", name, flag.Name)
			}
		})
		if c.about().does == "" {
			t.Errorf("%s says nothing of itself", name)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	args := strings.Fields("--root /run/r/ns --log-format json --systemd-cgroup create --bundle /b --pid-file /b/init.pid ID")
	for b.Loop() {
		if _, _, _, err := (&session{}).parse(args); err != nil {
			b.Fatal(err)
		}
	}
}
