// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package preemption evicts running pods for a pod of higher priority that is in no gang, and for
// PodGroups that the plugin Gang leaves to the stock scheduler. It embeds the stock plugin
// DefaultPreemption, which decides whether a pod may preempt, on which nodes to try, and what the
// pod waits for.
//
// The stock plugin knows neither the gangs of Dovetail's sources nor devices. This plugin evicts
// units (package evict) instead of single pods: a pod, a member beyond its gang's minimum, or all
// other members of a gang. A gang is evicted only if no other victims make room. Devices become
// free in the stock filters by the plugin DRAAware.
package preemption

// Name is the plugin's name in a profile.
const Name = "Preemption"
