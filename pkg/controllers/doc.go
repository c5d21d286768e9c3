// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controllers keeps objects of other projects up to date where no other controller
// does. The reconcilers read from informers that the scheduler runs anyway.
//
// The reconciler CoschedulingGroups writes the status of scheduler-plugins PodGroups. It
// reads a PodGroup from the API server before it writes. The reconciler PodGroups creates
// PodGroups of scheduling.k8s.io for RayClusters and JobSets that request one.
package controllers
