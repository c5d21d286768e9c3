// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Planned is the plan for the pod of a scheduling cycle, made for its whole gang (the pods
// that are placed together).
type Planned struct {
	// Node is the only node the pod may use, "" if there is no plan.
	Node string
	// Rail is the index of the alignment unit (devices of a node that are close to each
	// other) to allocate devices from, because other members of the gang use the unit with
	// the same index on their nodes. It is -1 if any unit will do.
	Rail int
	// Subrequests are the alternatives (firstAvailable) that the plan chose in the pod's
	// claims, "" if the DRA allocator chooses.
	Subrequests gangs.Subrequests
	// Gang identifies the pod's gang, "" if the pod is in no gang.
	Gang string
	// Alignment is the device alignment (how close GPUs and NICs must be) that the pod's
	// gang requests, "" if it requests none.
	Alignment gangs.Alignment
}

// plannedKey is the CycleState key of Planned.
const plannedKey fwk.StateKey = "dovetail/planned"

// Clone returns p, which is immutable.
func (p Planned) Clone() fwk.StateData { return p }

// SetPlanned stores the plan in the pod's CycleState for the plugins that run later.
func SetPlanned(state fwk.CycleState, planned Planned) {
	state.Write(plannedKey, planned)
}

// PlannedOf returns the plan in the CycleState, or a Planned without node and rail.
func PlannedOf(state fwk.CycleState) Planned {
	if data, err := state.Read(plannedKey); err == nil {
		if planned, ok := data.(Planned); ok {
			return planned
		}
	}
	return Planned{Rail: -1}
}

// slowKey is the CycleState key that marks a pod whose binding takes long.
const slowKey fwk.StateKey = "dovetail/binds-slowly"

// slow is empty: that slowKey is set is the mark.
type slow struct{}

// Clone returns s.
func (s slow) Clone() fwk.StateData { return s }

// SetBindsSlowly marks the cycle's pod: before binding it waits for something outside the
// scheduler, such as devices that become ready.
func SetBindsSlowly(state fwk.CycleState) { state.Write(slowKey, slow{}) }

// BindsSlowly reports whether SetBindsSlowly marked the cycle's pod.
func BindsSlowly(state fwk.CycleState) bool {
	_, err := state.Read(slowKey)
	return err == nil
}
