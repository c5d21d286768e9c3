// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package harness is what the integration tests have in common: a local cluster that the
// tests of a package share (Shared), and for each test a namespace of its own under the
// invariant checker (Env), with waits that say what they waited for.
package harness
