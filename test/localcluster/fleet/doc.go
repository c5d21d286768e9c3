// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fleet turns one line such as "shape=ndh100v5,spines=2,leaves=2,nodes=4" into the Nodes and ResourceSlices
// that such a cluster has: fabric labels as topograph writes them, and for each node the devices as the NVIDIA GPU
// driver and DRANET publish them on that hardware.
//
// Everything is a pure function of the Spec: the same line gives the same objects, byte for byte, so that unit tests,
// benches, the demo and the local cluster speak about the same machines. A further hardware shape is one more entry
// of the shapes table in shapes.go, put together in clouds.go; nothing else changes.
//
// What a driver publishes of a machine and what the machine is are two things: Slices is the first, Places the second.
package fleet
