// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"time"

	"github.com/dovetail-dev/dovetail/pkg/gangstate"
	"github.com/dovetail-dev/dovetail/pkg/metrics"
)

// countReservations updates the metrics of reserved nodes.
func (g *Gang) countReservations(now time.Time) {
	profile, outcomes := g.handle.ProfileName(), g.tracker.Outcomes(now)
	for _, state := range []gangstate.ReservationState{gangstate.KeptReservation, gangstate.OpenReservation, gangstate.StrictReservation} {
		metrics.Reserved(profile, string(state), outcomes.State == state)
	}
	for _, reason := range outcomes.Backfilled {
		metrics.Backfilled(profile, string(reason))
	}
	for _, late := range outcomes.Late {
		metrics.ReservedStart(profile, late)
	}
}
