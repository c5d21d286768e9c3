// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "time"

// maxBypass is the default of the plugin Gang.
const maxBypass = time.Hour

// dovetail is the contender that schedules as Dovetail does.
type dovetail struct {
	planner *planner
	// empty plans on a cluster with the same nodes and no pods.
	empty *planner
	// bypass is how long later gangs may bypass a blocked gang before nodes are reserved
	// for it; 0 for ever.
	bypass time.Duration
	// blocked are the gangs that found no room.
	blocked map[*entry]*reservation
	// holder is the gang that nodes are reserved for, nil for none.
	holder *entry
}

func newDovetail(c *simulatedCluster, bypass time.Duration) (*dovetail, error) {
	p, err := newPlanner(c)
	if err != nil {
		return nil, err
	}
	d := &dovetail{planner: p, bypass: bypass, blocked: map[*entry]*reservation{}}
	if bypass > 0 {
		d.empty, err = newPlanner(newSimulatedCluster(c.spec))
	}
	return d, err
}

// pass starts gangs in the order of their arrival. Later gangs bypass a gang without room,
// for as long as bypass allows.
func (d *dovetail) pass(s *sim) error {
	for _, e := range s.waiting() {
		choices, err := d.choose(s, e)
		if err != nil {
			return err
		}
		if choices == nil {
			continue
		}
		if err := s.start(e, choices); err != nil {
			return err
		}
		d.noteBypass(s, e)
	}
	return nil
}

// choose returns nodes for a gang, nil if there are none or if it may not use them.
func (d *dovetail) choose(s *sim, e *entry) ([]nodeChoice, error) {
	if s.refusedKinds[e.kind()] {
		return nil, d.block(s, e)
	}
	p, err := d.planner.problem(e)
	if err != nil {
		return nil, err
	}
	decision := p.solve()
	if !decision.Placed {
		s.refusedKinds[e.kind()] = true
		return nil, d.block(s, e)
	}
	if reserved := d.reservedAgainst(e); usesAny(&decision, reserved) {
		if decision = p.without(reserved).solve(); !decision.Placed {
			return nil, nil // the remaining room is reserved
		}
	}
	return d.planner.choices(e, &decision)
}
