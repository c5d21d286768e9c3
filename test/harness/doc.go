// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package harness holds the common parts of the integration tests: a local cluster that the
// tests of a package share (Shared), a namespace under the invariant checker for each test
// (Env), and waits whose failures name the condition. The checker (test/invariants) reports broken guarantees.
package harness
