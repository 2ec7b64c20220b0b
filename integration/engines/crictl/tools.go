// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools names crictl, the client of Kubernetes' container runtime interface, so that go.mod keeps what it
// needs. It is a module of its own, since none of that is mycr's need.
package tools

import _ "sigs.k8s.io/cri-tools/cmd/crictl"
