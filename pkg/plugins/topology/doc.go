// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package topology is the plugin with the levels of the fabric. It scores nodes for single
// pods that request devices: such pods should fill domains that are in use, and leave free
// domains to gangs.
package topology
