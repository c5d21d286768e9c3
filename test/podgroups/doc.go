// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package podgroups tests gangs declared by PodGroups of scheduling.k8s.io on a cluster whose
// feature gates for them are on. The invariant checker (test/invariants) watches for gangs
// bound in part and devices allocated twice.
package podgroups
