// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

// Package evict knows which running pods may be evicted to make room for a gang or a pod of
// higher priority, and which of them leave together.
//
// A Unit is a set of pods that leave together: a single pod, a member of a gang beyond the
// gang's minimum, or all other members of the gang. So no eviction leaves a gang below its
// minimum. The planner (package plan) chooses among the units; package requests has
// their pods evicted.
package evict
