// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package podgroupcontroller tests the opt-in that puts RayClusters and JobSets into
// PodGroups of Kubernetes itself, by its flag and its policies in manifests, on a real
// cluster that serves such groups, with the real KubeRay and JobSet controllers.
package podgroupcontroller
