// SPDX-License-Identifier: Apache-2.0

package seccomp

// call is a system call that can also be made through socketcall(2) or ipc(2),
// with the number that is the first argument of these.
type call struct {
	name   string
	number uint64
}

// socketcalls are those of socketcall(2), linux/net.h.
var socketcalls = [...]call{
	{"socket", 1}, {"bind", 2}, {"connect", 3}, {"listen", 4}, {"accept", 5},
	{"getsockname", 6}, {"getpeername", 7}, {"socketpair", 8}, {"send", 9}, {"recv", 10},
	{"sendto", 11}, {"recvfrom", 12}, {"shutdown", 13}, {"setsockopt", 14}, {"getsockopt", 15},
	{"sendmsg", 16}, {"recvmsg", 17}, {"accept4", 18}, {"recvmmsg", 19}, {"sendmmsg", 20},
}

// ipccalls are those of ipc(2), linux/ipc.h.
var ipccalls = [...]call{
	{"semop", 1}, {"semget", 2}, {"semctl", 3}, {"semtimedop", 4},
	{"msgsnd", 11}, {"msgrcv", 12}, {"msgget", 13}, {"msgctl", 14},
	{"shmat", 21}, {"shmdt", 22}, {"shmget", 23}, {"shmctl", 24},
}

// multiplex lets the rules for sockets and System V IPC hold for the two system
// calls that do the same. The kernel takes the lower 32 bits of socketcall's
// first argument, and the lower 16 of ipc's; above is a version.
func (p *profile) multiplex(cells *[640]cell, a *arch) {
	if nr, ok := a.number(nameSocketcall); ok {
		p.multiplexInto(&cells[nr-a.base], socketcalls[:], 0xffffffff)
	}
	if nr, ok := a.number(nameIpc); ok {
		p.multiplexInto(&cells[nr-a.base], ipccalls[:], 0xffff)
	}
}

func (p *profile) multiplexInto(c *cell, calls []call, mask uint64) {
	chain := int32(0)
	for l := c.chain; l != 0; l = p.links[l-1].next { // the list belongs to the name
		chain = p.insert(chain, p.links[l-1].rule)
	}
	for _, m := range calls {
		name, ok := findName(m.name)
		if !ok {
			continue
		}
		r := p.whatever(&p.byName[name])
		if r == nil || r.action == c.action || (c.action != p.fallback && !stricter(r.action, c.action)) {
			continue
		}
		conds := []cond{{op: maskedEqual, value: mask, two: m.number}}
		p.rules = append(p.rules, rule{r.entry, r.action, conds})
		chain = p.insert(chain, int32(len(p.rules)-1))
	}
	c.chain = chain
}

// whatever returns the rule that holds for a system call whose arguments cannot
// be seen: the strictest of those with conditions, where it is stricter than
// what holds without them; nil where that is the default action.
func (p *profile) whatever(v *verdict) *rule {
	var base *rule
	action := p.fallback
	if v.base != 0 {
		base = &p.rules[v.base-1]
		action = base.action
	}
	if v.chain != 0 {
		if r := &p.rules[p.links[v.chain-1].rule]; stricter(r.action, action) {
			return r
		}
	}
	return base
}
