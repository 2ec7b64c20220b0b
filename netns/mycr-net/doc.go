// SPDX-License-Identifier: Apache-2.0

// Mycr-net is a user-space network for one container.
//
// It is started by mycr, see netns.HelperConfig, and is not for people to
// start.
package main
