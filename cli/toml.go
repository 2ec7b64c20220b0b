// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strconv"
	"strings"
)

// tomlEntry is a table's header, or a key with its value, in a file of
// https://toml.io. It says where things are, not what all of them mean.
type tomlEntry struct {
	path   []string // the key's own, below its table
	header bool
	value  string // as it is written
	line   int
}

// is tells whether the entry has that path.
func (e *tomlEntry) is(path ...string) bool {
	return len(e.path) == len(path) && e.within(path)
}

// within tells whether path begins with the entry's.
func (e *tomlEntry) within(path []string) bool {
	if len(e.path) > len(path) {
		return false
	}
	for i, name := range e.path {
		if path[i] != name {
			return false
		}
	}
	return true
}

// tomlScanner reads a text from its beginning to its end.
type tomlScanner struct {
	text string
	at   int
}

// scanTOML finds all headers and keys.
func scanTOML(text string) ([]tomlEntry, error) {
	s := &tomlScanner{text: text}
	var list []tomlEntry
	var table []string
	for s.skip("\n"); s.at < len(s.text); s.skip("\n") {
		e := tomlEntry{line: s.line()}
		var err error
		if e.header = s.text[s.at] == '['; e.header {
			table, err = s.header()
			e.path = table
		} else {
			e.path, err = s.keys()
			e.path = append(append([]string(nil), table...), e.path...)
			if err == nil {
				e.value, err = s.value()
			}
		}
		if err == nil {
			if s.skip(""); s.at < len(s.text) && s.text[s.at] != '\n' {
				err = fmt.Errorf("%q is too much", s.rest())
			}
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: not TOML: %w", s.line(), err)
		}
		list = append(list, e)
	}
	return list, nil
}

func (s *tomlScanner) line() int { return 1 + strings.Count(s.text[:min(s.at, len(s.text))], "\n") }

// rest is what is left of the line.
func (s *tomlScanner) rest() string {
	line, _, _ := strings.Cut(s.text[min(s.at, len(s.text)):], "\n")
	return line
}

// skip passes white space and comments, and new lines where they are in more.
func (s *tomlScanner) skip(more string) {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '#':
			s.at += len(s.rest())
		case c == ' ' || c == '\t' || c == '\r' || strings.IndexByte(more, c) >= 0:
			s.at++
		default:
			return
		}
	}
}

// take passes a word that is to come.
func (s *tomlScanner) take(word string) error {
	if s.skip(""); !strings.HasPrefix(s.text[s.at:], word) {
		return fmt.Errorf("%q is wanted before %q", word, s.rest())
	}
	s.at += len(word)
	return nil
}

func (s *tomlScanner) header() ([]string, error) {
	open, end := "[", "]"
	if strings.HasPrefix(s.text[s.at:], "[[") {
		open, end = "[[", "]]"
	}
	s.at += len(open)
	path, err := s.path()
	if err != nil {
		return nil, err
	}
	return path, s.take(end)
}

func (s *tomlScanner) keys() ([]string, error) {
	path, err := s.path()
	if err != nil {
		return nil, err
	}
	return path, s.take("=")
}

// path reads names with dots between them.
func (s *tomlScanner) path() ([]string, error) {
	const bare = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	var path []string
	for {
		s.skip("")
		rest := s.text[s.at:]
		switch {
		case rest != "" && (rest[0] == '"' || rest[0] == '\''):
			word, err := s.word()
			if err != nil {
				return nil, err
			}
			path = append(path, word)
		default:
			n := len(rest) - len(strings.TrimLeft(rest, bare))
			if n == 0 {
				return nil, fmt.Errorf("%q is no key", s.rest())
			}
			path = append(path, rest[:n])
			s.at += n
		}
		if s.skip(""); s.at >= len(s.text) || s.text[s.at] != '.' {
			return path, nil
		}
		s.at++
	}
}

// word reads a string and returns what it means.
func (s *tomlScanner) word() (string, error) {
	start := s.at
	if err := s.passString(); err != nil {
		return "", err
	}
	text := s.text[start:s.at]
	switch {
	case strings.HasPrefix(text, `"""`) || strings.HasPrefix(text, "'''"):
		return "", fmt.Errorf("a string of several lines is no name")
	case text[0] == '\'':
		return text[1 : len(text)-1], nil
	}
	word, err := strconv.Unquote(text)
	if err != nil {
		return "", fmt.Errorf("the string %s: %w", text, err)
	}
	return word, nil
}

// passString passes one of the four kinds of string.
func (s *tomlScanner) passString() error {
	quote := s.text[s.at : s.at+1]
	long := strings.HasPrefix(s.text[s.at:], quote+quote+quote)
	if long {
		quote += quote + quote
	}
	for i := s.at + len(quote); i < len(s.text); i++ {
		switch {
		case s.text[i] == '\\' && quote[0] == '"':
			i++
		case s.text[i] == '\n' && !long:
			return fmt.Errorf("the string %s has no end", s.rest())
		case strings.HasPrefix(s.text[i:], quote):
			// Up to two more quotes belong to a long string.
			for long && strings.HasPrefix(s.text[i+1:], quote) {
				i++
			}
			s.at = i + len(quote)
			return nil
		}
	}
	return fmt.Errorf("the string %s has no end", s.rest())
}

// value passes a value, which may go over several lines in brackets.
func (s *tomlScanner) value() (string, error) {
	s.skip("")
	start, depth := s.at, 0
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case '"', '\'':
			if err := s.passString(); err != nil {
				return "", err
			}
			continue
		case '[', '{':
			depth++
		case ']', '}':
			if depth--; depth < 0 {
				return "", fmt.Errorf("%q closes nothing", c)
			}
		case '#':
			if depth == 0 {
				return s.valueFrom(start)
			}
			s.at += len(s.rest())
			continue
		case '\n':
			if depth == 0 {
				return s.valueFrom(start)
			}
		}
		s.at++
	}
	if depth > 0 {
		return "", fmt.Errorf("a bracket is not closed")
	}
	return s.valueFrom(start)
}

func (s *tomlScanner) valueFrom(start int) (string, error) {
	value := strings.TrimSpace(s.text[start:s.at])
	if value == "" {
		return "", fmt.Errorf("a key has no value")
	}
	return value, nil
}

// tomlStrings reads an array of strings. more tells whether it has
// containers.conf(5)'s {append=true}.
func tomlStrings(value string) (list []string, more bool, err error) {
	s := &tomlScanner{text: value}
	if err := s.take("["); err != nil {
		return nil, false, err
	}
	for {
		s.skip("\n,")
		switch rest := s.text[s.at:]; {
		case strings.HasPrefix(rest, "]"):
			return list, more, nil
		case strings.HasPrefix(rest, "{"):
			inner, _, found := strings.Cut(rest[1:], "}")
			if !found {
				return nil, false, fmt.Errorf("%q is not closed", rest)
			}
			key, word, _ := strings.Cut(inner, "=")
			more = more || strings.TrimSpace(key) == "append" && strings.TrimSpace(word) == "true"
			s.at += len(inner) + 2
		case rest != "" && (rest[0] == '"' || rest[0] == '\''):
			word, err := s.word()
			if err != nil {
				return nil, false, err
			}
			list = append(list, word)
		default:
			return nil, false, fmt.Errorf("%q is no string", s.rest())
		}
	}
}
