// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"os/signal"
	goruntime "runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// probe is what the test binary does as /bin/probe in a container: what no applet of busybox can.
func probe(args []string) int {
	if len(args) == 0 {
		return 2
	}
	switch args[0] {
	case "tiocsti":
		return probeTIOCSTI()
	case "watch":
		return probeWatch(args[1])
	case "overwrite":
		return probeOverwrite(args[1])
	case "syscall":
		return probeSyscall(args[1:])
	case "notify":
		return probeNotify(args[1:])
	case "signals":
		return probeSignals()
	case "scheduling":
		return probeScheduling()
	case "sleep":
		// A process that has handlers for signals, as sleep of busybox has not.
		time.Sleep(time.Hour)
	}
	fmt.Fprintf(os.Stderr, "probe: no %s\n", args[0])
	return 2
}

// probeSignals prints the number of each signal that it gets, and ends with the status 7 at SIGTERM.
func probeSignals() int {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	fmt.Println("ready")
	for got := range signals {
		switch got {
		case unix.SIGURG: // Go's own
			continue
		case unix.SIGTERM:
			return 7
		}
		fmt.Println(int(got.(syscall.Signal)))
	}
	return 2
}

// probeTIOCSTI tries to type a line into every terminal that it can reach.
func probeTIOCSTI() int {
	sid, _ := unix.Getsid(0)
	fmt.Printf("sid %d\n", sid)
	fds := []int{0, 1, 2}
	if fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY, 0); err == nil {
		fds = append(fds, fd)
	}
	typed := 0
	for _, fd := range fds {
		for _, c := range []byte("echo INJECTED\n") {
			_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSTI, uintptr(unsafe.Pointer(&c)))
			if errno != 0 {
				fmt.Printf("fd %d: %v\n", fd, errno)
				break
			}
			typed++
		}
	}
	fmt.Printf("typed %d\n", typed)
	return typed
}

// probeWatch looks at every process that appears beside it until the file stop is there: can its executable be
// read, its descriptors be listed, itself be traced? It prints what it could.
func probeWatch(stop string) int {
	goruntime.LockOSThread() // a tracer is a thread
	known := map[int]bool{}
	names, _ := os.ReadDir("/proc")
	for _, n := range names {
		if pid, err := strconv.Atoi(n.Name()); err == nil {
			known[pid] = true
		}
	}
	fmt.Println("watching")
	seen := 0
	for {
		if _, err := os.Stat(stop); err == nil {
			fmt.Printf("seen %d\n", seen)
			return 0
		}
		dir, err := os.Open("/proc")
		if err != nil {
			return 2
		}
		list, _ := dir.Readdirnames(-1)
		dir.Close()
		for _, name := range list {
			pid, err := strconv.Atoi(name)
			if err != nil || known[pid] {
				continue
			}
			seen++
			if exe, err := os.Readlink("/proc/" + name + "/exe"); err == nil {
				if strings.HasPrefix(exe, "/bin/") {
					known[pid] = true // it is the container's own program by now
					continue
				}
				fmt.Printf("OPEN exe of %d: %s\n", pid, exe)
			}
			if fds, err := os.ReadDir("/proc/" + name + "/fd"); err == nil {
				for _, fd := range fds {
					link, _ := os.Readlink("/proc/" + name + "/fd/" + fd.Name())
					// It may have become the container's program between the two looks.
					if exe, err := os.Readlink("/proc/" + name + "/exe"); err == nil && !strings.HasPrefix(exe, "/bin/") {
						fmt.Printf("OPEN fd %s of %d: %s\n", fd.Name(), pid, link)
					}
				}
			}
			const ptraceSeize = 0x4206
			if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, ptraceSeize, uintptr(pid), 0, 0, 0, 0); errno == 0 {
				if exe, err := os.Readlink("/proc/" + name + "/exe"); err == nil && !strings.HasPrefix(exe, "/bin/") {
					fmt.Printf("OPEN ptrace of %d: %s\n", pid, exe)
				}
				// Only a stopped process can be let go of.
				unix.PtraceInterrupt(pid)
				unix.Wait4(pid, nil, unix.WALL, nil)
				unix.PtraceDetach(pid)
				known[pid] = true
			}
		}
	}
}

// probeOverwrite tries, until the file stop is there, to write to the executable of any process that it sees.
func probeOverwrite(stop string) int {
	fmt.Println("trying")
	for {
		if _, err := os.Stat(stop); err == nil {
			return 0
		}
		dir, err := os.Open("/proc")
		if err != nil {
			return 2
		}
		list, _ := dir.Readdirnames(-1)
		dir.Close()
		for _, name := range list {
			if _, err := strconv.Atoi(name); err != nil {
				continue
			}
			read, err := unix.Open("/proc/"+name+"/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				continue
			}
			var st, own unix.Stat_t
			unix.Fstat(read, &st)
			unix.Stat("/bin/busybox", &own)
			probed := false
			if unix.Stat("/bin/probe", &own); st.Ino == own.Ino && st.Dev == own.Dev {
				probed = true
			}
			if unix.Stat("/bin/busybox", &own); st.Ino == own.Ino && st.Dev == own.Dev {
				probed = true
			}
			if probed {
				unix.Close(read)
				continue
			}
			fmt.Printf("reached the executable of %s\n", name)
			for range 2000 {
				fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", read), unix.O_WRONLY|unix.O_CLOEXEC, 0)
				if err == unix.ETXTBSY {
					continue
				}
				if err != nil {
					fmt.Printf("open for writing: %v\n", err)
					break
				}
				n, err := unix.Write(fd, []byte("#!/bin/false\n"))
				fmt.Printf("WROTE %d %v\n", n, err)
				unix.Close(fd)
				break
			}
			unix.Close(read)
		}
	}
}

// probeSyscall makes the system call with the numbers given and prints its errno.
func probeSyscall(args []string) int {
	var n [7]uintptr
	for i, arg := range args {
		v, err := strconv.ParseInt(arg, 0, 64)
		if err != nil || i >= len(n) {
			return 2
		}
		n[i] = uintptr(v)
	}
	_, _, errno := unix.Syscall6(n[0], n[1], n[2], n[3], n[4], n[5], n[6])
	if errno != 0 {
		fmt.Println(unix.ErrnoName(errno))
	} else {
		fmt.Println("ok")
	}
	return 0
}

// probeScheduling prints what the process was given besides ids.
func probeScheduling() int {
	if attr, err := unix.SchedGetAttr(0, 0); err == nil {
		fmt.Printf("policy %d nice %d priority %d flags %d\n", attr.Policy, attr.Nice, attr.Priority, attr.Flags)
	}
	prio, _, _ := unix.Syscall(unix.SYS_IOPRIO_GET, 1, 0, 0)
	fmt.Printf("ioprio class %d level %d\n", prio>>13, prio&0x1fff)
	persona, _, _ := unix.Syscall(unix.SYS_PERSONALITY, 0xffffffff, 0, 0)
	fmt.Printf("personality %#x\n", persona)
	var mode int32
	var nodes [16]uint64
	unix.Syscall6(unix.SYS_GET_MEMPOLICY, uintptr(unsafe.Pointer(&mode)), uintptr(unsafe.Pointer(&nodes)), 1024, 0, 0, 0)
	fmt.Printf("mempolicy %d nodes %d\n", mode, nodes[0])
	var set unix.CPUSet
	unix.SchedGetaffinity(0, &set)
	fmt.Printf("cpus %d\n", set.Count())
	return 0
}
