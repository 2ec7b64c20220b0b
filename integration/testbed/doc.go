// SPDX-License-Identifier: Apache-2.0

// Package testbed is what the tests of the built binary share: bundles, root file systems, commands with a limit of
// time, and what a command left behind.
package testbed
