// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ports chooses free loopback ports for programs that need their port as an
// argument.
//
// If the kernel chose a port and the chooser closed it again, another program could take it
// before its use. The ports of this package are therefore outside the range from which the
// kernel serves outgoing connections and ":0" listeners. A lock holds each port from its
// choice to its use. All clusters on the machine use these locks, so two clusters may start
// at the same moment.
package ports
