// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Command quality compares the placements of schedulers, not their speed. It reports the
// domains that a job crosses, the NICs without a GPU of the pod in their alignment unit (a GPU
// and its NICs), the room left for large gangs, GPU utilization and waiting times, for stock
// scheduling, Dovetail and simple baselines.
//
// It is a discrete-event simulation without an API server. Every contender gets the same
// jobs on the same nodes. The stock DRA allocator chooses devices; for Dovetail, in the
// order of pkg/devices. As in the scheduler, pkg/cluster and pkg/plan choose Dovetail's
// nodes, and pkg/gangstate decides when to plan a gang and when to reserve nodes for it.
// The same seed gives the same figures, byte for byte.
//
//	go run ./bench/quality
//
// README.md in this directory explains each figure and its limits.
package main
