// SPDX-License-Identifier: Apache-2.0

package container

import "os"

// RealRoot tells whether this process is root on the host, and not only in
// somebody's user namespace.
func RealRoot() bool { return os.Geteuid() == 0 && initialUserNamespace() }
