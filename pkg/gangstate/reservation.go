// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import "time"

// reservationLimit is how long nodes are reserved for one gang at a time. If the pods on
// them never end, other gangs get their chance: they may bypass the gang for maxBypass
// again before nodes are reserved for it again.
const reservationLimit = 24 * time.Hour

// Reservation describes a gang without room and the gangs behind it in the queue.
type Reservation struct {
	// blocked is true if the planner found no room and the gang was not placed since.
	blocked bool
	// bypassed is the time at which the first gang behind this gang was placed.
	bypassed time.Time
	// nodes are reserved for the gang since reservedAt.
	nodes      map[string]bool
	reservedAt time.Time
	// searched is the time of the last search for nodes to reserve.
	searched time.Time
	// displaced is true if the gang was refused because of another gang's reservation.
	displaced bool
}

// due reports whether the gang was bypassed long enough to have nodes reserved. The caller
// checks that no other gang has a reservation.
func (r *Reservation) due(maxBypass time.Duration, now time.Time) bool {
	return maxBypass > 0 && r.blocked && !r.bypassed.IsZero() && now.Sub(r.bypassed) >= maxBypass && now.Sub(r.searched) >= whatIfPause
}

// dropMissing drops the reservation if one of its nodes no longer exists.
func (r *Reservation) dropMissing(exists func(string) bool) {
	for node := range r.nodes {
		if !exists(node) {
			r.nodes, r.searched = nil, time.Time{}
			return
		}
	}
}
