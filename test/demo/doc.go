// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Command demo shows Dovetail at work on real parts: it starts a local cluster
// with a simulated fleet of 16 ND H100 v5 nodes, runs six steps with kubectl,
// draws after each who holds what, lists each new worker's pairs of GPU and NIC,
// judged by the fleet's hardware data and not by what the scheduler says, checks each outcome through the API, and has
// the invariant checker watch all the while.
//
//	go run ./test/demo [--keep] [--dir DIR]
//
// It ends with 0 if every sentence it prints is true, with 1 and the sentence
// that is not otherwise, with 130 when interrupted. It always ends its cluster,
// unless --keep asks for it to stay. It asks nothing and needs no terminal;
// NO_COLOR is respected.
//
// The manifests beside this file are examples to start from.
package main
