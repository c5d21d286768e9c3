// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controllers keeps objects of other projects up to date where no other
// controller does. Each reconciler is one file; it reads from informers that are there
// already.
//
// CoschedulingGroups keeps the status of scheduler-plugins PodGroups, which it reads from the
// API server before it writes. PodGroups makes PodGroups of Kubernetes itself for
// RayClusters and JobSets that ask for one.
package controllers
