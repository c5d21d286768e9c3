// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package picture draws the devices of a fleet and their holders by spine, leaf and node.
// It is a pure function from a value to text. The demo fills the value from the API server.
//
// A node is two rows of cells, GPUs above NICs. A GPU is above the NIC on its own PCIe switch.
// If different gangs hold the two, the column has two different letters. A gap separates the
// NUMA nodes. An upper-case letter is a device that the gang of this letter holds. A lower-case
// letter after a node's name is a pod without devices, such as a Ray head. Legend explains this
// to the reader of a picture.
package picture
