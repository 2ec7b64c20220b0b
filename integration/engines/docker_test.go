// SPDX-License-Identifier: Apache-2.0

package engines

import "testing"

// Docker as it comes with Debian, the daemon root's.
func TestRootEngineDocker(t *testing.T) { session(t, "docker", "runc") }

// Docker of an ordinary user, the daemon below rootlesskit.
func TestEngineDocker(t *testing.T) { session(t, "docker-rootless", "runc") }
