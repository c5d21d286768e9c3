// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package integration holds the tests that run Dovetail's real binary in a real cluster
// (test/localcluster). During each test the invariant checker (test/invariants) watches for
// gangs bound in part and devices allocated twice.
package integration
