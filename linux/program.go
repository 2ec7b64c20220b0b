// SPDX-License-Identifier: Apache-2.0

// Package linux wraps the system calls that golang.org/x/sys lacks, one file
// per kernel facility. It takes descriptors rather than paths where the kernel
// lets it and decides nothing.
package linux

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Program is a straight list of system calls, prepared beforehand, that can
// run where Go code must not: in the child of a raw clone3, between the clone
// and execve, where there is one thread and neither scheduler nor allocator.
// The same list can run in the current thread (Run), so that a process that is
// its container's init and one that joins it take the same last steps.
//
// Everything that a step points to lives on the heap and is held by the
// Program; the heap does not move, and the child has a copy of it.
type Program struct {
	steps []step
	what  []string
	keep  []any
	forks []*CloneArgs
	own   bool // see OwnMemory
}

// Result is the value that an earlier step returned; it can be an argument of
// a later step.
type Result int

// none marks an argument that is not a Result, memory one that is an At.
const (
	none   Result = -1
	memory Result = -2
)

// At is an argument that is read from memory when its step is reached.
type At *int32

type kind uint8

const (
	kindCall   kind = iota
	kindExpect      // *(*byte)(Args[0]) must be Args[1], else errno Args[2]
	kindStore       // *(*int32)(Args[0]) = Args[1]
	kindFork        // clone3; the parent reports the child's pid and exits
	kindSplit       // clone3; the parent takes the steps at Args[2] and reaps
)

// step is one system call. It has no pointers that Go knows of: keep has them.
type step struct {
	nr       uintptr
	args     [6]uintptr
	from     [6]int16 // index of the step whose result the argument is, or none, or memory
	tolerate [4]uint16
	ret      uintptr
	kind     kind
}

// NewProgram returns an empty list.
func NewProgram() *Program {
	return &Program{steps: make([]step, 0, 96), what: make([]string, 0, 96)}
}

// Call adds a system call. what says in an error's words what it does. An
// argument is any integer, a string (passed as a NUL-terminated copy), a
// []byte (its first byte's address), an unsafe.Pointer, a []unsafe.Pointer,
// or the Result of an earlier step.
func (p *Program) Call(what string, nr uintptr, args ...any) Result {
	return p.add(kindCall, what, nr, args...)
}

func (p *Program) add(k kind, what string, nr uintptr, args ...any) Result {
	s := step{nr: nr, kind: k}
	for i := range s.from {
		s.from[i] = int16(none)
	}
	for i, a := range args {
		if r, ok := a.(Result); ok {
			s.from[i] = int16(r)
			continue
		}
		if at, ok := a.(At); ok {
			s.from[i], a = int16(memory), unsafe.Pointer(at)
		}
		s.args[i] = p.word(a)
	}
	p.steps = append(p.steps, s)
	p.what = append(p.what, what)
	return Result(len(p.steps) - 1)
}

// word turns an argument into what a register holds.
func (p *Program) word(a any) uintptr {
	switch v := a.(type) {
	case int:
		return uintptr(v)
	case uintptr:
		return v
	case uint:
		return uintptr(v)
	case int32:
		return uintptr(v)
	case uint32:
		return uintptr(v)
	case int64:
		return uintptr(v)
	case uint64:
		return uintptr(v)
	case unsafe.Pointer:
		p.keep = append(p.keep, v)
		return uintptr(v)
	case string:
		b := append([]byte(v), 0)
		p.keep = append(p.keep, &b[0])
		return uintptr(unsafe.Pointer(&b[0]))
	case []byte:
		if len(v) == 0 {
			return 0
		}
		p.keep = append(p.keep, &v[0])
		return uintptr(unsafe.Pointer(&v[0]))
	case []unsafe.Pointer:
		if len(v) == 0 {
			return 0
		}
		p.keep = append(p.keep, &v[0])
		return uintptr(unsafe.Pointer(&v[0]))
	}
	panic(fmt.Sprintf("linux: argument of type %T", a))
}

// Strings returns a NULL-terminated array of C strings (argv, envp) that the
// Program holds, to be passed as an argument.
func (p *Program) Strings(words []string) unsafe.Pointer {
	size := 0
	for _, w := range words {
		size += len(w) + 1
	}
	text := make([]byte, 0, size+1)
	array := make([]unsafe.Pointer, len(words)+1)
	for i, w := range words {
		at := len(text)
		text = append(append(text, w...), 0)
		array[i] = unsafe.Pointer(&text[:size+1][at])
	}
	p.keep = append(p.keep, text, array)
	return unsafe.Pointer(&array[0])
}

