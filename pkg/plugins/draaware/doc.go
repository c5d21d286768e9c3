// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package draaware stands in the place of the in-tree DynamicResources plugin.
// The in-tree plugin still does all the allocating; this one gives the planner
// the counts of devices that the in-tree plugin will choose from.
package draaware
