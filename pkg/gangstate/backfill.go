// Copyright The Dovetail Authors.
// SPDX-License-Identifier: Apache-2.0

package gangstate

import (
	"maps"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dovetail-dev/dovetail/pkg/gangs"
)

// Outcomes returns what became of reservations since the last call.
func (t *Tracker) Outcomes(now time.Time) ReservationOutcomes {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.outcomes
	t.outcomes = ReservationOutcomes{}
	switch holder := t.reserving(); {
	case holder == nil:
		out.State = NoReservation
	case holder.reservation.forecast.start.IsZero():
		out.State = KeptReservation
	case t.isStrict(&holder.reservation, now):
		out.State = StrictReservation
	default:
		out.State = OpenReservation
	}
	return out
}

// noteStart records how much later than expected a gang with reserved nodes was placed.
func (t *Tracker) noteStart(g *Gang, now time.Time) {
	if f := &g.reservation.forecast; t.reserving() == g && !f.first.IsZero() {
		t.outcomes.Late = append(t.outcomes.Late, now.Sub(f.first))
	}
}

// reserve reserves the nodes that a search found for the gang, or replaces the reserved nodes
// by them.
func (t *Tracker) reserve(g *Gang, answer *Answer, now time.Time, effects *Effects) {
	r := &g.reservation
	before, again := *r, t.reserving() == g
	found := &answer.Reserve
	r.nodes, r.limit = found.Nodes, limitOf(len(found.Nodes), answer.Nodes)
	r.forecast = forecast{start: found.Start, predicted: found.Predicted, spare: found.Spare, first: found.Start}
	if !again {
		t.holder, r.reservedAt, effects.Reserved = g, now, len(r.nodes)
		return
	}
	if !before.forecast.first.IsZero() {
		r.forecast.first, r.forecast.strict = before.forecast.first, before.forecast.strict
	}
	effects.Activate = append(effects.Activate, t.activateDisplaced(g, &before, now)...)
}

// activateDisplaced returns the pods to activate that were refused because of reserved nodes,
// if some of these nodes are reserved no more or are reserved for a later start.
func (t *Tracker) activateDisplaced(g *Gang, before *Reservation, now time.Time) []*v1.Pod {
	released := slices.ContainsFunc(slices.Collect(maps.Keys(before.nodes)), func(node string) bool { return !g.reservation.nodes[node] })
	if !released && !g.reservation.forecast.start.After(before.forecast.start) {
		return nil
	}
	return t.retryDisplaced(now)
}

// forecastDue reports whether the nodes that are reserved for the gang must be chosen anew: a
// gang has ended since, or the expected start has passed. Once the gang has been bypassed for
// three times maxBypass, its nodes remain the same, and others may use them only until the
// expected start. So it gets them when the pods on them have ended, however wrong predictions
// are.
func (t *Tracker) forecastDue(g *Gang, now time.Time) bool {
	r := &g.reservation
	return t.options.Backfill && t.reserving() == g && !r.forecast.start.IsZero() && now.Sub(r.searched) >= whatIfPause &&
		now.Sub(r.bypassed) < finalBypass*t.options.MaxBypass && (r.forecast.stale || !now.Before(r.forecast.start))
}

// A gang that has been bypassed for strictBypass times maxBypass is delayed by predictions no
// more. After finalBypass times maxBypass the nodes reserved for it remain the same.
const (
	strictBypass = 2
	finalBypass  = 3
)

// isStrict reports whether only time limits count for the use of the nodes that are reserved
// for the gang: the gang has been bypassed for twice maxBypass, or its expected start is later
// by more than maxBypass than at first.
func (t *Tracker) isStrict(r *Reservation, now time.Time) bool {
	f := &r.forecast
	f.strict = f.strict || now.Sub(r.bypassed) >= strictBypass*t.options.MaxBypass || f.start.Sub(f.first) > t.options.MaxBypass
	return f.strict
}

// admit reports whether a gang or a pod may use any reserved node because it is expected to end
// before the holder starts. limit is its time limit, 0 for none, and members its number of
// members.
func (t *Tracker) admit(holder *Gang, limit time.Duration, members int, now time.Time) (gangs.Backfill, bool) {
	r := &holder.reservation
	left := r.forecast.start.Sub(now)
	if left <= 0 {
		return "", false
	}
	if limit > 0 && limit <= left {
		return gangs.ByLimit, true
	}
	if limit > 0 && limit <= t.options.MaxBypass || t.isStrict(r, now) {
		return "", false
	}
	predicted := t.runTimes.predict(sizeClass(members))
	return gangs.ByPrediction, predicted > 0 && predicted <= left
}

// admitsPod reports whether a pod without a gang may use any reserved node because it is expected
// to end early enough.
func (t *Tracker) admitsPod(holder *Gang, pod *v1.Pod, now time.Time) bool {
	if !t.options.Backfill {
		return false
	}
	_, ok := t.admit(holder, gangs.PodRunTime(pod).Limit.Duration, 1, now)
	return ok
}

// restrict adds to a request the nodes that are reserved for another gang, unless this gang may
// use them because it is expected to end early enough.
func (t *Tracker) restrict(g *Gang, request *gangs.Request, now time.Time) {
	request.Reserved, request.Holder = t.reservedAgainst(g)
	if request.Reserved == nil || !t.options.Backfill {
		return
	}
	holder := t.reserving()
	limit := request.Gang.RunTimeWith(request.Members).Limit.Duration
	if reason, ok := t.admit(holder, limit, len(request.Members), now); ok {
		request.Reserved, request.Backfill = nil, reason
		return
	}
	request.Spare, request.Backfill = holder.reservation.forecast.spare, gangs.BySpare
}

// noteBackfill handles the placement of a gang on nodes that are reserved for another gang: it
// subtracts what the gang takes from what that one leaves free, and counts the gang.
func (t *Tracker) noteBackfill(g *Gang, request *gangs.Request, plan *gangs.Assignment) {
	nodes, _ := t.reservedAgainst(g)
	uses := slices.DeleteFunc(slices.Collect(maps.Keys(plan.Nodes)), func(uid types.UID) bool { return !nodes[plan.Nodes[uid]] })
	if len(uses) == 0 || request.Backfill == "" {
		return
	}
	t.outcomes.Backfilled = append(t.outcomes.Backfilled, request.Backfill)
	if request.Backfill != gangs.BySpare {
		return
	}
	f := &t.reserving().reservation.forecast
	f.spare = maps.Clone(f.spare) // a plan may be reading the map
	for _, uid := range uses {
		f.spare[plan.Nodes[uid]] = lessCapacity(f.spare[plan.Nodes[uid]], plan.Needs[uid])
	}
}

// lessCapacity returns what is left of a node's capacity for others once a pod with this need is
// on the node. Devices are taken from the first kinds that have some left.
func lessCapacity(from, need gangs.Capacity) gangs.Capacity {
	left := gangs.Capacity{Resources: maps.Clone(from.Resources), Devices: slices.Clone(from.Devices)}
	for name, amount := range need.Resources {
		left.Resources[name] = max(0, left.Resources[name]-amount)
	}
	for _, want := range need.Devices {
		count := want.Count
		for i := range left.Devices {
			if d := &left.Devices[i]; len(d.Kinds) == 1 && slices.Contains(want.Kinds, d.Kinds[0]) {
				taken := min(count, d.Count)
				d.Count, count = d.Count-taken, count-taken
			}
		}
	}
	return left
}
