// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package devices is the inventory of a cluster's DRA devices: the devices, their alignment
// units, their allocations and the pods' requests for them. Its results are counts, so that
// a planner works with numbers and not with selectors.
//
// An Inventory receives ResourceSlices and allocations and updates its counts node by node.
// Request reads a pod's claims and extended resources. A View is a frozen copy of the
// inventory for planning. For each node it has the alignment units with free devices counted
// by kind. For each request it has the number of devices and their kinds.
//
// # Kinds
//
// Only the stock CEL evaluator decides whether a device satisfies a request. The requests in
// use partition the devices: two devices are of the same kind if they satisfy the same
// requests. A request then takes a number of devices out of some kinds, and counting kinds is
// exact: by Hall's theorem (Times) the requests of any number of pods fit a node if and only
// if every set of requests finds enough devices in the kinds it may use.
//
// # Rules
//
//  1. A device is counted only if its pool is complete: every slice of the newest generation is
//     present and names are unique.
//  2. A count is never less than the number that the stock allocator finds, with one
//     exception. Devices of one kind may consume common counters in different amounts. The
//     counted set can then be allocated together but may not be the largest such set.
//  3. A count exceeds the allocator's number only if a single number cannot be exact.
//     A matchAttribute constraint is counted for each attribute value separately, as an
//     upper bound. distinctAttribute and derivedAttributes are ignored. A request for all
//     devices ignores the pod's other requests. A shared device (allowMultipleAllocations)
//     counts once for each share of the request that takes the least of it. Devices of
//     different kinds that consume the same counters are counted as if they did not. A
//     device for several nodes counts on each of them. For a request with firstAvailable,
//     View.Least has the smallest demand of its alternatives. The stock scheduler's Filter
//     plugins decide, so a count that is too high costs only another plan.
//  4. Equal devices, allocations and requests give equal views, in any order of arrival.
//  5. A change of one node's slices or allocations costs the work for that node, not for the
//     cluster.
//
// # Alignment
//
// An alignment unit is a set of devices of one node that are close to each other. A
// ladder has the sources of units, the most reliable first: a list of the pairs of GPUs and
// NICs of the machine type (PairMap), a PCIe root that some GPU and NIC of the node share,
// the NUMA node. A node uses the first source that names units for its devices. The node's
// last unit has the devices that are in no other unit.
//
// # Files, from the bottom up
//
// A file uses only its own line and the lines above it. Only the last three lines use the
// Inventory and its lock.
//
//   - Limits: cost.go (what the evaluation of CEL selectors may cost).
//   - Single slices and claims: counters.go, pool.go (slices), ledger.go (devices in use),
//     allocated.go.
//   - Single devices: attribute.go, recognise.go (GPUs and NICs), capacity.go, reads.go,
//     devicequery.go (the devices that a request selects), querycache.go.
//   - Units of one node: pairmap.go, ladder.go, pairing.go (the best units for a pod),
//     order.go, assessment.go.
//   - The cluster without requests: pooldevices.go, node.go, contents.go, nodeslices.go.
//   - Requests: request.go, extended.go, assign.go (devices to requests), rdma.go.
//   - Kinds: signature.go (the queries that a device satisfies), kinds.go, times.go,
//     layoutnode.go, podlimit.go.
//   - Counts: nodedevices.go, frozen.go, count.go, multinode.go, layout.go (all nodes),
//     option.go.
//   - One node for one pod, without counts for the other nodes: shortage.go.
//   - Inventory: inventory.go (changes, and results that need no request), evaluate.go (CEL
//     selectors, outside of the lock).
//   - Results: requestreader.go (Request), view.go, alignment.go, candidates.go (Order).
//   - Built on these: reach.go, assess.go.
package devices
