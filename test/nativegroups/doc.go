// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package nativegroups holds the opt-in that puts RayClusters and JobSets into
// PodGroups of Kubernetes itself to the test: the flag --native-groups and the
// policies of manifests/native-groups and manifests/scheduler-name, on a real
// cluster that serves such groups, with the real KubeRay and JobSet controllers.
package nativegroups
