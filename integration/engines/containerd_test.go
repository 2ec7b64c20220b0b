// SPDX-License-Identifier: Apache-2.0

package engines

import "testing"

// Kubernetes' container runtime interface, as containerd offers it.
func TestRootEngineContainerd(t *testing.T) { session(t, "containerd", "runc") }
