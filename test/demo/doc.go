// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Command demo demonstrates Dovetail in a local cluster with real components and a simulated
// fleet of 16 ND H100 v5 nodes. It runs six steps with kubectl. After each step it draws the
// devices with their holders, lists the GPU-NIC pairs of the new workers by the fleet's
// hardware data, and checks the outcome through the API. From start to end the invariant
// checker (test/invariants) watches for gangs bound in part and devices allocated twice.
//
//	go run ./test/demo [--keep] [--dir DIR]
//
// The exit code is 0 if every check holds, 1 after the first check that fails, and 130
// after an interrupt. The demo always ends its cluster, except with --keep. It reads no
// input and needs no terminal. NO_COLOR is respected.
//
// The manifests in this directory are examples for users.
package main
