// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package draaware stands in the place of the in-tree DynamicResources plugin,
// which still does all the allocating: it takes the first devices that fit. This
// package shows it each node's devices in an order in which the first that fit
// are the ones that belong together.
//
// # What must hold
//
//  1. Objects of informers are never changed. What the in-tree plugin sees are
//     copies, one set for each cycle, put in order when their node is filtered.
//  2. In mode preferred and none a node is refused only if the in-tree plugin
//     would refuse it too; counts only say so sooner.
//  3. A pod without devices is the in-tree plugin's business alone.
package draaware
