// SPDX-License-Identifier: Apache-2.0

package engines

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"mycr/integration/engines/transcript"
	"mycr/integration/testbed"
)

// suites are the machines' Debians.
var suites = []string{"bookworm", "trixie"}

// words is what each command of a session finds defined.
//
//go:embed testdata/words.sh
var words string

// session has each section of testdata/NAME.txt done under mycr and then under the other runtime, the engine's usual
// one. The short run is mycr's alone: that what is in the file is the other's output too is for the long one to say.
func session(t *testing.T, name, other string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := transcript.Parse(string(text), []string{"mycr", other}, suites)
	if err != nil {
		t.Fatalf("%s.txt: %v", name, err)
	}
	if machine == "" {
		t.Skip("needs a machine: integration/vm/run")
	}
	runtimes := []string{"mycr"}
	if all {
		runtimes = append(runtimes, other)
	}
	for _, runtime := range runtimes {
		t.Run(runtime, func(t *testing.T) { under(t, parsed, name, runtime) })
	}
}

// A desk is where one session under one runtime is typed.
type desk struct {
	dir, name, runtime string
}

func under(t *testing.T, parsed *transcript.Transcript, name, runtime string) {
	d := desk{dir: filepath.Join(scratch, name+"-"+runtime), name: name, runtime: runtime}
	if err := os.Mkdir(d.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("tar", "-C", filepath.Join(scratch, "rootfs"), "-cf", d.dir+"/rootfs.tar", ".").Run(); err != nil {
		t.Fatalf("rootfs.tar: %v", err)
	}
	t.Cleanup(func() { d.close(t) })
	for _, step := range parsed.Setup {
		if !d.do(t, step) {
			t.Fatalf("%s.txt:%d: nothing else can be done without it", name, step.Line)
		}
	}
	for _, section := range parsed.Sections {
		if !all && !slices.Contains(section.Short, machine) {
			continue
		}
		t.Run(section.Name, func(t *testing.T) {
			for _, word := range []string{machine, runtime} {
				if reason := section.NotOn[word]; reason != "" {
					t.Skip(reason)
				}
			}
			for _, step := range section.Steps {
				d.do(t, step)
			}
		})
	}
}

// do has one command typed and says whether what came was what is wanted.
func (d desk) do(t *testing.T, step transcript.Step) bool {
	t.Helper()
	output, status, hung := d.typed(t, step.Command)
	want, wantStatus := step.Want(d.runtime, machine)
	if hung {
		t.Errorf("%s.txt:%d: hung: $ %s\n%s", d.name, step.Line, step.Command, output)
	} else if strconv.Itoa(status) != wantStatus || !transcript.Matches(want, output) {
		t.Errorf("%s.txt:%d: $ %s\n%s? %d\nnot\n%s? %s", d.name, step.Line, step.Command, transcript.Normal(output), status, want, wantStatus)
	} else {
		return true
	}
	return false
}

// typed has bash do it, with both streams in one file: a container that outlives the command may hold it.
func (d desk) typed(t *testing.T, command string) (output string, status int, hung bool) {
	t.Helper()
	file, err := os.CreateTemp(scratch, "output-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	cmd := exec.Command("bash", "-c", words+"\n"+command)
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "RUNTIME="+d.runtime, "DESK="+d.dir)
	cmd.Stdout, cmd.Stderr = file, file
	r, err := testbed.Run(cmd)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text), r.Status, r.Hung
}

// close has done what the commands have put off with the word "finally", the last first.
func (d desk) close(t *testing.T) {
	if output, status, hung := d.typed(t, "[ ! -e finally ] || tac finally | bash"); status != 0 || hung {
		t.Errorf("%s.txt: at the end: %s? %d, hung: %v", d.name, output, status, hung)
	}
}
