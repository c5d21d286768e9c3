// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package devices is the inventory of a cluster's DRA devices: which devices there are, which belong together, which are
// free, and which a pod requests. It answers in counts, so that a planner works with numbers and never sees a selector.
//
// An Inventory receives ResourceSlices and allocations and updates its counts node by node. Request reads a pod's claims
// and extended resources. A View is the inventory frozen for planning: per node the alignment units with free devices
// counted by kind, and for each request how many devices of which kinds it takes.
//
// # Kinds
//
// Only the stock CEL evaluator decides which device satisfies which request. The requests in use partition the devices:
// two devices are of the same kind if they satisfy the same requests. A request then takes a number of devices out of
// some kinds, and counting kinds is exact: by Hall's theorem (Times) the requests of any number of pods fit a node if and
// only if every set of requests finds enough devices in the kinds it may use.
//
// # What must hold
//
//  1. A device counts only if its pool is complete: every slice of the newest generation is there and names are unique.
//  2. A count is never less than the stock allocator finds, with one exception: of devices of one kind that consume
//     common counters in different amounts, a set is counted that can be allocated together but may not be the largest.
//  3. A count is more than the allocator finds only where a single number cannot be exact. matchAttribute constraints are
//     bounded per attribute value and not solved. distinctAttribute and derived attributes are not counted. A request for
//     all devices ignores what the pod's other requests take. A shared device counts once for each share of the request
//     that takes the least of it. Devices of different kinds that consume the same counters are counted as if they did
//     not. A device for several nodes counts on each of them. Least is met by the cheapest alternative. The stock Filter
//     decides, so the price of such a count is another plan.
//  4. Equal devices, allocations and requests give equal views, whatever the order in which they came.
//  5. A change of one node's slices or allocations costs that node, not the cluster.
//
// # Alignment
//
// Units follow a ladder: an explicit pair map by machine type, a PCIe root that some GPU and NIC of the node share, the
// NUMA node. Every node has a last unit for the devices that belong to none.
//
// # Files, from the bottom up
//
// A file uses only its own line and the lines above it. Only the last three lines know the Inventory and its lock.
//
//   - Single slices and claims: counters.go, pool.go (slices), ledger.go (what is in use), allocated.go.
//   - Single devices: attribute.go, recognise.go (which are GPUs or NICs), capacity.go, reads.go, devicequery.go (which
//     devices a request selects).
//   - Units of one node: pairmap.go, ladder.go, pairing.go (the best units for a pod), order.go, assessment.go.
//   - The cluster without requests: pooldevices.go, node.go, contents.go, nodeslices.go.
//   - Requests: request.go, extended.go, assign.go (devices to requests), rdma.go.
//   - Kinds: signature.go (the queries that a device satisfies), kinds.go, times.go, layoutnode.go, podlimit.go.
//   - Counts: nodedevices.go, frozen.go, count.go, multinode.go, layout.go (all nodes), option.go.
//   - One node for one pod, without the layout: shortage.go.
//   - Inventory: inventory.go (changes, and what needs no request).
//   - What it returns: requestreader.go (Request), view.go, alignment.go, candidates.go (Order).
//   - What follows from these: reach.go, assess.go.
package devices
