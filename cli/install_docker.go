// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"mycr/container"
)

// dockerFile is daemon.json, see dockerd(8).
func dockerFile(exe string) *engineFile {
	e := &engineFile{
		engine: "docker", flag: "--docker", path: "docker/daemon.json",
		says:   "runtimes.mycr.path is " + exe,
		notice: "systemctl reload docker",
		use:    "docker run --rm --runtime=mycr IMAGE",
		with:   func(old []byte) ([]byte, error) { return dockerWith(old, exe) }, without: dockerWithout,
	}
	if !container.RealRoot() {
		// What systemd signals there is RootlessKit, which does not hand it on.
		e.notice = "systemctl --user restart docker"
	}
	return e
}

func dockerWith(old []byte, exe string) ([]byte, error) {
	if len(bytes.TrimSpace(old)) == 0 { // which dockerd takes for no configuration
		old = []byte("{}\n")
	}
	top, err := readObject(old)
	if err != nil {
		return nil, err
	}
	path := quoteJSON(exe)
	runtimes, err := top.object("runtimes")
	if err != nil {
		return nil, err
	}
	if runtimes == nil {
		return top.insert("runtimes", func(in string) string {
			return "{" + in + "    \"mycr\": {" + in + "        \"path\": " + path + in + "    }" + in + "}"
		}), nil
	}
	mycr, err := runtimes.object("mycr")
	if err != nil {
		return nil, fmt.Errorf("runtimes: %w", err)
	}
	if mycr == nil {
		return runtimes.insert("mycr", func(in string) string { return "{" + in + "    \"path\": " + path + in + "}" }), nil
	}
	if mycr.find("runtimeType") >= 0 {
		return nil, errors.New("runtimes.mycr has a runtimeType, beside which docker takes no path")
	}
	if i := mycr.find("path"); i >= 0 {
		return splice(old, mycr.members[i].value, mycr.members[i].end, path), nil
	}
	return mycr.insert("path", func(string) string { return path }), nil
}

func dockerWithout(old []byte) ([]byte, error) {
	if len(bytes.TrimSpace(old)) == 0 {
		return old, nil
	}
	top, err := readObject(old)
	if err != nil {
		return nil, err
	}
	runtimes, err := top.object("runtimes")
	if err != nil || runtimes == nil || runtimes.find("mycr") < 0 {
		return old, err
	}
	if i := top.find("default-runtime"); i >= 0 && string(old[top.members[i].value:top.members[i].end]) == `"mycr"` {
		return nil, errors.New("default-runtime is mycr, without which docker would not start")
	}
	text := runtimes.cut("mycr")
	if len(runtimes.members) == 1 {
		text = top.cut("runtimes")
		if len(top.members) == 1 {
			return nil, nil
		}
	}
	return text, nil
}

func quoteJSON(text string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(text) // of a string there is no error
	return strings.TrimSpace(b.String())
}

// object is a JSON object as text, so that all of it can stay as it is.
type object struct {
	text    []byte
	open    int // offset of {
	close   int // offset of }
	members []member
}

// member is a key with its value, by offsets.
type member struct {
	name            string
	key, value, end int
}

// readObject reads the object that is a whole file.
func readObject(text []byte) (*object, error) {
	var all any
	if err := json.Unmarshal(text, &all); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			before := text[:min(max(int(syntax.Offset)-1, 0), len(text))]
			return nil, fmt.Errorf("line %d: not JSON: %w", 1+bytes.Count(before, []byte("\n")), err)
		}
		return nil, err
	}
	if _, ok := all.(map[string]any); !ok {
		return nil, errors.New("not a JSON object")
	}
	return objectAt(text, bytes.IndexByte(text, '{'))
}

func objectAt(text []byte, open int) (*object, error) {
	o := &object{text: text, open: open}
	d := json.NewDecoder(bytes.NewReader(text[open:]))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	at := func() int { return open + int(d.InputOffset()) }
	for d.More() {
		m := member{key: at()}
		for text[m.key] != '"' { // white space and a comma
			m.key++
		}
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		m.name, _ = token.(string)
		if o.find(m.name) >= 0 {
			return nil, fmt.Errorf("%q is there twice", m.name)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		m.end = at()
		m.value = m.end - len(value)
		o.members = append(o.members, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	o.close = at() - 1
	return o, nil
}

// find returns the index of a member, or -1.
func (o *object) find(name string) int {
	for i, m := range o.members {
		if m.name == name {
			return i
		}
	}
	return -1
}

// object returns the member of that name, nil if there is none.
func (o *object) object(name string) (*object, error) {
	i := o.find(name)
	if i < 0 {
		return nil, nil
	}
	at := o.members[i].value
	if o.text[at] != '{' {
		return nil, fmt.Errorf("%s is not an object", name)
	}
	inner, err := objectAt(o.text, at)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return inner, nil
}

// insert returns the text with one more member, written as the others are.
// value is given what begins a new line of it.
func (o *object) insert(name string, value func(newLine string) string) []byte {
	n := len(o.members)
	if n == 0 {
		outer := "\n" + indentAt(o.text, o.open)
		inner := outer + "    "
		return splice(o.text, o.open+1, o.close, inner+quoteJSON(name)+": "+value(inner)+outer)
	}
	last := o.members[n-1]
	between := string(o.text[o.open+1 : o.members[0].key])
	if n > 1 {
		between = strings.TrimLeft(string(o.text[o.members[n-2].end:last.key]), ", ")
	}
	newLine := " "
	if i := strings.LastIndexByte(between, '\n'); i >= 0 {
		newLine = between[i:]
	}
	text := value(newLine)
	if newLine == " " { // all of it in one line
		text = strings.Join(strings.Fields(strings.ReplaceAll(text, "    ", "")), " ")
	}
	return splice(o.text, last.end, last.end, ","+newLine+quoteJSON(name)+": "+text)
}

// indentAt is the white space that begins the line of an offset.
func indentAt(text []byte, at int) string {
	line := text[bytes.LastIndexByte(text[:at], '\n')+1 : at]
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

// cut returns the text without a member that is there.
func (o *object) cut(name string) []byte {
	i := o.find(name)
	switch {
	case len(o.members) == 1:
		return splice(o.text, o.open+1, o.close, "")
	case i == 0:
		comma := o.members[0].end + bytes.IndexByte(o.text[o.members[0].end:], ',')
		return splice(o.text, o.open+1, comma+1, "")
	}
	return splice(o.text, o.members[i-1].end, o.members[i].end, "")
}

// splice returns the text with what is between two offsets replaced.
func splice(text []byte, from, to int, by string) []byte {
	out := append([]byte(nil), text[:from]...)
	return append(append(out, by...), text[to:]...)
}
