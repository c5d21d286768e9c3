// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controllers keeps objects of other projects up to date where no other controller
// does. Each reconciler is one file and reads from existing informers.
//
// CoschedulingGroups writes the status of scheduler-plugins PodGroups. It reads a PodGroup
// from the API server before it writes. PodGroups creates PodGroups of scheduling.k8s.io
// for RayClusters and JobSets that request one.
package controllers
