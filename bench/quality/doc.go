// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Command quality compares where schedulers put gangs, not how fast: domains
// crossed, NICs beside their GPUs, room left for large gangs, occupancy and
// waiting, for stock scheduling, Dovetail and simple baselines.
//
// It is a discrete-event simulation without an API server. Every contender sees
// the same jobs on the same nodes. Devices are given out by the stock DRA
// allocator, for Dovetail in the order that pkg/devices puts them; Dovetail's
// nodes come from pkg/cluster and pkg/plan, as in the scheduler. The same seed
// gives the same figures, byte for byte.
//
//	go run ./bench/quality
//
// README.md beside this file says what each figure means and does not show.
package main
