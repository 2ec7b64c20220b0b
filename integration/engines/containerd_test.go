// SPDX-License-Identifier: Apache-2.0

package engines

import "testing"

// containerd as ctr uses it.
func TestRootEngineContainerd(t *testing.T) { session(t, "containerd", "runc") }

// Kubernetes' container runtime interface, as containerd offers it.
func TestRootEngineCRI(t *testing.T) { session(t, "cri", "runc") }