// Tolerate lets the step that was just added fail with one of at most four
// errnos: the program goes on. EACCES is remembered and wins over what the
// last step says, as execvp does it.
func (p *Program) Tolerate(errnos ...unix.Errno) {
	s := &p.steps[len(p.steps)-1]
	for i, e := range errnos {
		s.tolerate[i] = uint16(e)
	}
}

// ExpectByte fails with errno unless the byte is want when the step is reached.
func (p *Program) ExpectByte(what string, at *byte, want byte, errno unix.Errno) {
	p.add(kindExpect, what, 0, unsafe.Pointer(at), int(want), int(errno))
}

// StoreInt32 writes a result into memory, for a descriptor in a control message.
func (p *Program) StoreInt32(at *int32, r Result) {
	p.add(kindStore, "store a result", 0, unsafe.Pointer(at), r)
}

// Fork clones again with CLONE_PARENT added, so that the new process is a
// sibling of the one that runs the list: the child goes on with the next step;
// the parent writes the child's pid, as the caller's pid namespace has it, to
// the status socket and exits with 0.
func (p *Program) Fork(what string, flags uint64) {
	args := &CloneArgs{Flags: flags | unix.CLONE_PARENT}
	p.forks = append(p.forks, args)
	p.add(kindFork, what, unix.SYS_CLONE3, unsafe.Pointer(args), int(unsafe.Sizeof(*args)))
}

// OwnMemory gives the child a copy of the memory. Otherwise it shares it until
// execve, and the parent stands still meanwhile, which saves the page tables'
// copy and as many page faults. Needed for a child that does not execute
// anything soon, and where a time namespace is entered (setns(2): EUSERS).
func (p *Program) OwnMemory() { p.own = true }

// Split clones: the child goes on with the next step; the parent takes the
// steps of init and then is a reaping init (see reap), so that what it does as
// long as the container lives needs no Go runtime. All signals are blocked in
// the parent from the beginning: process 1 of a pid namespace never gets one
// that is neither blocked nor handled (pid_namespaces(7)), and the child may
// run long before the parent has taken its steps.
func (p *Program) Split(what string, init *Program) {
	p.split(what, init, &CloneArgs{ExitSignal: uint64(unix.SIGCHLD)}, ^uint64(0))
}

// Keep clones: the child goes on with the next step; the parent takes the steps
// of keeper, of which the last ends it. Its pidfd of the child is pidfd there,
// and SIGTERM is blocked in it from the beginning: it would end before the child
// has asked to die with it. The child's pid is told on the status socket, as
// that of Fork.
func (p *Program) Keep(what string, keeper *Program, status, pidfd int) {
	args := &CloneArgs{Flags: unix.CLONE_PIDFD | unix.CLONE_PARENT_SETTID, ExitSignal: uint64(unix.SIGCHLD)}
	at, told := new(int32), &report{Word: wordForked}
	args.PidFD, args.ParentTID = uint64(uintptr(unsafe.Pointer(at))), uint64(uintptr(unsafe.Pointer(&told.Value)))
	p.keep = append(p.keep, at, told)
	first := NewProgram()
	first.Call("tell the child's pid", unix.SYS_WRITE, status, unsafe.Pointer(told), int(unsafe.Sizeof(*told)))
	first.Call("keep the child's pidfd", unix.SYS_DUP3, At(at), pidfd, unix.O_CLOEXEC)
	first.Tolerate(unix.EINVAL) // it is that one
	first.Add(keeper)
	p.split(what, first, args, 1<<(unix.SIGTERM-1))
}

// split clones; signals are blocked before, which stay so in the parent.
func (p *Program) split(what string, parent *Program, args *CloneArgs, signals uint64) {
	p.keep = append(p.keep, parent)
	p.OwnMemory()
	mask, old := &[1]uint64{signals}, &[1]uint64{}
	p.Call("block signals", unix.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, unsafe.Pointer(mask), unsafe.Pointer(old), len(mask)*8)
	p.add(kindSplit, what, unix.SYS_CLONE3, unsafe.Pointer(args), int(unsafe.Sizeof(*args)),
		unsafe.Pointer(&parent.steps[0]), len(parent.steps))
	p.Call("unblock the signals", unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, unsafe.Pointer(old), 0, len(old)*8)
}

// WithoutHandlers adds steps that let the kernel drop the signals which a Go
// program gets in passing, for a list that Run executes: after a seccomp
// filter, the return from a handler may be forbidden (sigreturn(2)), which ends
// this thread, and leaves the others of the process alive. Go preempts a
// thread by SIGURG.
func (p *Program) WithoutHandlers() {
	for _, signal := range [...]unix.Signal{unix.SIGURG, unix.SIGCHLD, unix.SIGWINCH, unix.SIGCONT} {
		// All zero is SIG_DFL, which is to ignore them; see signal(7).
		p.Call("take back a signal handler", unix.SYS_RT_SIGACTION, int(signal), make([]byte, 32), 0, 8)
	}
}

