// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import "fmt"

// Phase is where a gang stands on its way to its nodes. The table of transitions is in
// the package comment.
type Phase int

const (
	// Incomplete means that members are missing or not ready, or the declaration has a problem.
	Incomplete Phase = iota
	// Ready means that the quorum exists and waits to be planned, or members may join a gang that runs.
	Ready
	// Refused means that the last plan found no room. The gang backs off.
	Refused
	// Reserving means that a plan is in force, and members reserve their nodes and wait in Permit.
	Reserving
	// Binding means that the quorum has reserved, so every planned member may bind.
	Binding
	// Releasing means that the attempt failed, and members that reserved give their nodes back.
	Releasing
	// Evicting means that the gang lost members for which there is no room, and the rest is evicted.
	Evicting
	// Placed means that members run, and no ready member waits.
	Placed
)

var phaseNames = [...]string{"Incomplete", "Ready", "Refused", "Reserving", "Binding", "Releasing", "Evicting", "Placed"}

// String returns the phase's name.
func (p Phase) String() string {
	if p < 0 || int(p) >= len(phaseNames) {
		return fmt.Sprintf("Phase(%d)", int(p))
	}
	return phaseNames[p]
}
