// SPDX-License-Identifier: Apache-2.0

// Package session tests the built mycr, $MYCR, where limits are real: in a login session of a systemd user manager
// with delegated controllers. integration/vm/run runs it in virtual machines, as user dev and then, the tests whose
// names begin with TestRoot, as root; make test-here runs it for whoever has such a session.
package session
