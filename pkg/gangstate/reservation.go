// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import "time"

// reservationLimit is the longest time for which nodes are reserved for one gang. Pods on
// these nodes may never end, and other gangs must not wait for ever: after the limit these may
// bypass the gang for maxBypass (an argument of the plugin Gang) before nodes are reserved for
// it again.
const reservationLimit = 24 * time.Hour

// A reservation of more than half of the nodes leaves too little for all others: it ends
// after largeReservationLimit. After either limit, no nodes are reserved for a gang of the
// same namespace for as long as the reservation lasted.
const largeReservationLimit = time.Hour

// limitOf returns how long this many of all nodes may be reserved.
func limitOf(reserved, all int) time.Duration {
	if 2*reserved > all {
		return largeReservationLimit
	}
	return reservationLimit
}

// Reservation is the state of a gang that waits for room while gangs behind it in the
// queue are placed (they bypass it), and the nodes that are reserved for it therefore.
type Reservation struct {
	// blocked is true if the planner found no room and the gang was not placed since.
	blocked bool
	// bypassed is the time at which a gang behind this waiting gang was first placed,
	// zero if none was.
	bypassed time.Time
	// nodes are reserved for the gang since reservedAt.
	nodes      map[string]bool
	reservedAt time.Time
	// limit is how long the nodes may be reserved.
	limit time.Duration
	// searched is the time of the last search for nodes to reserve.
	searched time.Time
	// forecast says when the gang is expected to start.
	forecast forecast
	// displaced is true if the gang was refused because nodes are reserved for another
	// gang.
	displaced bool
}

// due reports whether the gang has been bypassed for at least maxBypass, so that nodes
// must be reserved for it, and the last search for such nodes was long enough ago. The
// caller checks that no other gang has reserved nodes.
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
