// SPDX-License-Identifier: Apache-2.0

// Bare is a Go program that does nothing: the least that any command of mycr costs.
package main

func main() {}
