// SPDX-License-Identifier: Apache-2.0

// Package engines tests mycr below podman, docker, buildah and containerd's CRI, in the machines of integration/vm:
// testdata has a session with each, which passes under mycr and, unchanged, under the runtime that the engine
// otherwise has. What differs is said in the session, line by line, with its reason.
package engines
