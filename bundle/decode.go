// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"encoding/json"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func Decode(data []byte) (*specs.Spec, error) {
	spec := new(specs.Spec)
	return spec, json.Unmarshal(data, spec)
}

func DecodeProcess(data []byte) (*specs.Process, error) {
	p := new(specs.Process)
	return p, json.Unmarshal(data, p)
}