// Add appends the steps of another program; q must not be used afterwards.
func (p *Program) Add(q *Program) {
	base := int16(len(p.steps))
	for _, s := range q.steps {
		for i, f := range s.from {
			if f >= 0 {
				s.from[i] = f + base
			}
		}
		p.steps = append(p.steps, s)
	}
	p.what = append(p.what, q.what...)
	p.keep = append(p.keep, q.keep...)
	p.forks = append(p.forks, q.forks...)
	p.own = p.own || q.own
}

// What returns the words of step i, for an error.
func (p *Program) What(i int) string {
	if i < 0 || i >= len(p.what) {
		return "run the last steps"
	}
	return p.what[i]
}

// Len returns the number of steps.
func (p *Program) Len() int { return len(p.steps) }

// Run executes the list in this thread, which the caller has locked. It
// returns the step that failed; where all steps succeed, or the last execve
// candidate was tolerated, the index is Len() and errno what was remembered.
func (p *Program) Run() (failed int, errno unix.Errno) {
	if len(p.steps) == 0 {
		return 0, 0
	}
	at, e := runSteps(unsafe.Pointer(&p.steps[0]), uintptr(len(p.steps)), ^uintptr(0))
	runtime.KeepAlive(p)
	return int(at), unix.Errno(e)
}

// runSteps is the interpreter. It allocates nothing, calls only nosplit
// functions and never returns to Go's scheduler, so that it is safe in a
// process that has a single thread of a Go program.
//
//go:nosplit
//go:norace
//go:nocheckptr
func runSteps(first unsafe.Pointer, n, status uintptr) (at, errno uintptr) {
	var remembered, main, split uintptr
	forked := false // a child of a Fork may not return: its parent's frame is this one
	for i := uintptr(0); i < n; i++ {
		s := (*step)(unsafe.Add(first, i*unsafe.Sizeof(step{})))
		for k := 0; k < 6; k++ {
			if f := s.from[k]; f >= 0 {
				s.args[k] = (*step)(unsafe.Add(first, uintptr(f)*unsafe.Sizeof(step{}))).ret
			} else if f == int16(memory) {
				s.args[k] = uintptr(**(**int32)(unsafe.Pointer(&s.args[k])))
			}
		}
		switch s.kind {
		case kindExpect:
			if **(**byte)(unsafe.Pointer(&s.args[0])) != byte(s.args[1]) {
				if forked {
					exit(status, i, s.args[2])
				}
				return i, s.args[2]
			}
			continue
		case kindStore:
			**(**int32)(unsafe.Pointer(&s.args[0])) = int32(s.args[1])
			continue
		}
		if s.kind == kindFork {
			r := rawVfork(*(*unsafe.Pointer)(unsafe.Pointer(&s.args[0])), s.args[1])
			if r > 0 {
				reportFork(status, uintptr(r)) // does not return, nor look at this frame
			}
			if r < 0 {
				return i, uintptr(-r)
			}
			forked = true
			continue
		}
		r, _, e := unix.RawSyscall6(s.nr, s.args[0], s.args[1], s.args[2], s.args[3], s.args[4], s.args[5])
		s.ret = r
		if e != 0 {
			if uint16(e) == s.tolerate[0] || uint16(e) == s.tolerate[1] || uint16(e) == s.tolerate[2] || uint16(e) == s.tolerate[3] {
				if e == unix.EACCES || remembered == 0 {
					remembered = uintptr(e)
				}
				continue
			}
			if main != 0 {
				i = split // the caller knows the steps of its own list
			}
			if forked {
				exit(status, i, uintptr(e))
			}
			return i, uintptr(e)
		}
		if r != 0 && s.kind == kindSplit {
			main, split = r, i
			first, n, i = *(*unsafe.Pointer)(unsafe.Pointer(&s.args[2])), s.args[3], ^uintptr(0)
		}
	}
	if main != 0 {
		reap(main)
	}
	if forked {
		exit(status, n, remembered)
	}
	return n, remembered
}

// report is what a raw child writes to its status socket: a pid that was
// forked, or the step that failed.
type report struct {
	Word  uint32
	Value int32
	Errno int32
}

// The words of a report.
const (
	wordForked uint32 = 0x464f524b
	wordFault  uint32 = 0x4641554c
)

//go:nosplit
//go:norace
func reportFork(status, pid uintptr) {
	m := report{Word: wordForked, Value: int32(pid)}
	unix.RawSyscall6(unix.SYS_WRITE, status, uintptr(unsafe.Pointer(&m)), unsafe.Sizeof(m), 0, 0, 0)
	for {
		unix.RawSyscall6(unix.SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0)
	}
}
