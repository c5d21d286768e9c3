// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ports chooses free loopback ports for programs that must be told their port before they start.
//
// Asking the kernel for a free port and giving it back leaves a gap in which anybody may take it. Here a port lies
// outside the range from which the kernel serves outgoing connections and ":0" listeners, and between choice and use it
// is held by a lock that every cluster on the machine honours, so that two clusters may start at the same moment.
package ports
