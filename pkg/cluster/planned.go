// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Planned is what a plan says about the pod of a scheduling cycle.
type Planned struct {
	// Node is the only node that the pod may go to, "" if there is no plan.
	Node string
	// Rail is the alignment unit that the pod should take its devices from,
	// because other members of its gang use the same one; -1 if it does not matter.
	Rail int
	// Gang tells the pod's gang from all others, "" if it is in none.
	Gang string
	// Alignment is what the pod's gang says, "" for nothing.
	Alignment gangs.Alignment
}

// plannedKey is where a plan's answer for the pod of a scheduling cycle stands.
const plannedKey fwk.StateKey = "dovetail/planned"

// Clone returns p: it never changes.
func (p Planned) Clone() fwk.StateData { return p }

// SetPlanned leaves what a plan says in the pod's cycle, for the plugins that come
// after.
func SetPlanned(state fwk.CycleState, planned Planned) {
	state.Write(plannedKey, planned)
}

// PlannedOf returns what a plan says about the pod of the cycle.
func PlannedOf(state fwk.CycleState) Planned {
	if data, err := state.Read(plannedKey); err == nil {
		if planned, ok := data.(Planned); ok {
			return planned
		}
	}
	return Planned{Rail: -1} // there is no plan
}

// slowKey is where a cycle says that its pod's binding takes long.
const slowKey fwk.StateKey = "dovetail/binds-slowly"

// slow has no content.
type slow struct{}

// Clone returns s.
func (s slow) Clone() fwk.StateData { return s }

// SetBindsSlowly notes that the pod of the cycle waits, before it is bound, for
// something outside of the scheduler.
func SetBindsSlowly(state fwk.CycleState) { state.Write(slowKey, slow{}) }

// BindsSlowly reports whether that was noted.
func BindsSlowly(state fwk.CycleState) bool {
	_, err := state.Read(slowKey)
	return err == nil
}
