// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package podgroups tests gangs declared by PodGroups of scheduling.k8s.io on a
// cluster whose feature gates for them are on, under the invariant checker.
package podgroups
