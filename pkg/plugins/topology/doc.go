// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package topology is the plugin Topology. Its arguments define the levels of the network
// fabric, such as leaf and spine switches. It scores nodes for single pods that request
// devices: such pods should fill topology domains (the nodes below one switch) that are in use,
// and leave free domains to gangs (groups of pods that start together).
package topology
