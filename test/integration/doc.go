// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package integration holds the tests that run Dovetail's real binary in a real cluster
// (test/localcluster). The invariant checker runs during each test.
package integration
