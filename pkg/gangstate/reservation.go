// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import "time"

// reservationLimit is how long nodes are reserved for one gang at a stretch. If the pods
// on them never end, other gangs get their chance: they may bypass the gang for maxBypass
// again before nodes are reserved for it anew.
const reservationLimit = 24 * time.Hour

// Reservation is how a gang without room relates to the gangs behind it in the queue.
type Reservation struct {
	// blocked reports that the planner found no room, and that the gang was not placed since.
	blocked bool
	// bypassed is when the first gang behind this one was placed all the same.
	bypassed time.Time
	// nodes are reserved for the gang since reservedAt.
	nodes      map[string]bool
	reservedAt time.Time
	// searched is when nodes to reserve were last looked for.
	searched time.Time
	// displaced reports that the gang was refused for another gang's reservation.
	displaced bool
}

// due reports that the gang was bypassed for long enough to have nodes reserved, if no
// other gang has.
func (r *Reservation) due(maxBypass time.Duration, now time.Time) bool {
	return maxBypass > 0 && r.blocked && !r.bypassed.IsZero() && now.Sub(r.bypassed) >= maxBypass && now.Sub(r.searched) >= whatIfPause
}

// dropMissing gives up the reservation if one of its nodes does not exist any more.
func (r *Reservation) dropMissing(exists func(string) bool) {
	for node := range r.nodes {
		if !exists(node) {
			r.nodes, r.searched = nil, time.Time{}
			return
		}
	}
}
