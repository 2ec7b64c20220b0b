// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"strings"
)

// machine is an ELF e_machine with its class: what a program was built for.
type machine struct {
	number uint16
	class  byte // 1 is 32 bits, 2 is 64
	little bool
}

// machineHere is what this build of mycr runs on.
func machineHere() machine {
	switch runtime.GOARCH {
	case "amd64":
		return machine{62, 2, true}
	case "arm64":
		return machine{183, 2, true}
	case "riscv64":
		return machine{243, 2, true}
	case "ppc64le":
		return machine{21, 2, true}
	case "s390x":
		return machine{22, 2, false}
	case "386":
		return machine{3, 1, true}
	case "arm":
		return machine{40, 1, true}
	}
	return machine{}
}

// runs says whether the kernel of here may run a program for m: its own kind,
// and the 32-bit one of the family.
func (here machine) runs(m machine) bool {
	return here == m || here.number == 0 ||
		here.number == 62 && (m.number == 3 || m.number == 62) && m.little ||
		here.number == 183 && m == machine{40, 1, true}
}

func (m machine) String() string {
	name := ""
	switch m.number {
	case 3:
		name = "i386"
	case 8:
		name = "mips"
	case 20:
		name = "ppc"
	case 21:
		name = "ppc64"
		if m.little {
			name = "ppc64le"
		}
	case 22:
		name = "s390x"
	case 40:
		name = "arm"
	case 62:
		name = "x86_64"
	case 183:
		name = "aarch64"
	case 243:
		name = "riscv"
	case 258:
		name = "loongarch"
	default:
		name = fmt.Sprintf("machine %d", m.number)
	}
	if m.class == 1 && m.number != 3 && m.number != 40 {
		name += " (32 bits)"
	}
	return name
}

// explainELF says why an ELF file cannot be executed on a machine where exists
// tells which files there are; "" if it finds no reason. It continues a
// sentence that begins with the file's name. See elf(5).
func explainELF(r io.ReaderAt, here machine, exists func(string) bool) string {
	head := make([]byte, 64)
	n, _ := r.ReadAt(head, 0)
	if n < 52 {
		return "is a truncated program"
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch head[5] {
	case 1:
	case 2:
		order = binary.BigEndian
	default:
		return "is a damaged program: its byte order is unknown"
	}
	m := machine{number: order.Uint16(head[18:]), class: head[4], little: head[5] == 1}
	if m.class != 1 && m.class != 2 || m.class == 2 && n < 64 {
		return "is a damaged or truncated program"
	}
	if !here.runs(m) {
		return fmt.Sprintf("is built for %v, this machine is %v", m, here)
	}
	switch order.Uint16(head[16:]) {
	case 2, 3: // ET_EXEC, ET_DYN
	case 1:
		return "is an object file, not a linked program"
	case 4:
		return "is a core dump"
	default:
		return "is an ELF file, but not a program"
	}
	loader, why := elfInterpreter(r, order, head, m.class)
	if why != "" || loader == "" || exists(loader) {
		return why
	}
	return fmt.Sprintf("needs the loader %s%s, which does not exist in the container%s", loader, libcOf(loader), otherLibc(loader, exists))
}

// elfInterpreter finds PT_INTERP among the program headers.
func elfInterpreter(r io.ReaderAt, order binary.ByteOrder, head []byte, class byte) (loader, why string) {
	var off uint64
	var size, count int
	if class == 2 {
		off, size, count = order.Uint64(head[32:]), int(order.Uint16(head[54:])), int(order.Uint16(head[56:]))
	} else {
		off, size, count = uint64(order.Uint32(head[28:])), int(order.Uint16(head[42:])), int(order.Uint16(head[44:]))
	}
	want := 32
	if class == 2 {
		want = 56
	}
	const most = 65536 // bytes of headers that the kernel reads, ELF_MIN_ALIGN of the largest pages
	if size != want || count == 0 || size*count > most || off > 1<<62 {
		return "", "is a damaged program: it has no program headers that can be read"
	}
	table := make([]byte, size*count)
	if n, _ := r.ReadAt(table, int64(off)); n < len(table) {
		return "", "is a truncated program"
	}
	for i := range count {
		h := table[i*size:]
		if order.Uint32(h) != 3 { // PT_INTERP
			continue
		}
		var at, length uint64
		if class == 2 {
			at, length = order.Uint64(h[8:]), order.Uint64(h[32:])
		} else {
			at, length = uint64(order.Uint32(h[4:])), uint64(order.Uint32(h[16:]))
		}
		if length < 2 || length > 4096 || at > 1<<62 { // as load_elf_binary
			return "", "is a damaged program: its loader's name cannot be read"
		}
		name := make([]byte, length)
		if n, _ := r.ReadAt(name, int64(at)); n < len(name) {
			return "", "is a truncated program"
		}
		name, _, _ = bytes.Cut(name, []byte{0})
		if i := bytes.IndexFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }); i >= 0 || len(name) == 0 {
			return "", "is a damaged program: its loader's name cannot be read"
		}
		return string(name), ""
	}
	return "", ""
}

func libcOf(loader string) string {
	switch {
	case strings.Contains(loader, "ld-musl"):
		return " (of musl, as in Alpine)"
	case strings.Contains(loader, "ld-linux"), strings.Contains(loader, "/ld64.so"), strings.Contains(loader, "/ld.so"):
		return " (of glibc)"
	}
	return ""
}

// otherLibc says which C library there is instead.
func otherLibc(loader string, exists func(string) bool) string {
	if !strings.Contains(loader, "ld-musl") {
		for _, arch := range []string{"x86_64", "aarch64", "riscv64", "ppc64le", "s390x", "i386", "armhf"} {
			if exists("/lib/ld-musl-" + arch + ".so.1") {
				return ": its C library is musl"
			}
		}
		return ""
	}
	for _, file := range []string{"/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib/ld-linux-riscv64-lp64d.so.1", "/lib64/ld64.so.2", "/lib/ld64.so.1"} {
		if exists(file) {
			return ": its C library is glibc"
		}
	}
	return ""
}
