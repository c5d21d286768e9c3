// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package podgroupcontroller tests the opt-in component of Dovetail that creates a PodGroup of
// Kubernetes itself for each RayCluster and JobSet that requests one. The tests use its flag
// and its policies in manifests, on a local cluster that serves such PodGroups, with the real
// KubeRay and JobSet controllers.
package podgroupcontroller
