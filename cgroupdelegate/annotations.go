// SPDX-License-Identifier: Apache-2.0

package cgroupdelegate

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

// propertyPrefix is what runc and crun know annotations of unit properties by.
const propertyPrefix = "org.systemd.property."

// annotationProperties turns annotations org.systemd.property.NAME into
// properties, sorted by name. Without trust only those pass that engines are
// known to send: podman's KillSignal and TimeoutStopUSec.
func annotationProperties(annotations map[string]string, trusted bool) ([]Property, error) {
	var all []Property
	for _, key := range sortedKeys(annotations) {
		name, ok := strings.CutPrefix(key, propertyPrefix)
		if !ok {
			continue
		}
		p, err := annotated(name, annotations[key])
		if err != nil {
			return nil, fmt.Errorf("annotations[%q]: %w", key, err)
		}
		if !trusted && p.Name != "KillSignal" && p.Name != "TimeoutStopUSec" {
			return nil, &Refusal{
				Cause:  fmt.Sprintf("annotations[%q]: a bundle may not set properties of systemd's units", key),
				Remedy: "--trust-annotations allows it",
			}
		}
		if slices.ContainsFunc(all, func(other Property) bool { return other.Name == p.Name }) {
			return nil, fmt.Errorf("annotations[%q]: %s is set twice", key, p.Name)
		}
		all = append(all, p)
	}
	return all, nil
}

func annotated(name, text string) (Property, error) {
	// The same rule as runc's: letters, and at least three.
	if len(name) < 3 || strings.ContainsFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') }) {
		return Property{}, errors.New("not the name of a property")
	}
	switch name {
	case "PIDs", "PIDFDs", "Slice", "Delegate", "DefaultDependencies", "CollectMode":
		return Property{}, errors.New("mycr sets this property itself")
	}
	v, err := parseAny(text)
	if err != nil {
		return Property{}, err
	}
	// Unit files have TimeoutStopSec=, the bus has TimeoutStopUSec, and runc and crun take both.
	stem, ok := strings.CutSuffix(name, "Sec")
	if ok && stem != "" && stem[len(stem)-1] >= 'a' && stem[len(stem)-1] <= 'z' {
		name = stem + "USec"
		if v, err = microseconds(v); err != nil {
			return Property{}, fmt.Errorf("%q: %w", text, err)
		}
	}
	return propertyOf(name, v), nil
}

// parseAny parses a value that says its type itself. As in GVariant, a bare
// number is an int32 or a double, and the type of an array is that of its first element.
func parseAny(text string) (dbus.Variant, error) {
	p := &textParser{text: text, rest: text}
	signature, err := p.infer(0)
	if err != nil {
		return dbus.Variant{}, err
	}
	return parseValue(signature, text)
}

func (p *textParser) infer(depth int) (string, error) {
	if code := p.annotation(); code != "" {
		return code, nil
	}
	s := p.space()
	switch {
	case s == "" || depth > deepest:
		return "", p.unexpected("a value")
	case s[0] == '"', s[0] == '\'':
		_, err := p.str()
		return "s", err
	case p.take("["):
		if p.take("]") {
			return "", fmt.Errorf("%q: an empty array needs a type, as @as []", p.text)
		}
		of, err := p.infer(depth + 1)
		return "a" + of, err
	case p.take("("):
		return p.inferFields(depth)
	}
	word := p.word()
	switch {
	case word == "true", word == "false":
		return "b", nil
	case word == "":
		return "", p.unexpected("a value")
	case !strings.HasPrefix(word, "0x") && strings.ContainsAny(word, ".e"):
		return "d", nil
	}
	return "i", nil
}

// inferFields passes over each field of a tuple, since the next one's type is behind it.
func (p *textParser) inferFields(depth int) (string, error) {
	for signature := "("; ; {
		before := p.rest
		of, err := p.infer(depth + 1)
		if err != nil {
			return "", err
		}
		p.rest = before
		t, rest, err := goType(of, depth+1)
		if err == nil && rest != "" {
			err = p.unexpected("one type")
		}
		if err == nil {
			_, err = p.value(t)
		}
		if err != nil {
			return "", err
		}
		signature += of
		switch {
		case p.take(")"):
			return signature + ")", nil
		case !p.take(","):
			return "", p.unexpected(", or )")
		case p.take(")"):
			return signature + ")", nil
		}
	}
}

func microseconds(v dbus.Variant) (dbus.Variant, error) {
	const second = 1000000
	n := reflect.ValueOf(v.Value())
	var seconds uint64
	switch {
	case n.CanUint():
		seconds = n.Uint()
	case n.CanInt() && n.Int() >= 0:
		seconds = uint64(n.Int())
	case n.CanFloat() && n.Float() >= 0 && n.Float() < math.MaxUint64/second:
		return dbus.MakeVariant(uint64(n.Float() * second)), nil
	default:
		return v, errors.New("not a number of seconds")
	}
	if seconds > math.MaxUint64/second {
		return v, errors.New("too many seconds")
	}
	return dbus.MakeVariant(seconds * second), nil
}
