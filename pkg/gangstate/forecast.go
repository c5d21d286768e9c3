// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"time"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// forecast is the expectation when the gang with a reservation starts. It is the zero value if
// the nodes are reserved without such an expectation.
type forecast struct {
	// start is the time at which the reserved nodes are expected to have room for the gang.
	start time.Time
	// predicted is true if start depends on a prediction and not only on time limits.
	predicted bool
	// spare is what the gang leaves free on each reserved node.
	spare map[string]gangs.Capacity
	// first is the start that was expected when the first nodes were reserved.
	first time.Time
	// strict is true if only time limits count for gangs and pods that want to use the
	// reserved nodes, because predictions have delayed the gang for too long.
	strict bool
	// stale is true if a gang has ended since the nodes were chosen.
	stale bool
}

// clockStep is the precision of times in messages. The expected start changes often, and each
// new message is a write for each pod of the gang.
const clockStep = 5 * time.Minute

// sentence returns the end of the message to the gang, "" if no start is expected.
func (f *forecast) sentence() string {
	if f.start.IsZero() {
		return ""
	}
	by, others := f.clock(), "those expected to end before then may use them"
	if f.predicted {
		by += ", by estimate"
	}
	if f.strict {
		others = "those with a time limit that ends before then may use them"
	}
	return "; it is expected to start by " + by + "; " + others
}

// hint returns the end of the message to a gang that must not use the reserved nodes.
func (f *forecast) hint() string {
	if f.start.IsZero() {
		return ""
	}
	return "; with a time limit that ends it by " + f.clock() + " it may use them"
}

// clock returns the expected start, rounded up.
func (f *forecast) clock() string {
	return f.start.Add(clockStep - 1).Truncate(clockStep).UTC().Format("15:04 MST")
}

// ReservationOutcomes are what became of reservations since the last call of Tracker.Outcomes.
type ReservationOutcomes struct {
	// Backfilled has, for each gang that was placed on nodes that are reserved for another gang,
	// the reason.
	Backfilled []gangs.Backfill
	// Late has, for each gang that was placed, how much later it was placed than expected when
	// the first nodes were reserved for it. Negative durations are earlier placements.
	Late []time.Duration
	// State describes the current reservation.
	State ReservationState
}

// ReservationState is how the nodes of a reservation may be used by later gangs and pods.
type ReservationState string

// The states: there is no reservation; no other pods may use the nodes; other pods may use them
// if they are expected to end early enough, or only if their time limits say so.
const (
	NoReservation     ReservationState = "none"
	KeptReservation   ReservationState = "kept"
	OpenReservation   ReservationState = "open"
	StrictReservation ReservationState = "strict"
)
