// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestCopyUntil splits a stream at every place: what a command wrote comes through as it is, zero bytes and the
// beginnings of marks included, and nothing of the mark does.
func TestCopyUntil(t *testing.T) {
	const mark = "\x00end-ABC\n"
	for _, said := range []string{"", "hello\n", "\x00\x00", "a\x00end-ABD\n", "\x00end-", "end-ABC\n", strings.Repeat("x\x00", 10000)} {
		stream := said + mark + "the next command's"
		for _, reader := range []io.Reader{
			strings.NewReader(stream),
			iotest.OneByteReader(strings.NewReader(stream)),
			iotest.HalfReader(strings.NewReader(stream)),
		} {
			var got bytes.Buffer
			if err := copyUntil(&got, bufio.NewReader(reader), mark); err != nil || got.String() != said {
				t.Errorf("%.20q came as %.20q, %v", said, got.String(), err)
			}
		}
	}
	var got bytes.Buffer
	err := copyUntil(&got, bufio.NewReader(strings.NewReader("half")), mark)
	if !errors.Is(err, io.EOF) || got.String() != "half" {
		t.Errorf("a machine that ends: %q, %v", got.String(), err)
	}
}
