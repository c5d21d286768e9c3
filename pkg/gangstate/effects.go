// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Effects are the actions that the scheduler must take after a change of state. The
// caller applies them after the tracker, which holds the states of all gangs, has
// released its lock. The zero value has no action.
type Effects struct {
	// Key is the gang of the effects. It is the zero key if they concern several gangs.
	Key gangs.Key
	// Release is a failed attempt (the execution of a plan) whose members must release
	// their nodes. The caller rejects the members that wait in Permit until Tracker.Holders
	// returns none, then calls Tracker.Released.
	Release *Attempt
	// Allow lists members that wait in Permit and may bind.
	Allow []types.UID
	// Activate lists pods to move to the active queue.
	Activate []*v1.Pod
	// RetryAfter is the time after which the caller must call Tracker.Retry; 0 for no call.
	RetryAfter time.Duration
	// Report is true if the caller must publish the gang's current status on its pods.
	Report bool
	// Evicting are the gangs whose remaining members are evicted from now on.
	Evicting []gangs.Key
	// Reserved is the number of nodes that this change reserved for the gang, 0 for none.
	Reserved int
	// Clear is true if evictions begin for the gang. The caller then calls
	// Tracker.ClearingVictims.
	Clear bool
	// ActivatePodGroups is true if the caller must activate all PodGroups that wait in
	// the queue for the scheduler's PodGroup cycle.
	ActivatePodGroups bool
}
