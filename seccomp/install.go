// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"mycr/linux"
)

// handover is a message with one descriptor and all that it points to.
type handover struct {
	message unix.Msghdr
	bytes   unix.Iovec
	control struct {
		header unix.Cmsghdr
		fd     int32
		_      int32 // CMSG_SPACE aligns
	}
}

// AddTo adds the steps that install the filter, as the last ones before
// execve. The thread needs no_new_privs or CAP_SYS_ADMIN in its user namespace
// (seccomp(2)); nothing is added by a zero Plan.
//
// With Notify, socket is connected to ListenerPath, a SOCK_STREAM socket that
// no other process holds open, and containerProcessState is the JSON of
// specs.ContainerProcessState with the one name "seccompFd" in fds. The
// listener and the socket are closed at the latest by execve.
func (plan *Plan) AddTo(p *linux.Program, socket int, containerProcessState []byte) {
	if len(plan.Filter) == 0 {
		return
	}
	filter := make([]unix.SockFilter, len(plan.Filter))
	for i, in := range plan.Filter {
		filter[i] = unix.SockFilter{Code: in.Code, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	program := &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	listener := p.Call("install the seccomp filter", unix.SYS_SECCOMP,
		unix.SECCOMP_SET_MODE_FILTER, plan.Flags, unsafe.Pointer(program))
	if !plan.Notify {
		return
	}
	h := &handover{}
	h.bytes.Base = unsafe.SliceData(containerProcessState)
	h.bytes.SetLen(len(containerProcessState))
	h.control.header.Level = unix.SOL_SOCKET
	h.control.header.Type = unix.SCM_RIGHTS
	h.control.header.SetLen(unix.CmsgLen(4))
	h.message.Iov = &h.bytes
	h.message.SetIovlen(1)
	h.message.Control = (*byte)(unsafe.Pointer(&h.control))
	h.message.SetControllen(unix.CmsgSpace(4))
	p.StoreInt32(&h.control.fd, listener)
	p.Call("send the seccomp listener to "+plan.ListenerPath, unix.SYS_SENDMSG,
		socket, unsafe.Pointer(h), unix.MSG_NOSIGNAL)
	if plan.CloseSocket {
		p.Call("close the seccomp listener", unix.SYS_CLOSE, listener)
		p.Call("close the connection to "+plan.ListenerPath, unix.SYS_CLOSE, socket)
	}
}
