// SPDX-License-Identifier: Apache-2.0

package engines

import "testing"

// Podman of an ordinary user.
func TestEnginePodman(t *testing.T) { session(t, "podman", "crun") }

// Podman as root, with networks by netavark.
func TestRootEnginePodman(t *testing.T) { session(t, "podman-root", "crun") }

// Buildah, which calls the runtime itself, without conmon.
func TestEngineBuildah(t *testing.T) { session(t, "buildah", "crun") }

// Buildah as root.
func TestRootEngineBuildah(t *testing.T) { session(t, "buildah", "crun") }
