// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mycr/cgroupdelegate"
	"mycr/idmap"
	"mycr/process"
	"mycr/userns"
)

// decision is all that was decided, as text for people: without what is zero,
// with names in place of bits.
func decision(t *testing.T, p *plan, err error) []byte {
	t.Helper()
	var v any
	if err != nil {
		refusal := struct{ Error, Hint string }{Error: err.Error()}
		var h hinted
		if errors.As(err, &h) {
			refusal.Hint = h.Hint()
		}
		v = refusal
	} else {
		v = struct {
			Namespaces userns.Plan
			IDs        idmap.Plan
			Orders     Orders
			Later      laterHooks
			Cgroup     cgroupdelegate.Plan
		}{p.userns, p.ids, p.orders, p.hooks, p.cgroup}
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	if p != nil {
		v = readable(v)
	}
	return append(layout(nil, v, ""), '\n')
}

const lineWidth = 200

// layout is JSON in which what fits on a line is on one.
func layout(out []byte, v any, indent string) []byte {
	var line bytes.Buffer
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	flat := bytes.TrimSuffix(line.Bytes(), []byte("\n"))
	inner := indent + "\t"
	switch v := v.(type) {
	case map[string]any:
		if len(flat) < lineWidth {
			break
		}
		out = append(out, "{\n"...)
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				out = append(out, ",\n"...)
			}
			out = layout(append(out, inner+strconv.Quote(k)+": "...), v[k], inner)
		}
		return append(out, "\n"+indent+"}"...)
	case []any:
		if len(flat) < lineWidth {
			break
		}
		out = append(out, "[\n"...)
		for i := range v {
			if i > 0 {
				out = append(out, ",\n"...)
			}
			out = layout(append(out, inner...), v[i], inner)
		}
		return append(out, "\n"+indent+"]"...)
	}
	return append(out, flat...)
}

// readable prunes and translates in place.
func readable(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if key, ok := v["Key"].(string); ok && v["Flag"] == true {
			return key
		} else if value, isParam := v["Value"].(string); ok && isParam && v["Path"] == nil {
			return key + "=" + value
		}
		for k, e := range v {
			switch n, _ := e.(json.Number); {
			case k == "Filter":
				v[k] = digest(e)
			case k == "New" || k == "Later" || k == "Flag" && n != "":
				v[k] = bits(n, func(bit int) string { return userns.Name(1 << bit) })
			case k == "Bounding" || k == "Effective" || k == "Permitted" || k == "Inheritable" || k == "Ambient" || k == "Available":
				v[k] = bits(n, process.CapabilityName)
			case k == "Mode" && n != "" || k == "Type" && n != "" || k == "MountFlags":
				i, _ := n.Int64()
				if v[k] = "0" + strconv.FormatInt(i, 8); k == "MountFlags" {
					v[k] = "0x" + strconv.FormatInt(i, 16)
				}
			case n == "0" && k != "UID" && k != "GID" && k != "ContainerID" && k != "HostID" && k != "Index" && k != "Soft" && k != "OOMScoreAdj":
				delete(v, k)
				continue
			}
			if e = readable(v[k]); e == nil || e == "" || e == false {
				delete(v, k)
			} else {
				v[k] = e
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		for i := range v {
			v[i] = readable(v[i])
		}
		if len(v) == 0 {
			return nil
		}
	}
	return v
}

// bits names the bits of a mask.
func bits(n json.Number, name func(int) string) any {
	mask, err := strconv.ParseUint(n.String(), 10, 64)
	if err != nil {
		return n
	}
	if mask == allCaps {
		return "all"
	}
	var words []string
	for bit := range 64 {
		if mask&(1<<bit) != 0 {
			words = append(words, strings.TrimPrefix(name(bit), "CAP_"))
		}
	}
	return strings.Join(words, " ")
}

// digest stands for a seccomp filter.
func digest(filter any) any {
	list, isList := filter.([]any)
	if !isList { // that of devices
		return filter
	}
	if len(list) == 0 {
		return nil
	}
	h := sha256.New()
	for _, i := range list {
		for _, field := range [...]string{"Code", "Jt", "Jf", "K"} {
			n, _ := i.(map[string]any)[field].(json.Number).Int64()
			h.Write(binary.LittleEndian.AppendUint64(nil, uint64(n)))
		}
	}
	return map[string]any{"Instructions": len(list), "SHA256": hex.EncodeToString(h.Sum(nil))}
}
