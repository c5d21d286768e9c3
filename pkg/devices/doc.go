// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package devices knows the DRA devices of a cluster: what there is, what belongs together, what is free, and what a pod
// wants. It answers in counts, so that a planner can work with numbers and never sees a selector.
//
// An Inventory is fed ResourceSlices and allocations and keeps up with them node by node. Request reads what one pod wants
// from its claims and extended resources. A View is the inventory frozen for planning: per node the alignment units with
// free devices counted by kind, and for each need how many of which kinds it takes.
//
// # Kinds
//
// Which device satisfies which request is decided by the stock CEL evaluator and nothing else. The requests about
// partition the devices: two devices are of one kind when they satisfy the same requests. A request then wants a number
// of devices out of some kinds, and counting kinds is exact: by Hall's theorem (Times) the requests of any number of pods
// fit a node if and only if every set of requests finds enough devices in the kinds it may draw on.
//
// # What must hold
//
//  1. A device counts only if its pool is whole: every slice of the newest generation is there and names are unique.
//  2. A count never says less than the stock allocator finds, with one exception: of devices of one kind that draw on
//     common counters in different amounts, a set is counted that can be had together but may not be the largest.
//  3. A count says more than the allocator finds only where one number cannot say it: matchAttribute constraints are
//     bounded per attribute value and not solved, distinctAttribute and derived attributes are not counted, a request for
//     all devices does not see what the pod's other requests take, a shared device counts once for each share that the
//     most modest request takes, devices of different kinds do not see that they draw on the same counters, a device
//     for several nodes counts on each of them, and Least is met by the cheapest alternative. The stock Filter has
//     the last word, so the price is a plan made again.
//  4. Equal devices, allocations and needs give equal views, whatever the order in which they came.
//  5. A change of one node's slices or allocations costs that node, not the cluster.
//
// # Alignment
//
// Units follow a ladder: an explicit pair map by machine type, a PCIe root that some GPU and NIC of the node share, the
// NUMA node. Every node has a last unit for the devices that belong to none.
package devices
