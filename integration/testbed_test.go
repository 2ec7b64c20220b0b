// SPDX-License-Identifier: Apache-2.0

package integration

import "mycr/integration/testbed"

// What these tests share with those of integration/session, under the short names that it has here.
type (
	edit     = testbed.Edit
	snapshot = testbed.Snapshot
)

var (
	set, unset, args, sh               = testbed.Set, testbed.Unset, testbed.Args, testbed.Sh
	mount, namespace, withoutNamespace = testbed.Mount, testbed.Namespace, testbed.WithoutNamespace
	capabilities                       = testbed.Capabilities
	writeConfig, editConfig            = testbed.WriteConfig, testbed.EditConfig
	copyFile                           = testbed.CopyFile
	start, finish, exitStatus          = testbed.Start, testbed.Finish, testbed.ExitStatus
	hang                               = testbed.Hang
	takeSnapshot                       = testbed.TakeSnapshot
	descendants, processStat           = testbed.Descendants, testbed.ProcessStat
)
