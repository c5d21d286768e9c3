// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// firstStart returns the nodes on which the gang can start first, and when, if the running jobs
// end when the tracker of the gangs' states expects them to. It has no nodes if there are none.
func (d *dovetail) firstStart(e *entry, ends gangs.Forecast) (gangs.Reservation, error) {
	p, err := d.planner.problem(e)
	if err != nil {
		return gangs.Reservation{}, err
	}
	found := plan.Reserve(p.snapshot, p.gang, d.occupants(ends), nil, plan.Options{})
	if !found.Decision.Placed || found.Start == 0 {
		return gangs.Reservation{}, nil
	}
	r := gangs.Reservation{
		Nodes: nodesOf(&found.Decision), Start: ends.Now.Add(time.Duration(found.Start) * time.Second), Spare: map[string]gangs.Capacity{},
	}
	for i := range found.Spare {
		r.Spare[found.Spare[i].Node] = d.planner.cache.Named(&found.Spare[i])
	}
	return r, nil
}

// occupants returns the running jobs with the seconds until their expected ends.
func (d *dovetail) occupants(ends gangs.Forecast) []plan.Occupant {
	var all []plan.Occupant
	for e, objects := range d.members.running {
		if e.ended {
			continue
		}
		set, at, _ := ends.Of(objects[0])
		o := plan.Occupant{Name: set, Ends: max(1, int64(at.Sub(ends.Now)/time.Second))}
		for i, p := range e.pods {
			o.Uses = append(o.Uses, d.planner.cache.UsageOf(objects[i], p.machine.node.Name))
		}
		all = append(all, o)
	}
	return all
}

// spareFor returns how many members of the gang each reserved node may take.
func (d *dovetail) spareFor(p problem, question *gangstate.Question) map[string]int {
	limit := make(map[string]int, len(question.Reserved))
	for node := range question.Reserved {
		limit[node] = 0
		if spare, ok := question.Spare[node]; ok {
			limit[node] = d.planner.cache.Times(&p.gang.Roles[0].Need, &spare)
		}
	}
	return limit
}
