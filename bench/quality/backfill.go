// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
	"github.com/dovetail-dev/dovetail/pkg/gangstate"
	"github.com/dovetail-dev/dovetail/pkg/plan"
)

// forecast sets the nodes on which the gang can start first, and when, if the running jobs end
// when the tracker expects them to. It leaves the answer as it is if there are none.
func (d *dovetail) forecast(s *sim, e *entry, ends *gangstate.Ends, answer *gangstate.Answer) error {
	p, err := d.planner.problem(e)
	if err != nil {
		return err
	}
	predicted := map[int64]bool{}
	occupants := d.occupants(s, ends, predicted)
	r := plan.Reserve(p.snapshot, p.gang, occupants, nil, plan.Options{})
	if !r.Decision.Placed || r.Start == 0 {
		return nil
	}
	answer.Reserve, answer.Start = nodesOf(&r.Decision), ends.Now.Add(time.Duration(r.Start)*time.Second)
	answer.Predicted = predicted[r.Start]
	answer.Spare = map[string]gangs.Capacity{}
	for i := range r.Spare {
		answer.Spare[r.Spare[i].Node] = d.planner.cache.Named(&r.Spare[i])
	}
	return nil
}

// occupants returns the running jobs with the seconds until their expected ends.
func (d *dovetail) occupants(s *sim, ends *gangstate.Ends, predicted map[int64]bool) []plan.Occupant {
	var all []plan.Occupant
	for e, objects := range d.members.running {
		if e.ended {
			continue
		}
		set, end := ends.Of(objects[0])
		o := plan.Occupant{Name: set, Ends: max(1, int64(end.At.Sub(ends.Now)/time.Second))}
		predicted[o.Ends] = predicted[o.Ends] || end.Predicted
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
