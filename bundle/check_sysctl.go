// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// checkSysctls lets through what belongs to a namespace that the container
// has, new or joined; anything else would change the host. Keys are written
// with dots or with slashes throughout: a mixture, where one stands for the
// other within a name, could be read as two different files.
func checkSysctls(spec *specs.Spec, l *specs.Linux) error {
	for _, key := range slices.Sorted(maps.Keys(l.Sysctl)) {
		where := fmt.Sprintf("linux.sysctl[%q]", key)
		name, ok := sysctlName(key)
		if !ok {
			return fmt.Errorf("%s: not a name such as \"net.ipv4.ip_forward\"", where)
		}
		if value := l.Sysctl[key]; !plainText(strings.ReplaceAll(value, "\t", " ")) {
			return fmt.Errorf("%s: the value %q holds a control character", where, value)
		}
		if err := checkSysctlOwner(where, name, spec, l); err != nil {
			return err
		}
		for other := range l.Sysctl {
			if n, _ := sysctlName(other); n == name && other != key {
				return fmt.Errorf("%s: given twice, as %q too", where, other)
			}
		}
	}
	return nil
}

// sysctlName is key with dots.
func sysctlName(key string) (string, bool) {
	if strings.Contains(key, "/") {
		if strings.Contains(key, ".") {
			return "", false
		}
		key = strings.ReplaceAll(key, "/", ".")
	}
	for part := range strings.SplitSeq(key, ".") {
		for _, c := range []byte(part) {
			// '-', '@' and ':' are in names of network devices.
			if c != '-' && c != '@' && c != ':' && !plainKey(string(c)) {
				return "", false
			}
		}
		if part == "" {
			return "", false
		}
	}
	return key, strings.Contains(key, ".")
}

func checkSysctlOwner(where, name string, spec *specs.Spec, l *specs.Linux) error {
	var needs specs.LinuxNamespaceType
	switch name {
	case "kernel.hostname":
		return fmt.Errorf("%s: not allowed as it conflicts with the OCI %q field", where, "hostname")
	case "kernel.domainname":
		// Docker sets the domain name so; since 1.1 there is a field for it.
		if spec.Domainname != "" && spec.Domainname != l.Sysctl[name] {
			return fmt.Errorf("%s: %q conflicts with domainname %q", where, shorten(l.Sysctl[name]), spec.Domainname)
		}
		needs = specs.UTSNamespace
	case "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
		"kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced":
		needs = specs.IPCNamespace
	default:
		switch {
		case strings.HasPrefix(name, "fs.mqueue."):
			needs = specs.IPCNamespace
		case strings.HasPrefix(name, "net."):
			needs = specs.NetworkNamespace
		default:
			return fmt.Errorf("%s: not in a separate kernel namespace: it would change the host", where)
		}
	}
	if namespaceOf(l.Namespaces, needs) == nil {
		return fmt.Errorf("%s: needs a %s namespace in linux.namespaces, else it would change the host", where, needs)
	}
	return nil
}
