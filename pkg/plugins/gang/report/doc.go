// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package report writes why a gang waits where users read it: as the PodScheduled condition
// of its pods, as events on its pods and its owner, and as the condition of its PodGroup.
//
// The scheduler itself writes only about pods whose cycles failed. Without this package,
// pods that wait in PreEnqueue or for another member's plan would have no reason.
package report
