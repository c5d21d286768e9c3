// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package draaware

import (
	resourceapi "k8s.io/api/resource/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/cluster"
)

// A claim may have requests with alternatives (firstAvailable). The in-tree allocator takes the
// first that fits the pod. For a gang that may be devices which other members need, so the plan
// of the gang chooses. Until the pod's devices are reserved, the in-tree plugin sees the claims
// with the chosen subrequests alone, and cannot allocate anything else.

// narrowedClaim is a claim of which the in-tree plugin sees a narrowed copy.
type narrowedClaim struct{ shown, real *resourceapi.ResourceClaim }

// narrow returns the claim as the pod of the call sees it: with the chosen subrequests
// alone.
func (t *tracker) narrow(on callContext, claim *resourceapi.ResourceClaim) *resourceapi.ResourceClaim {
	if on.subrequests == "" {
		return claim
	}
	shown := cluster.Narrow(on.pod, claim, on.subrequests)
	if shown == claim {
		return claim
	}
	return t.innerCalls.noteNarrowed(narrowedClaim{shown: shown, real: claim})
}

const narrowedKey fwk.StateKey = Name + "/narrowed"

// narrowed has the claims of a cycle of which the in-tree plugin has narrowed copies.
type narrowed struct{ claims []narrowedClaim }

// Clone returns n: the in-tree plugin has the same copies in all clones.
func (n *narrowed) Clone() fwk.StateData { return n }

// widen gives the in-tree plugin's copies the whole spec again. The plugin writes them to
// the API server, which refuses a claim whose spec has changed.
func widen(state fwk.CycleState) {
	data, err := state.Read(narrowedKey)
	if err != nil {
		return // the plan chose no alternatives
	}
	if n, ok := data.(*narrowed); ok {
		for _, claim := range n.claims {
			claim.shown.Spec = claim.real.Spec
		}
	}
}
