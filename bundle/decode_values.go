// SPDX-License-Identifier: Apache-2.0

package bundle

import "strconv"

// The kinds of values. Each leaves into alone where the value is null.

func text[T ~string](d *decoder, into *T) {
	switch {
	case d.peek() == '"':
		*into = T(d.string())
	case !d.null():
		d.wrong("a string")
	}
}

func boolean(d *decoder, into *bool) {
	switch {
	case d.word("true"):
		*into = true
	case d.word("false"):
		*into = false
	case !d.null():
		d.wrong("true or false")
	}
}

func signed[T ~int | ~int32 | ~int64](d *decoder, into *T) {
	c := d.peek()
	if c != '-' && (c < '0' || c > '9') {
		if !d.null() {
			d.wrong("a number")
		}
		return
	}
	number := d.number()
	if d.err != nil {
		return
	}
	v, err := strconv.ParseInt(number, 10, 64)
	if *into = T(v); err != nil || int64(*into) != v {
		d.fail("%s is not a whole number that fits in %d bits", shorten(number), bits[T]())
	}
}

func unsigned[T ~uint | ~uint16 | ~uint32 | ~uint64](d *decoder, into *T) {
	c := d.peek()
	if c != '-' && (c < '0' || c > '9') {
		if !d.null() {
			d.wrong("a number")
		}
		return
	}
	number := d.number()
	if d.err != nil {
		return
	}
	v, err := strconv.ParseUint(number, 10, 64)
	if *into = T(v); err != nil || uint64(*into) != v {
		d.fail("%s is not a whole number from 0 to %d", shorten(number), ^T(0))
	}
}

// bits counts the bits of a signed type.
func bits[T ~int | ~int32 | ~int64]() int {
	n := 1
	for v := T(1); v > 0; v <<= 1 {
		n++
	}
	return n
}

func pointer[T any](d *decoder, into **T, value func(*decoder, *T)) {
	if d.null() {
		return
	}
	*into = new(T)
	value(d, *into)
}

func texts[T ~string](d *decoder, into *[]T) {
	array(d, into, " of strings", text)
}

func list[T any](d *decoder, into *[]T, value func(*decoder, *T)) {
	array(d, into, "", value)
}

func array[T any](d *decoder, into *[]T, what string, value func(*decoder, *T)) {
	if d.null() {
		return
	}
	*into = []T{}
	for range d.elements(what) {
		if d.peek() == 'n' { // encoding/json makes a zero value of it
			d.wrong("a value")
			return
		}
		var element T
		value(d, &element)
		*into = append(*into, element)
	}
}

func table[T any](d *decoder, into *map[string]T, value func(*decoder, *T)) {
	if d.null() {
		return
	}
	*into = make(map[string]T)
	for key := range d.members() {
		if _, twice := (*into)[key]; twice {
			d.fail("given twice")
			return
		}
		if d.peek() == 'n' {
			d.wrong("a value")
			return
		}
		var element T
		value(d, &element)
		(*into)[key] = element
	}
}

func (d *decoder) null() bool { return d.word("null") }
