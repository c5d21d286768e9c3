// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "time"

// whatIfPause is how long the search for nodes to reserve is not repeated.
const whatIfPause = 30 * time.Second

// reservation is how a gang without room relates to the gangs behind it in the queue. Its
// rules are those of the plugin Gang.
type reservation struct {
	bypassed   bool
	bypassedAt time.Duration
	searched   bool
	searchedAt time.Duration
	nodes      map[string]bool
}

func precedes(a, b *entry) bool { return a.id < b.id }

// noteBypass records that a gang is placed: blocked gangs before it in the queue are
// bypassed, and its own reservation is over.
func (d *dovetail) noteBypass(s *sim, e *entry) {
	delete(d.blocked, e)
	if d.holder == e {
		d.holder = nil
	}
	for other, r := range d.blocked {
		if !r.bypassed && precedes(other, e) {
			r.bypassed, r.bypassedAt = true, s.now
		}
	}
}

// reservedAgainst returns the nodes that a gang must leave to another gang.
func (d *dovetail) reservedAgainst(e *entry) map[string]bool {
	if d.holder == nil || d.holder == e || !precedes(d.holder, e) {
		return nil
	}
	return d.blocked[d.holder].nodes
}

// block records that there is no room for a gang, and reserves nodes for it if it was
// bypassed for too long.
func (d *dovetail) block(s *sim, e *entry) error {
	if d.bypass == 0 {
		return nil
	}
	r := d.blocked[e]
	if r == nil {
		r = &reservation{}
		d.blocked[e] = r
	}
	if d.holder != nil || !r.bypassed || s.now < r.bypassedAt+d.bypass || r.searched && s.now < r.searchedAt+whatIfPause {
		return nil
	}
	r.searched, r.searchedAt = true, s.now
	nodes, err := d.empty.cheapestNodes(e, d.planner.cluster)
	if err != nil || len(nodes) == 0 {
		return err
	}
	r.nodes, d.holder = nodes, e
	return nil
}
