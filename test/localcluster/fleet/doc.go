// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fleet turns one line such as "shape=ndh100v5,spines=2,leaves=2,nodes=4" into the
// Nodes and ResourceSlices of such a fleet: labels of the network fabric as topograph writes
// them, and for each node the devices as the NVIDIA GPU driver and DRANET publish them on that
// hardware.
//
// All objects are a pure function of the Spec: the same line gives the same objects, byte
// for byte. Unit tests, benchmarks, the demo and the local cluster therefore use the same
// machines. A new hardware shape needs an entry in the shapes table in shapes.go and a
// function in clouds.go.
//
// Slices returns the devices as a driver publishes them; Places returns their positions in
// the hardware.
package fleet
