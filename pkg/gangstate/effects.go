// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Effects is all that a change of state asks of the scheduler. The caller applies them
// after the tracker has released its lock; the zero value asks for nothing.
type Effects struct {
	// Key is the gang that the effects are about; the zero key if they are about several.
	Key gangs.Key
	// Release is an attempt whose members must give their nodes back: reject those that wait
	// in Permit until Holders is empty, then call Released.
	Release *Attempt
	// Allow are members that wait in Permit and may bind.
	Allow []types.UID
	// Activate are pods to move to the active queue.
	Activate []*v1.Pod
	// RetryAfter asks for a call of Retry after this time; 0 for none.
	RetryAfter time.Duration
	// Report asks for the gang's status to be written, if it waits long enough.
	Report bool
	// Evicting reports that the eviction of what is left of the gang begins.
	Evicting bool
	// Reserved is how many nodes were reserved for the gang.
	Reserved int
	// ActivatePodGroups asks for every group that waits for a PodGroup cycle to be activated.
	ActivatePodGroups bool
}
