// SPDX-License-Identifier: Apache-2.0

// Package integration tests the built mycr: it starts the binary named by $MYCR as a user starts it and looks at
// what is there afterwards. integration/run builds the test binary once and runs it in each situation: as an
// unprivileged user, as root of a user namespace, as real root.
package integration
