// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package picture draws who holds what in a fleet: spine by spine, leaf by
// leaf, node by node, device by device. It is a pure function from a value to
// text; the demo fills the value from the API server.
//
// Each node is two rows of cells, GPUs above NICs, so that a GPU stands above
// the NIC it is wired to and a broken pair is seen as two letters in a column. A
// gap parts the NUMA nodes. A capital letter is a device of that gang; a small
// letter behind a node's name is a pod of the gang that holds no device there,
// such as a Ray head.
package picture
