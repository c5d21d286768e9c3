// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ports chooses free loopback ports for programs that need their port as an argument.
//
// A port that the kernel chose and that is closed again may be taken by another program before its use. The ports of
// this package are outside the range from which the kernel serves outgoing connections and ":0" listeners. Between
// choice and use a lock holds each port. All clusters on the machine use these locks, so that two clusters may start at
// the same moment.
package ports
