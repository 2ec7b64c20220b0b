// SPDX-License-Identifier: Apache-2.0

package bundle

import "github.com/opencontainers/runtime-spec/specs-go"

func Check(*specs.Spec) error { return nil }
