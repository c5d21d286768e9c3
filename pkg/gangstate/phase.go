// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import "fmt"

// Phase is the position of a gang in the state machine. The package comment has the table
// of transitions.
type Phase int

const (
	// Incomplete means that members are missing or not ready, or that the gang's declaration
	// (such as a JobSet) has an error.
	Incomplete Phase = iota
	// Ready means that the quorum (the members that must start together) exists and is not
	// planned yet, or that members may join a gang that runs.
	Ready
	// Refused means that the last plan found no room. The gang waits before it is planned again.
	Refused
	// Reserving means that a plan is in force. Members reserve their nodes and wait in
	// Permit.
	Reserving
	// Binding means that the quorum has reserved. Every planned member may bind.
	Binding
	// Releasing means that the execution of a plan failed. Members that reserved nodes
	// release them.
	Releasing
	// Evicting means that the gang lost members and has no room for new ones, or could not
	// bind all its members. The members on nodes are being evicted.
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
