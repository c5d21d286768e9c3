// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package draaware wraps the in-tree DynamicResources plugin, which still makes all
// allocations. The in-tree allocator takes the first devices that fit. This package orders
// each node's devices so that the first that fit are aligned: GPUs and NICs of the same
// alignment unit (devices of a node that are close to each other).
//
// # Invariants
//
//  1. It never changes objects of informers. The in-tree plugin gets copies, one set per
//     cycle; Filter reorders the copies of the node that it checks.
//  2. In the alignment modes preferred and none (set by annotation) it refuses a node only if
//     the in-tree plugin would refuse it too. Its counts of free devices only refuse the node
//     sooner.
//  3. It leaves pods that request no devices to the in-tree plugin.
package draaware

// Name is the plugin's name in a profile.
const Name = "DRAAware"
